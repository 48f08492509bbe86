# SPDX-License-Identifier: Apache-2.0
"""Phase-lock the control loop to incoming joint states, so that it acts on fresh samples."""

import math

SAMPLE_LEAD = 4e-4  # s from a sample to its tick: the usual lateness of samples
SHIFT_LIMIT = 1e-3  # of the period: largest shift of a tick while the arm is commanded
GAIN = 0.1  # of the phase error that one tick corrects
SMOOTHING = 0.05  # weight of the newest interval in the mean interval


class PhaseLock:
    """
    Compute the shift of the ticks of a loop of `period` s.

    A loop that is out of phase with the sensor acts on samples up to one sensor period old. A
    policy that was trained without this delay may oscillate about the goal instead of resting.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._interval = math.nan  # s between two samples
        self._newest = math.nan

    def receive(self, receipt: float) -> None:
        """Note the receipt in s of each sample, in order."""
        interval, self._newest = receipt - self._newest, receipt
        if 0.0 < interval < 1.5 * self._period:  # else samples were lost, or this is the first
            if math.isnan(self._interval):
                self._interval = interval
            self._interval += SMOOTHING * (interval - self._interval)

    def shift(self, now: float, idle: bool) -> float:
        """
        Return by how many s to delay the ticks after the one at `now` s.

        `idle`: nothing is commanded, so the whole phase error may be corrected at once.
        """
        # The nearest instant that is SAMPLE_LEAD after any sample will do.
        error = math.remainder(self._newest + SAMPLE_LEAD - now, self._interval)
        if not math.isfinite(error):
            return 0.0
        if idle:
            return error
        limit = SHIFT_LIMIT * self._period
        return min(max(GAIN * error, -limit), limit)
