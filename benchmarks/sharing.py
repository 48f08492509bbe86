# SPDX-License-Identifier: Apache-2.0
"""File locks by which concurrent calls of a benchmark share its work."""

from collections.abc import Iterator
from contextlib import contextmanager
import fcntl
from pathlib import Path


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock beside `path`; yield whether it is held, always True with `wait`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix('.lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
