# SPDX-License-Identifier: Apache-2.0
"""Memory-mapped spill file of an outbox: rows survive the process that appended them."""

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
    """The collector, run and contract that made the rows of a file or a message."""

    collector: str = ''
    run: str = ''
    contract_hash: str = ''


class SpillFile:
    """
    Two ring buffers of rows in one file, addressed by number: the first is mapped, the other not.

    Written rows survive the process, because the kernel holds the pages; power loss may lose
    them. `marks` are oldest, spilled and next (see Outbox). Each is one 8-byte store, so a kill
    leaves the old or the new value. The disk space of the mapped part is allocated at the start,
    so a full disk cannot stop a process that writes to it. The process holds a lock on the file
    until it ends.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        """Map an open, locked file; raise InvalidInput if it is no spill file."""
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
    ) -> 'SpillFile':
        """Create the file at `path`, which must not exist; raise Unavailable if that fails."""
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
            os.link(aside, path)  # unlike rename, fails if `path` exists
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
    def open_existing(cls, path: Path) -> 'SpillFile | None':
        """Open the file of a dead process at `path`; return None while its process lives."""
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
            # The marks are set one after the other; the process may have been killed in between.
            found.marks[1] = min(max(spilled, oldest), following)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except InvalidInput:
            os.close(descriptor)
            raise
        return found

    def write(self, number: int, row: np.ndarray) -> None:
        """Write row `number` behind the mapped part; raise OSError when the disk is full."""
        data = row.tobytes()
        offset = self._end + number % self.file_rows * len(data)
        written = os.pwrite(self.descriptor, data, offset)
        if written < len(data):  # a full disk writes a part first and fails at the next try
            os.pwrite(self.descriptor, data[written:], offset + written)

    def read(self, number: int) -> np.ndarray:
        """Return row `number` as `write` stored it, (width,)."""
        size = self.width * ITEM
        return np.frombuffer(
            os.pread(self.descriptor, size, self._end + number % self.file_rows * size))

    def close(self, remove: bool) -> None:
        """Unlock and close the file; delete it if `remove`."""
        if remove:
            self.path.unlink(missing_ok=True)
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # the mapping holds a copy of the descriptor
        os.close(self.descriptor)


def spill_files(directory: Path, collector: str | None = None) -> list[Path]:
    """Return the spill files in `directory`, of all collectors or of one, in use or not."""
    if not directory.is_dir():
        return []
    return sorted(
        path for path in directory.glob(f'*{SUFFIX}')
        if collector is None or path.stem.rpartition('-')[0] == collector)


def read_account(path: Path) -> tuple[Identity, int, int]:
    """Return the identity of a spill file, how many rows were appended, and how many remain."""
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

    Raise InvalidInput if it is no spill file.
    """
    head = os.pread(descriptor, HEADER, 0)
    if len(head) < HEADER or not head.startswith(MAGIC):
        raise InvalidInput(f'{path} does not hold rows of a collector; remove it')
    sizes, marks = ([int(value) for value in np.frombuffer(head[part], np.int64)]
                    for part in (SIZES, MARKS))
    width, rows, _ = sizes
    if (not all(0 < size <= SIZE_LIMIT for size in sizes)
            or os.fstat(descriptor).st_size < HEADER + rows * width * ITEM):
        raise InvalidInput(f'{path} is shorter than its sizes {sizes} require; remove it')
    try:
        identity = Identity(**json.loads(head[IDENTITY].rstrip(b'\0')))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(f'{path} does not name the run of its rows; remove it') from error
    return identity, sizes, marks


def undelivered_rows(out: Path) -> Iterator[tuple[Path, str, int]]:
    """Yield (file, collector, rows) for each spill file that a dead collector left."""
    for path in spill_files(out / 'spill'):
        if unlocked(path):
            try:
                identity, _, waiting = read_account(path)
            except InvalidInput:
                identity, waiting = None, 0
            yield path, identity.collector if identity else '', waiting
