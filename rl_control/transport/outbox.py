# SPDX-License-Identifier: Apache-2.0
"""
Exactly once, the sender's side: rows are numbered, and kept until the learner has them.

A sliding window with cumulative acknowledgement, as in RFC 9293, and credit as in HTTP/2 flow
control (RFC 9113, 5.2): a collector sends, and a simulator produces, no more than was granted, so
the learner sets the pace. No clock is read here: `now` is steady time in s.
"""


import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.transport.spill_file import RowFile

BATCH = 64
# Rows on their way at once: half of what a reader of depth 64 holds, so that a long backlog does
# not overrun it.
WINDOW = 32 * BATCH


class Outbox:
    """
    Keeps the rows of one collector run until the learner has them, and says what to send.

    In a file they outlive the process, for another outbox to deliver. The newest rows that do not
    fit into memory, which then is mapped from the file, go behind it, into a ring like the
    memory, so that neither grows. One thread uses an outbox.
    """

    def __init__(
        self,
        width: int,
        capacity_rows: int = 10_000,
        file: RowFile | None = None,
        resend_period: float = 0.5,
        first: int = 0,
    ) -> None:
        """
        Make an outbox for rows of `width` numbers, in `file` where there is one.

        What the file has already, an outbox before this one left: it was granted once. Without
        a file the first row has the number `first`.
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
        # The first row kept, the first row that is in the file (`_next` when none is), and the
        # number of the next row to come; each is noted in `_marks` when it changes.
        self._oldest, self._spilled, self._next = map(int, self._marks)
        self._sent = self._oldest  # the next row to send
        self._owed = self._granted = self._next
        self._probing = False
        self._progress = -np.inf  # when something was last acknowledged, or first or again sent
        self._spoken = -np.inf  # when something was last sent, if only that credit is missing

    @property
    def produced(self) -> int:
        """Return the number of the next row, hence how many were appended from 0 on."""
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
        """Say whether `append` would refuse."""
        return self.room <= 0

    @property
    def room(self) -> int:
        """Return how many rows `append` would still take."""
        file = (self._file.file_rows if self._file else 0) - (self._next - self._spilled)
        if self._spilled < self._next:
            return file  # the memory takes none before the file is empty
        return len(self._memory) - self.backlog + file

    @property
    def credit(self) -> int:
        """Return how many rows the learner still wants to have produced."""
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
                f'outbox is full with {self.backlog} rows; wait until the learner takes some')
        if self._spilled == self._next and self.backlog < len(self._memory):
            self._memory[self._next % len(self._memory)] = row
            self._marks[1] = self._spilled = self._spilled + 1
        else:
            assert self._file is not None, 'without a file it is full when the memory is'
            self._file.write(self._next, row)
        self._marks[2] = self._next = self._next + 1
        return self._next - 1

    def pending(self, now: float, limit: int = BATCH) -> tuple[int, np.ndarray] | None:
        """
        Return (first number, rows (k, m)) to publish now, or None when there is nothing to send.

        Rows that stay unacknowledged for `resend_period` are sent again from the oldest, one
        batch at a time until something is acknowledged. Without rows to send and without credit
        an empty batch announces the run, so that a learner that forgot it, or took it
        for idle and acknowledges without granting, grants again.
        """
        outstanding = self._sent > self._oldest
        if outstanding and now - self._progress >= self.resend_period:
            self._sent, self._probing = self._oldest, True
            self.resends += 1
            outstanding = False
        window = limit if self._probing else WINDOW
        end = min(self._next, self._granted, self._sent + limit, self._oldest + window)
        if end <= self._sent:
            if self.credit or outstanding or now - self._spoken < self.resend_period:
                return None
            self._spoken = now
            return self._sent, np.empty((0, self.width))
        self._spoken = now
        if not outstanding:
            self._progress = now
        first, self._sent = self._sent, end
        return first, self._read(first, end)

    def acknowledge(self, next_expected: int, granted: int, now: float) -> None:
        """
        Take the learner's word: all before `next_expected` is safe, send up to `granted`.

        Raise InvalidInput for an acknowledgement of rows that were never made.
        """
        if not 0 <= next_expected <= self._next:
            raise InvalidInput(
                f'learner acknowledges {next_expected} rows but {self._next} were made; '
                'give every collector run a name of its own'
            )
        self._granted = max(granted, self._owed)
        if next_expected > self._oldest:
            self._marks[0] = self._oldest = next_expected
            self._marks[1] = self._spilled = max(self._spilled, self._oldest)
            self._sent = max(self._sent, self._oldest)
            self._progress, self._probing = now, False
        elif next_expected < self._oldest:
            # The learner lost its journal: what was dropped here is gone. `oldest` in the header
            # of what is sent next tells it to go on from there, so this comes to an end.
            self.lost = max(self.lost, self._oldest - next_expected)
            self._sent = self._oldest

    def close(self) -> None:
        """Give the file back; it stays on the disk while it has rows for an heir to deliver."""
        if self._file is not None:
            self._file.close(remove=not self.backlog)
            self._file = None

    def _read(self, first: int, end: int) -> np.ndarray:
        rows = np.empty((end - first, self.width))
        for index, number in enumerate(range(first, end)):
            if number < self._spilled:
                rows[index] = self._memory[number % len(self._memory)]
            else:
                assert self._file is not None, 'what is not in the memory was spilled'
                rows[index] = self._file.read(number)
        return rows
