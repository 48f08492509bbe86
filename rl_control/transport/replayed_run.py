# SPDX-License-Identifier: Apache-2.0
"""Replayed run: send the recorded rows of a collector run by the exactly-once transport."""

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.transport.outbox import WINDOW, Outbox
from rl_control.transport.table import Table
from rl_control.transport.transition_rows import Origin

SETTLING_TIME = 1.2  # s for which an acknowledgement may be older than the connection
ACK_TIMEOUT = 10.0  # s in which a learner that acknowledges must name the run


class ReplayedRun:
    """
    Rows under their recorded run and numbers, kept until acknowledged; `now` is steady time in s.

    A learner therefore counts each row once, however often it is replayed. Numbers missing in the
    recording are skipped once all rows before them are acknowledged.
    """

    def __init__(self, origin: Origin, columns: tuple[str, ...]) -> None:
        self.appended = 0  # rows
        self.late = 0  # rows left out because a later one came first
        self.missing = 0  # numbers missing in the recording
        self._origin = origin
        self._columns = columns
        self._outbox: Outbox | None = None
        self._connected: float | None = None  # when a learner was first connected
        self._unknown: float | None = None  # since when the learner acknowledges other runs only

    @property
    def backlog(self) -> int:
        """Return how many rows the learner has not acknowledged."""
        return self._outbox.backlog if self._outbox is not None else 0

    def put(self, number: int, row: np.ndarray) -> bool:
        """Append the row (m,) and return True; return False without credit. Numbers must rise."""
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
        self.appended += 1
        return True

    def connect(self, now: float) -> None:
        """Note when a learner's subscription was matched."""
        self._connected = now

    def acknowledge(self, known: tuple[int, int] | None, now: float) -> None:
        """
        Apply an acknowledgement (next expected, granted) of this run, None if it names others.

        An acknowledgement within SETTLING_TIME of the connection is ignored, because it may answer
        an earlier sender. Raise InvalidInput when the run is not named for ACK_TIMEOUT.
        """
        if (self._outbox is None or self._connected is None
                or now - self._connected < SETTLING_TIME):
            return
        if known is not None:
            self._unknown = None
            self._outbox.acknowledge(min(known[0], self._outbox.produced), known[1], now)
        elif self._unknown is None:
            self._unknown = now
        elif now - self._unknown > ACK_TIMEOUT:
            raise InvalidInput(
                f'the learner accepts nothing of run {self._origin.run}, whose contract is '
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
