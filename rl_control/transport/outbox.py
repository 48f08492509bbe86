# SPDX-License-Identifier: Apache-2.0
"""
Outbox of the exactly-once transport: number rows and keep them until acknowledged.

The protocol is described in rl_control/transport/__init__.py. No clock is read here: `now` is
steady time in s.
"""

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.transport.spill_file import SpillFile

BATCH = 64  # rows in a message
# Unacknowledged rows at once: half of what a subscription of depth 64 holds, so that a long
# backlog does not overrun it.
WINDOW = 32 * BATCH


class Outbox:
    """
    Rows of one collector run, kept until the learner acknowledges them.

    With a spill file the rows survive the process, and another outbox can deliver them. The
    memory is then mapped from the file; rows that do not fit go into a second ring buffer behind
    it, so neither part grows. To be used from one thread.
    """

    def __init__(
        self,
        width: int,
        capacity_rows: int = 10_000,
        file: SpillFile | None = None,
        resend_period: float = 0.5,
        first: int = 0,
    ) -> None:
        """
        Create an outbox for rows of `width` numbers, in `file` if there is one.

        Rows that the file has already come from a dead run and were granted to it. Without a file
        the first row has the number `first`.
        """
        if width < 1 or capacity_rows < 1 or resend_period <= 0.0:
            raise InvalidInput(
                f'outbox has width {width}, {capacity_rows} rows and resend period '
                f'{resend_period} s; each must be positive'
            )
        self.width = width
        self.resend_period = resend_period
        self.resends = 0
        self.lost = 0
        self._file = file
        self._memory = np.empty((capacity_rows, width)) if file is None else file.memory
        self._marks = np.full(3, first, np.int64) if file is None else file.marks
        # The oldest row kept, the first row that is spilled (`_next` when none is), and the
        # number of the next row; each is stored in `_marks` when it changes.
        self._oldest, self._spilled, self._next = map(int, self._marks)
        self._sent = self._oldest  # the next row to send
        self._granted_before = self._granted = self._next
        self._probing = False  # resending one batch until something is acknowledged
        self._progress_time = -np.inf  # of the last acknowledgement, or of the (re)send since
        self._sent_time = -np.inf  # of the last message, empty ones included

    @property
    def produced(self) -> int:
        """Return the number of the next row: how many were appended since number 0."""
        return self._next

    @property
    def oldest(self) -> int:
        """Return the number of the oldest row that can still be sent."""
        return self._oldest

    @property
    def backlog(self) -> int:
        """Return how many rows are kept."""
        return self._next - self._oldest

    @property
    def full(self) -> bool:
        """Return True if `append` would raise InvalidInput."""
        return self.room <= 0

    @property
    def room(self) -> int:
        """Return how many more rows `append` accepts."""
        file = (self._file.file_rows if self._file else 0) - (self._next - self._spilled)
        if self._spilled < self._next:
            return file  # nothing goes into memory until the spilled part is empty
        return len(self._memory) - self.backlog + file

    @property
    def credit(self) -> int:
        """Return how many more rows the learner grants; 0 when the outbox is full."""
        return 0 if self.full else max(0, self._granted - self._next)

    def append(self, row: np.ndarray) -> int:
        """
        Keep a copy of `row` (m,) and return its number.

        Raise InvalidInput when full or of another width, OSError when the disk is full; then the
        row is not kept.
        """
        row = np.ascontiguousarray(row, dtype=np.float64)
        if row.shape != (self.width,):
            raise InvalidInput(f'row has shape {row.shape}; the outbox takes ({self.width},)')
        if self.full:
            raise InvalidInput(
                f'outbox is full with {self.backlog} rows; '
                'wait until the learner acknowledges some')
        if self._spilled == self._next and self.backlog < len(self._memory):
            self._memory[self._next % len(self._memory)] = row
            self._marks[1] = self._spilled = self._spilled + 1
        else:
            assert self._file is not None, 'without a file, full memory means a full outbox'
            self._file.write(self._next, row)
        self._marks[2] = self._next = self._next + 1
        return self._next - 1

    def pending(self, now: float, limit: int = BATCH) -> tuple[int, np.ndarray] | None:
        """
        Return (first number, rows (k, m)) to publish now, None if there is nothing to send.

        Rows without an acknowledgement for `resend_period` are sent again from the oldest, one
        batch at a time until something is acknowledged. Without rows to send and without credit
        the batch is empty: it announces the run, so that a learner that has forgotten the run, or
        treats it as idle, grants credit again.
        """
        outstanding = self._sent > self._oldest
        if outstanding and now - self._progress_time >= self.resend_period:
            self._sent, self._probing = self._oldest, True
            self.resends += 1
            outstanding = False
        window = limit if self._probing else WINDOW
        end = min(self._next, self._granted, self._sent + limit, self._oldest + window)
        if end <= self._sent:
            if self.credit or outstanding or now - self._sent_time < self.resend_period:
                return None
            self._sent_time = now
            return self._sent, np.empty((0, self.width))
        self._sent_time = now
        if not outstanding:
            self._progress_time = now
        first, self._sent = self._sent, end
        return first, self._read(first, end)

    def acknowledge(self, next_expected: int, granted: int, now: float) -> None:
        """
        Drop rows before `next_expected`, which are journaled, and allow rows up to `granted`.

        Raise InvalidInput for an acknowledgement of rows that were never appended.
        """
        if not 0 <= next_expected <= self._next:
            raise InvalidInput(
                f'learner acknowledges {next_expected} rows but {self._next} were made; '
                'give every collector run a name of its own'
            )
        self._granted = max(granted, self._granted_before)
        if next_expected > self._oldest:
            self._marks[0] = self._oldest = next_expected
            self._marks[1] = self._spilled = max(self._spilled, self._oldest)
            self._sent = max(self._sent, self._oldest)
            self._progress_time, self._probing = now, False
        elif next_expected < self._oldest:
            # The learner lost its journal, and the rows dropped here are gone. `oldest` in the
            # next message makes the learner continue from there.
            self.lost = max(self.lost, self._oldest - next_expected)
            self._sent = self._oldest

    def close(self) -> None:
        """Close the file; it stays on the disk if it has rows for a later run to deliver."""
        if self._file is not None:
            self._file.close(remove=not self.backlog)
            self._file = None

    def _read(self, first: int, end: int) -> np.ndarray:
        rows = np.empty((end - first, self.width))
        for index, number in enumerate(range(first, end)):
            if number < self._spilled:
                rows[index] = self._memory[number % len(self._memory)]
            else:
                assert self._file is not None, 'a row is in memory or in the file'
                rows[index] = self._file.read(number)
        return rows
