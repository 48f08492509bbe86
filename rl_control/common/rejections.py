# SPDX-License-Identifier: Apache-2.0
"""Rejections by reason: count each, log each reason once, in bounded memory."""

from collections.abc import Callable

MAX_REASONS = 100  # counted separately; malformed input may give a new reason each time
MAX_LENGTH = 400  # characters of a reason
OTHER_REASONS = 'other reasons'


class Rejections:
    """Counts by reason; calls `log` with each reason the first time."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.counts: dict[str, int] = {}
        self._log = log

    @property
    def total(self) -> int:
        """Return the number of rejections in all."""
        return sum(self.counts.values())

    def add(self, reason: object, count: int = 1) -> None:
        """Count `count` rejections for `reason`, a sentence or an exception."""
        sentence = str(reason)[:MAX_LENGTH]
        if sentence not in self.counts:
            if len(self.counts) >= MAX_REASONS:
                sentence = OTHER_REASONS
            else:
                self._log(sentence)
        self.counts[sentence] = self.counts.get(sentence, 0) + count
