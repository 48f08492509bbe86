# SPDX-License-Identifier: Apache-2.0
"""Stale files and shared memory of killed processes: find and delete them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
import fcntl
import os
from pathlib import Path
import re
import shutil
import time

from rl_control.common.files import cache_directory

SHARED_MEMORY = Path('/dev/shm')
LOCK_SUFFIXES = ('_el', '_sl')  # Fast DDS: exclusive or shared, held while the owner lives
MIN_AGE = 60.0  # s; a younger file may be about to be locked
PARTIAL_NAME = re.compile(r'\..+\.(\d+)\.partial')  # of files.partial_path
COMPILATION_PREFIX = 'making-'  # prefix of the folders in which updates are compiled


@dataclass(frozen=True)
class Segment:
    """The files of one shared-memory segment of Fast DDS whose owner is dead; size in bytes."""

    files: tuple[Path, ...]
    size: int


def dead_segments(directory: Path = SHARED_MEMORY) -> list[Segment]:
    """
    Return the segments of Fast DDS that no process locks or maps.

    Files without a lock are left out, since nothing proves that their owner is dead; so are
    files of other users.
    """
    if not directory.is_dir():
        return []
    mapped = _mapped(directory)
    found = []
    for base in sorted({
            str(path)[:-3] for path in directory.glob('*fast*') if path.name[-3:] in LOCK_SUFFIXES
            and path.name.startswith(('fastdds_', 'fastrtps_'))}):
        name = Path(base).name
        locks = [Path(base + suffix) for suffix in LOCK_SUFFIXES if Path(base + suffix).exists()]
        files = [path for path in (Path(base), directory / f'sem.{name}_mutex')
                 if path.exists()] + locks
        if not mapped & {str(path) for path in files} and all(map(_abandoned, locks)):
            found.append(Segment(tuple(files), sum(map(_size, files))))
    return found


def dead_files(out: Path) -> list[Path]:
    """Return partial files of processes that no longer run, below a run's directory."""
    return sorted(
        path for path in out.rglob('.*.partial')
        if (named := PARTIAL_NAME.fullmatch(path.name)) and not Path(f'/proc/{named[1]}').exists()
        and _age(path) > MIN_AGE)


def dead_compilations() -> list[Path]:
    """Return compile folders in the cache that no running process names."""
    named = _command_lines()
    return sorted(
        path for path in cache_directory().glob(f'{COMPILATION_PREFIX}*')
        if path.is_dir() and _age(path) > MIN_AGE and not any(str(path) in line for line in named))


def remove(files: Iterator[Path] | list[Path] | tuple[Path, ...]) -> int:
    """Delete files and folders with their contents; return how many were deleted."""
    count = 0
    for path in files:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            count += 1
        except FileNotFoundError:
            continue
    return count


def _abandoned(lock: Path) -> bool:
    return _age(lock) > MIN_AGE and os.access(lock, os.W_OK) and unlocked(lock)


def unlocked(path: Path) -> bool:
    """Return True if no process holds a lock on `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _command_lines() -> list[str]:
    """Return the command lines of all processes that this user may read."""
    lines = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        with suppress(OSError):  # the process has just ended
            lines.append(path.read_bytes().decode(errors='replace'))
    return lines


def _mapped(directory: Path) -> set[str]:
    """Return the files of `directory` that processes map, as far as this user may read."""
    mapped = set()
    for maps in Path('/proc').glob('[0-9]*/maps'):
        try:
            lines = maps.read_text(errors='replace').splitlines()
        except OSError:
            continue
        mapped |= {line[line.index('/'):] for line in lines if f' {directory}/' in line}
    return mapped
