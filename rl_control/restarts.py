# SPDX-License-Identifier: Apache-2.0
"""When a process that died is started again, and when that is given up."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # s; each wait is twice the one before
STABLE = 30.0  # s alive after which a death is a new one
LIMIT = 8  # deaths in a row, each before STABLE, that are too many


class Restarts:
    """Counts the deaths of one process."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.deaths = 0  # in a row

    def wait(self, alive: float, unavailable: bool = False) -> float | None:
        """
        Return how many s to wait after a death `alive` s after the start, None for ever.

        A start that finds something `unavailable` is no death; the first one should have had it.
        """
        if unavailable:
            return LONGEST_WAIT if self.deaths else None
        self.deaths = 1 if alive >= STABLE else self.deaths + 1
        if self.deaths > self.limit:
            return None
        return min(FIRST_WAIT * 2.0 ** (self.deaths - 1), LONGEST_WAIT)
