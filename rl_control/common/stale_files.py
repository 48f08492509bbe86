# SPDX-License-Identifier: Apache-2.0
"""What processes that were killed leave behind, and the removal of what is provably dead."""

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

SHARED = Path('/dev/shm')
LOCKS = ('_el', '_sl')  # of Fast DDS, held exclusively or shared as long as their owner lives
MIN_AGE = 60.0  # s; what is younger may be about to be locked
PARTIAL_NAME = re.compile(r'\..+\.(\d+)\.partial')  # as rl_control.common.files.aside_of names it
MAKING = 'making-'  # begins the name of a folder that updates are compiled in


@dataclass(frozen=True)
class Segment:
    """A shared-memory file of Fast DDS whose owner is dead, with all that belongs to it."""

    files: tuple[Path, ...]
    size: int


def dead_segments(directory: Path = SHARED) -> list[Segment]:
    """
    Return what Fast DDS left in shared memory: locks that nobody holds, maps that nobody has.

    Files without a lock are left out, since nothing proves that their owner is dead; so are those
    of other users.
    """
    if not directory.is_dir():
        return []
    mapped = _mapped(directory)
    found = []
    for base in sorted({
            str(path)[:-3] for path in directory.glob('*fast*') if path.name[-3:] in LOCKS
            and path.name.startswith(('fastdds_', 'fastrtps_'))}):
        name = Path(base).name
        locks = [Path(base + lock) for lock in LOCKS if Path(base + lock).exists()]
        files = [path for path in (Path(base), directory / f'sem.{name}_mutex')
                 if path.exists()] + locks
        if not mapped & {str(path) for path in files} and all(map(_abandoned, locks)):
            found.append(Segment(tuple(files), sum(map(_size, files))))
    return found


def dead_files(out: Path) -> list[Path]:
    """Return what processes that no longer run were writing aside below a run's directory."""
    return sorted(
        path for path in out.rglob('.*.partial')
        if (named := PARTIAL_NAME.fullmatch(path.name)) and not Path(f'/proc/{named[1]}').exists()
        and _age(path) > MIN_AGE)


def dead_compilations() -> list[Path]:
    """Return the folders in the cache in which nobody compiles any more: no process names them."""
    named = _command_lines()
    return sorted(
        path for path in cache_directory().glob(f'{MAKING}*')
        if path.is_dir() and _age(path) > MIN_AGE and not any(str(path) in line for line in named))


def remove(files: Iterator[Path] | list[Path] | tuple[Path, ...]) -> int:
    """Remove files, and folders with all that is in them; return how many there were."""
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
    """Say whether nobody holds a lock on `path`."""
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
    """Return the command lines of all processes, as far as they may be seen."""
    lines = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        with suppress(OSError):  # it has just ended
            lines.append(path.read_bytes().decode(errors='replace'))
    return lines


def _mapped(directory: Path) -> set[str]:
    """Return the files of `directory` that any process maps, as far as it may be seen."""
    mapped = set()
    for maps in Path('/proc').glob('[0-9]*/maps'):
        try:
            lines = maps.read_text(errors='replace').splitlines()
        except OSError:
            continue
        mapped |= {line[line.index('/'):] for line in lines if f' {directory}/' in line}
    return mapped
