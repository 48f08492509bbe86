# SPDX-License-Identifier: Apache-2.0
"""Whether a counter still moves: a process that hangs looks alive to the middleware."""


class StallDetector:
    """Watches one counter; all times are of time.monotonic()."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._since = 0.0

    def still(self, count: int, now: float) -> float:
        """Return for how many s `count` has been the same, as far as it was looked at."""
        if count != self._count:
            self._count, self._since = count, now
        return now - self._since
