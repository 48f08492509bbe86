# SPDX-License-Identifier: Apache-2.0
"""Whether an input is still fresh, on a steady clock."""

import math

DRIFT = 1e-3  # s/s by which two clocks may drift apart: NTP slews at most 500 ppm each
JUMP = 1.0  # s by which a stamp may differ from the steady clock's progress


class Watchdog:
    """
    Judge the samples of one input by when they came and by their own stamps.

    The sender's clock may be another host's: stamps are compared among themselves, and with the
    receipt only by how much (receipt - stamp) has grown over the least it was. `age_limit` and
    `delay_limit` in s; all receipts and `now` are of time.monotonic().
    """

    def __init__(self, name: str, age_limit: float, delay_limit: float) -> None:
        self.name = name
        self.age_limit = age_limit
        self.delay_limit = delay_limit
        self.fresh = 0  # samples in a row since `reset` or the last fault
        self.delay = 0.0  # s by which (receipt - stamp) exceeds the least it was
        self._jump = ''
        self._standing = False
        self._stamp = math.nan
        self._receipt = -math.inf
        self._least = math.inf

    def receive(self, receipt: float, stamp: float) -> bool:
        """Note a sample; return whether it is news: its stamp is another one."""
        passed = receipt - self._receipt
        advance = stamp - self._stamp
        self._standing = advance == 0.0
        if self._standing:
            self.fresh = 0
            return False
        if not math.isnan(advance) and (advance < 0.0 or advance > passed + JUMP):
            self._jump = f'stamps of {self.name} jumped by {advance - passed:+.3f} s'
            self._least = math.inf
            self.fresh = 0
        delay = receipt - stamp
        drift = DRIFT * passed if math.isfinite(passed) else 0.0
        self._least = min(delay, self._least + drift)
        self.delay = delay - self._least
        self._stamp, self._receipt = stamp, receipt
        self.fresh = self.fresh + 1 if self.delay <= self.delay_limit else 0
        return True

    def age(self, now: float) -> float:
        """Return the time in s since the stamps last advanced, infinite if none came."""
        return now - self._receipt

    def fault(self, now: float) -> str:
        """Return what is wrong with the input, or ''; a jump is told until `reset`."""
        if self._jump:
            return self._jump
        age = self.age(now)
        if age > self.age_limit:
            standing = ', their stamps stand still' if self._standing else ''
            return f'no new {self.name} for {age:.3f} s{standing}'
        if self.delay > self.delay_limit:
            return f'{self.name} come {self.delay:.3f} s later than they did'
        return ''

    def reset(self) -> None:
        """Count fresh samples anew and forget a jump, but not how late samples were at best."""
        self.fresh = 0
        self._jump = ''
