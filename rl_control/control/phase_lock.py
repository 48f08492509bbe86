# SPDX-License-Identifier: Apache-2.0
"""Ticks that come just after the samples they answer, so that what is acted on is fresh."""

import math

LEAD = 4e-4  # s by which a sample should precede its tick: what samples come late by at times
SHARE = 1e-3  # of the period: the most a tick moves while the arm is commanded
GAIN = 0.1  # of the distance that is made good by one tick
SMOOTHING = 0.05  # by which one interval between samples counts in their mean


class PhaseLock:
    """
    Says how far to move the ticks of a loop of `period` s.

    A loop that is not in step with the sensor acts on samples that are up to one of *their*
    periods old, the same age at each tick. To a policy that was trained without this delay it is
    the difference between standing still at a goal and swinging about it.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._interval = math.nan  # s between two samples
        self._newest = math.nan

    def receive(self, receipt: float) -> None:
        """Note the receipt in s of a sample, of each and in their order."""
        interval, self._newest = receipt - self._newest, receipt
        if 0.0 < interval < 1.5 * self._period:  # else some were lost, or it is the first
            if math.isnan(self._interval):
                self._interval = interval
            self._interval += SMOOTHING * (interval - self._interval)

    def shift(self, now: float, free: bool) -> float:
        """
        Return by how much in s the ticks after the one at `now` s are to come later.

        `free` says that nothing is commanded and that the whole way may be made at once.
        """
        # Which sample is newest does not matter: the nearest tick that is LEAD after one does.
        way = math.remainder(self._newest + LEAD - now, self._interval)
        if not math.isfinite(way):
            return 0.0
        if free:
            return way
        most = SHARE * self._period
        return min(max(GAIN * way, -most), most)
