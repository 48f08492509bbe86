# SPDX-License-Identifier: Apache-2.0
"""Rows in a file that outlives its process, so that a killed collector's are still delivered."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
import fcntl
import json
import mmap
import os
from pathlib import Path

import numpy as np

from rl_control.common.errors import InvalidInput, Unavailable
from rl_control.common.files import partial_path
from rl_control.common.stale_files import unlocked

SUFFIX = '.rows'
HEADER = 4096  # bytes before the rows
MAGIC = b'RLCROWS1'
SIZES = slice(8, 32)  # bytes: width, rows in memory, rows in the file
MARKS = slice(32, 56)  # bytes: oldest, spilled, next
IDENTITY = slice(64, HEADER)  # bytes: JSON
ITEM = 8  # bytes of a number
SIZE_LIMIT = 10**9


@dataclass(frozen=True)
class Identity:
    """Whose rows they are."""

    collector: str = ''
    run: str = ''
    contract_hash: str = ''


class RowFile:
    """
    Rows by number in one file: a ring that is mapped as memory, and behind it one that is not.

    What is written outlives the process at once, since the system holds it; power loss may take
    it. `marks` are oldest, spilled and next, see Outbox: each is one store, so that a kill leaves
    the old or the new value. The space of the mapped part is taken at the start: a full disk
    cannot stop a process that writes there. The file is locked as long as its process lives.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        """Take over an open, locked file; raise InvalidInput if it is none of these."""
        self.path = path
        self.descriptor = descriptor
        self.identity, (self.width, rows, self.file_rows), _ = _read_head(descriptor, path)
        self._end = HEADER + rows * self.width * ITEM
        mapped = mmap.mmap(descriptor, self._end)
        self.memory = np.frombuffer(
            mapped, np.float64, rows * self.width, HEADER).reshape(rows, self.width)
        self.marks = np.frombuffer(mapped, np.int64, 3, MARKS.start)

    @classmethod
    def create(
        cls, path: Path, identity: Identity, width: int, rows: int = 10_000,
        file_rows: int = 1_000_000,
    ) -> 'RowFile':
        """Make the file at `path`, which must be new; raise Unavailable if it cannot be."""
        head = bytearray(HEADER)
        label = json.dumps(asdict(identity)).encode()
        head[:8] = MAGIC
        head[SIZES] = np.array([width, rows, file_rows], np.int64).tobytes()
        head[IDENTITY.start:IDENTITY.start + len(label)] = label
        aside = partial_path(path)
        descriptor = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.posix_fallocate(descriptor, 0, HEADER + rows * width * ITEM)
            os.pwrite(descriptor, head, 0)
            os.link(aside, path)  # unlike a rename it fails where something is
            aside.unlink()
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
                aside.unlink(missing_ok=True)
            raise Unavailable(
                f'outbox cannot make {path} ({error.strerror}); '
                'choose a new name in a writable directory with free space'
            ) from error
        return cls(descriptor, path)

    @classmethod
    def open_existing(cls, path: Path) -> 'RowFile | None':
        """Return what a process that died left at `path`; None while it lives."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise InvalidInput(f'{path} cannot be opened ({error.strerror})') from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = cls(descriptor, path)
            oldest, spilled, following = map(int, found.marks)
            if not 0 <= oldest <= following <= oldest + len(found.memory) + found.file_rows:
                raise InvalidInput(f'{path} counts rows from {oldest} to {following}; remove it')
            # The marks are set one after the other, and a kill may have come between.
            found.marks[1] = min(max(spilled, oldest), following)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except InvalidInput:
            os.close(descriptor)
            raise
        return found

    def write(self, number: int, row: np.ndarray) -> None:
        """Write row `number` behind the mapped ones; raise OSError when the disk is full."""
        data = row.tobytes()
        offset = self._end + number % self.file_rows * len(data)
        written = os.pwrite(self.descriptor, data, offset)
        if written < len(data):  # a full disk takes a part first and says so at the next try
            os.pwrite(self.descriptor, data[written:], offset + written)

    def read(self, number: int) -> np.ndarray:
        """Return the row that `write` was given as `number`, (width,)."""
        size = self.width * ITEM
        return np.frombuffer(
            os.pread(self.descriptor, size, self._end + number % self.file_rows * size))

    def close(self, remove: bool) -> None:
        """Give the file back, and `remove` it from the disk."""
        if remove:
            self.path.unlink(missing_ok=True)
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # the mapping holds a copy of the descriptor
        os.close(self.descriptor)


def left_behind(directory: Path, collector: str | None = None) -> list[Path]:
    """Return the files in `directory` of all collectors, or of one; alive or not."""
    if not directory.is_dir():
        return []
    return sorted(
        path for path in directory.glob(f'*{SUFFIX}')
        if collector is None or path.stem.rpartition('-')[0] == collector)


def produced_by(path: Path) -> tuple[Identity, int, int]:
    """Return whose rows a file holds, how many were ever made, and how many wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise InvalidInput(f'{path} cannot be opened ({error.strerror})') from error
    try:
        identity, _, (oldest, _, following) = _read_head(descriptor, path)
        return identity, following, following - oldest
    finally:
        os.close(descriptor)


def _read_head(descriptor: int, path: Path) -> tuple[Identity, list[int], list[int]]:
    """
    Return identity, (width, rows, file_rows) and marks.

    Raise InvalidInput if it is no such file.
    """
    head = os.pread(descriptor, HEADER, 0)
    if len(head) < HEADER or not head.startswith(MAGIC):
        raise InvalidInput(f'{path} does not hold rows of a collector; remove it')
    sizes, marks = ([int(value) for value in np.frombuffer(head[part], np.int64)]
                    for part in (SIZES, MARKS))
    width, rows, _ = sizes
    if (not all(0 < size <= SIZE_LIMIT for size in sizes)
            or os.fstat(descriptor).st_size < HEADER + rows * width * ITEM):
        raise InvalidInput(f'{path} says sizes {sizes} and does not have them; remove it')
    try:
        identity = Identity(**json.loads(head[IDENTITY].rstrip(b'\0')))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(f'{path} does not say whose rows it holds; remove it') from error
    return identity, sizes, marks


def waiting_rows(out: Path) -> Iterator[tuple[Path, str, int]]:
    """Yield (file, collector, rows) of what killed collectors have not delivered yet."""
    for path in left_behind(out / 'spill'):
        if unlocked(path):
            try:
                identity, _, waiting = produced_by(path)
            except InvalidInput:
                identity, waiting = None, 0
            yield path, identity.collector if identity else '', waiting
