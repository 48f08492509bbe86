# SPDX-License-Identifier: Apache-2.0
"""Exactly once, the learner's side: which rows of each collector run came, by their numbers."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from rl_control.common.errors import InvalidInput


@dataclass
class Received:
    """What the learner knows of one collector run; all counts are rows."""

    collector: str
    expected: int = 0  # the first that is missing of those that still may come
    published: int = 0  # the highest number seen, and one
    received: int = 0
    duplicates: int = 0
    gaps: int = 0  # not there when a later one came; what is sent again is there after all
    lost: int = 0  # missing before `oldest`
    refused: int = 0
    oldest: int = 0  # the first that its sender said it still has
    ranges: list[list[int]] = field(default_factory=list)  # received: [first, end), in order

    def missing(self, first: int, end: int) -> list[tuple[int, int]]:
        """Return the parts [a, b) of [first, end) that were not received, in order."""
        parts = []
        index = max(0, bisect_right(self.ranges, first, key=_first) - 1)
        for start, stop in self.ranges[index:]:
            if start >= end or first >= end:
                break
            if start > first:
                parts.append((first, start))
            first = max(first, stop)
        return [*parts, (first, end)] if first < end else parts

    def take(self, first: int, end: int) -> list[tuple[int, int]]:
        """Note that [first, end) came, and return the parts of it that are new."""
        new = self.missing(first, end)
        for start, stop in new:
            index = bisect_right(self.ranges, start, key=_first)
            self.ranges.insert(index, [start, stop])
            for at in (index, index - 1):
                if 0 <= at < len(self.ranges) - 1 and (
                        self.ranges[at][1] == self.ranges[at + 1][0]):
                    self.ranges[at][1] = self.ranges.pop(at + 1)[1]
        count = sum(stop - start for start, stop in new)
        self.published = max(self.published, end)
        self.received += count
        self.duplicates += end - first - count
        return new

    def look(self, oldest: int) -> None:
        """
        Bring `lost` and `expected` up to date: who sends now has what is from `oldest` on.

        A recording that is played may have what its collector no longer had.
        """
        self.oldest = self.expected = oldest
        self.lost = sum(end - first for first, end in self.missing(0, oldest))
        index = bisect_right(self.ranges, oldest, key=_first) - 1
        if index >= 0:
            self.expected = max(oldest, self.ranges[index][1])


def _first(held: list[int]) -> int:
    return held[0]


class Inbox:
    """
    The learner's side of all collector runs: takes each row once, whenever it comes.

    What comes behind a gap is taken, too: a collector sends again from the acknowledged row, and
    a recording that is played back cannot, yet loses no more than what does not come.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Received] = {}

    def accept(
        self, collector: str, run: str, first_sequence: int, rows: np.ndarray, oldest: int = 0
    ) -> np.ndarray:
        """
        Return the part of `rows` (k, m) that is new, (j, m), j from 0 to k.

        Rows before `oldest`, which the sender does not have, are given up and counted as lost
        until they come after all. Raise InvalidInput for numbers that no collector sends.
        """
        if first_sequence < 0 or not 0 <= oldest <= first_sequence + len(rows):
            raise InvalidInput(
                f'collector {collector} sends rows from {first_sequence} with oldest {oldest}; '
                'use a collector of this package'
            )
        known = self.runs.setdefault(run, Received(collector))
        if known.collector != collector:
            raise InvalidInput(
                f'run {run} is sent by {collector} and by {known.collector}; '
                'give every collector run a name of its own'
            )
        known.gaps += max(0, first_sequence - max(known.published, oldest))
        fresh = known.take(first_sequence, first_sequence + len(rows))
        known.look(oldest)
        parts = [rows[first - first_sequence:stop - first_sequence] for first, stop in fresh]
        return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else rows[:0]

    def refuse(self, run: str, count: int) -> None:
        """Count rows that arrived but may not be stored."""
        self.runs[run].refused += count

    @property
    def stored(self) -> int:
        """Return how many rows came and were not refused, of all runs."""
        return sum(known.received - known.refused for known in self.runs.values())

    def acknowledge_all(
        self, credit: int | Mapping[str, int]
    ) -> tuple[list[str], np.ndarray]:
        """
        Return the runs and their (acknowledged, granted) (n, 2), to be sent after a flush.

        `credit` is how many rows beyond those received may come, of each run, or by run: then
        no other one is told.
        """
        if isinstance(credit, int):
            credit = dict.fromkeys(self.runs, credit)
        table = np.zeros((len(credit), 2))
        for row, (run, allowed) in zip(table, credit.items(), strict=True):
            expected = self.runs[run].expected
            row[:] = expected, expected + max(0, allowed)
        return list(credit), table

    def to_state(self) -> dict[str, dict]:
        """Return what is known of each run as plain values."""
        return {run: asdict(known) for run, known in self.runs.items()}
