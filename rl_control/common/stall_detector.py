# SPDX-License-Identifier: Apache-2.0
"""Stall detector: how long a counter has not changed (a hung process looks alive to DDS)."""


class StallDetector:
    """Watches one counter; all times are of time.monotonic()."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._since = 0.0

    def stalled_for(self, count: int, now: float) -> float:
        """Return for how many s the calls so far had the same `count`."""
        if count != self._count:
            self._count, self._since = count, now
        return now - self._since
