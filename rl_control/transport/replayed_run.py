# SPDX-License-Identifier: Apache-2.0
"""A collector run of a recording, handed to a learner as its collector would have done it."""

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.transport.outbox import WINDOW, Outbox
from rl_control.transport.table import Table
from rl_control.transport.transition_rows import Origin

SETTLING = 1.2  # s in which a learner's acknowledgement may be older than what it was told
ACK_TIMEOUT = 10.0  # s in which a learner that speaks must have taken the run up


class ReplayedRun:
    """
    Rows under their own run and numbers, kept until the learner has them; `now` is steady time.

    So a learner counts none twice, however often they are played. Numbers that the recording
    lacks are passed over once all before them were taken.
    """

    def __init__(self, origin: Origin, columns: tuple[str, ...]) -> None:
        self.handed = 0  # rows put
        self.late = 0  # rows left out, since later ones were put before
        self.missing = 0  # numbers that the recording lacks
        self._origin = origin
        self._columns = columns
        self._outbox: Outbox | None = None
        self._met: float | None = None  # since when the learner can have heard of this playing
        self._unknown: float | None = None  # since when it speaks and does not know of the run

    @property
    def backlog(self) -> int:
        """Return how many rows the learner has not acknowledged."""
        return self._outbox.backlog if self._outbox is not None else 0

    def put(self, number: int, row: np.ndarray) -> bool:
        """Take the row (m,) of that number if the learner wants it; numbers rise."""
        outbox = self._outbox
        if outbox is not None and number < outbox.produced:
            self.late += 1
            return True
        if outbox is None or number > outbox.produced:
            if self.backlog:
                return False
            self.missing += number - (outbox.produced if outbox is not None else 0)
            self._outbox = outbox = Outbox(len(self._columns), WINDOW, first=number)
        if not outbox.credit:
            return False
        outbox.append(row)
        self.handed += 1
        return True

    def meet(self, now: float) -> None:
        """Note that a learner begins to hear what is sent."""
        self._met = now

    def acknowledge(self, known: tuple[int, int] | None, now: float) -> None:
        """
        Take what a learner says of this run, (next it lacks, granted), None for nothing.

        What it may have said before it heard of this playing does not count: it was about what
        another sender had. Raise InvalidInput when it knows nothing of the run after PATIENCE.
        """
        if self._outbox is None or self._met is None or now - self._met < SETTLING:
            return
        if known is not None:
            self._unknown = None
            self._outbox.acknowledge(min(known[0], self._outbox.produced), known[1], now)
        elif self._unknown is None:
            self._unknown = now
        elif now - self._unknown > ACK_TIMEOUT:
            raise InvalidInput(
                f'the learner takes nothing of run {self._origin.run}, whose contract is '
                f'{self._origin.contract_hash[:12]}; start it with the robot and task of '
                'the recording')

    def pending(self, now: float) -> Table | None:
        """Return a table to publish now, or None."""
        pending = self._outbox.pending(now) if self._outbox is not None else None
        if pending is None:
            return None
        first, rows = pending
        origin = Origin(self._origin.collector, self._origin.run, self._origin.contract_hash,
                        first, self._outbox.oldest)
        return Table(self._columns, rows, origin.to_header())
