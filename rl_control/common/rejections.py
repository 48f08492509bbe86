# SPDX-License-Identifier: Apache-2.0
"""What was not taken, and why: counted, and said once, in bounded memory."""

from collections.abc import Callable

REASONS = 100  # that are counted apart; a sender of rubbish may give another one each time
LENGTH = 400  # characters of a reason
OTHER = 'other reasons'


class Rejections:
    """Counts by reason; `tell` gets each reason the first time."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.counts: dict[str, int] = {}
        self._tell = tell

    @property
    def total(self) -> int:
        """Return how many were refused in all."""
        return sum(self.counts.values())

    def add(self, reason: object, count: int = 1) -> None:
        """Count a refusal: a sentence, or the exception that says it."""
        sentence = str(reason)[:LENGTH]
        if sentence not in self.counts:
            if len(self.counts) >= REASONS:
                sentence = OTHER
            else:
                self._tell(sentence)
        self.counts[sentence] = self.counts.get(sentence, 0) + count
