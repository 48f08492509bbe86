# SPDX-License-Identifier: Apache-2.0
"""Inbox of the exactly-once transport: drop duplicates and track gaps by sequence number."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from rl_control.common.errors import InvalidInput


@dataclass
class Received:
    """Received rows of one collector run; all counts are rows."""

    collector: str
    expected: int = 0  # the lowest number missing that may still arrive
    published: int = 0  # the highest number seen, plus one
    received: int = 0
    duplicates: int = 0
    gaps: int = 0  # missing when a later one arrived, even if a resend filled it in since
    lost: int = 0  # missing below `oldest`
    refused: int = 0
    oldest: int = 0  # the oldest number that the sender still has
    ranges: list[list[int]] = field(default_factory=list)  # received: [first, end), in order

    def missing(self, first: int, end: int) -> list[tuple[int, int]]:
        """Return the subranges [a, b) of [first, end) that were not received, in order."""
        parts = []
        index = max(0, bisect_right(self.ranges, first, key=_start) - 1)
        for start, stop in self.ranges[index:]:
            if start >= end or first >= end:
                break
            if start > first:
                parts.append((first, start))
            first = max(first, stop)
        return [*parts, (first, end)] if first < end else parts

    def add(self, first: int, end: int) -> list[tuple[int, int]]:
        """Record [first, end) as received and return its subranges that are new."""
        new = self.missing(first, end)
        for start, stop in new:
            index = bisect_right(self.ranges, start, key=_start)
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

    def give_up_before(self, oldest: int) -> None:
        """
        Update `lost` and `expected` for a sender that has the rows from `oldest` on.

        A replayed recording may still have rows that its collector had already dropped.
        """
        self.oldest = self.expected = oldest
        self.lost = sum(end - first for first, end in self.missing(0, oldest))
        index = bisect_right(self.ranges, oldest, key=_start) - 1
        if index >= 0:
            self.expected = max(oldest, self.ranges[index][1])


def _start(received: list[int]) -> int:
    return received[0]


class Inbox:
    """
    The learner's end of the transport, for all collector runs: accepts each row once.

    Rows behind a gap are accepted too: a collector resends from the acknowledged row, and a
    replayed recording, which cannot, loses only the rows that never arrive.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Received] = {}

    def accept(
        self, collector: str, run: str, first_sequence: int, rows: np.ndarray, oldest: int = 0
    ) -> np.ndarray:
        """
        Return the new ones of `rows` (k, m), as (j, m) with 0 <= j <= k.

        Rows below `oldest`, which the sender no longer has, count as lost unless they arrive
        later. Raise InvalidInput for numbers that no collector can send.
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
        new = known.add(first_sequence, first_sequence + len(rows))
        known.give_up_before(oldest)
        parts = [rows[first - first_sequence:stop - first_sequence] for first, stop in new]
        return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else rows[:0]

    def refuse(self, run: str, count: int) -> None:
        """Count rows that arrived but failed validation."""
        self.runs[run].refused += count

    @property
    def stored(self) -> int:
        """Return how many rows were received and not refused, over all runs."""
        return sum(known.received - known.refused for known in self.runs.values())

    def acknowledge_all(
        self, credit: int | Mapping[str, int]
    ) -> tuple[list[str], np.ndarray]:
        """
        Return the runs and their (acknowledged, granted) (n, 2), to publish after a flush.

        `credit` is how many rows beyond the received ones each run may send: one number for all
        runs, or a number by run, and then only those runs are acknowledged.
        """
        if isinstance(credit, int):
            credit = dict.fromkeys(self.runs, credit)
        table = np.zeros((len(credit), 2))
        for row, (run, allowed) in zip(table, credit.items(), strict=True):
            expected = self.runs[run].expected
            row[:] = expected, expected + max(0, allowed)
        return list(credit), table

    def to_state(self) -> dict[str, dict]:
        """Return the counts of each run as plain values."""
        return {run: asdict(known) for run, known in self.runs.items()}
