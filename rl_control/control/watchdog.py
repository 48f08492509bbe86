# SPDX-License-Identifier: Apache-2.0
"""Watchdog: detect late, frozen and jumping input on a steady clock."""

import math

DRIFT_LIMIT = 1e-3  # s/s by which two clocks may drift apart: NTP slews at most 500 ppm each
JUMP_LIMIT = 1.0  # s by which a stamp may differ from the steady clock's progress


def stale_age(stale_period: float, control_period: float) -> float:
    """Return the age in s at which joint states are stale, for settings in s."""
    return max(stale_period, 2.0 * control_period)


class Watchdog:
    """
    Check the samples of one input by their times of receipt and their own stamps.

    The sender's clock may be another host's, so stamps are compared with each other, and with the
    receipt only by the growth of (receipt - stamp) over its minimum. `age_limit` and `delay_limit`
    are in s; all receipts and `now` are of time.monotonic().
    """

    def __init__(self, name: str, age_limit: float, delay_limit: float) -> None:
        self.name = name
        self.age_limit = age_limit
        self.delay_limit = delay_limit
        self.fresh = 0  # samples in a row since `reset` or the last fault
        self.delay = 0.0  # s by which (receipt - stamp) exceeds its minimum
        self._jump = ''
        self._frozen = False
        self._stamp = math.nan
        self._receipt = -math.inf
        self._min_delay = math.inf

    def receive(self, receipt: float, stamp: float) -> bool:
        """Add a sample; return True if its stamp is new."""
        passed = receipt - self._receipt
        advance = stamp - self._stamp
        self._frozen = advance == 0.0
        if passed > self.age_limit:
            self.fresh = 0
        if self._frozen:
            return False  # a driver may send each of its states twice
        if not math.isnan(advance) and (advance < 0.0 or advance > passed + JUMP_LIMIT):
            self._jump = f'stamps of {self.name} jumped by {advance - passed:+.3f} s'
            self._min_delay = math.inf
            self.fresh = 0
        delay = receipt - stamp
        drift = DRIFT_LIMIT * passed if math.isfinite(passed) else 0.0
        self._min_delay = min(delay, self._min_delay + drift)
        self.delay = delay - self._min_delay
        self._stamp, self._receipt = stamp, receipt
        self.fresh = self.fresh + 1 if self.delay <= self.delay_limit else 0
        return True

    def age(self, now: float) -> float:
        """Return the time in s since the stamps last advanced, infinite if none came."""
        return now - self._receipt

    def fault(self, now: float) -> str:
        """Return what is wrong with the input, or ''; a jump is reported until `reset`."""
        if self._jump:
            return self._jump
        age = self.age(now)
        if age > self.age_limit:
            frozen = ', their stamps stand still' if self._frozen else ''
            return f'no new {self.name} for {age:.3f} s{frozen}'
        if self.delay > self.delay_limit:
            return f'{self.name} come {self.delay:.3f} s later than before'
        return ''

    def reset(self) -> None:
        """Restart the count of fresh samples and clear a jump; keep the least delay."""
        self.fresh = 0
        self._jump = ''
