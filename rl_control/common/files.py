# SPDX-License-Identifier: Apache-2.0
"""Write files so that a reader, and a power cut, see the old one or the new one, whole."""

from collections.abc import Mapping
import hashlib
import json
import os
from pathlib import Path
from typing import Any

JSON_LIMIT = 2**21  # bytes: what a parser makes of them may be thirty times as large


def aside_of(path: Path) -> Path:
    """Return where this process writes what is to be `path`: beside it, hidden."""
    return path.with_name(f'.{path.name}.{os.getpid()}.partial')


def write_aside(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, flush it to the disk, then rename it to `path`."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write `files` aside and flush them, then rename all: a full disk changes none of them."""
    asides = {aside_of(path): path for path in files}
    try:
        for aside, data in zip(asides, files.values(), strict=True):
            with aside.open('wb') as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for aside, path in asides.items():
            aside.replace(path)
    finally:
        for aside in asides:
            aside.unlink(missing_ok=True)
    for directory in {path.parent for path in files}:
        sync_directory(directory)


def sync_directory(path: Path) -> None:
    """Flush the names in the directory `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_directory() -> Path:
    """Return where the package keeps what it can make again."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'rl_control'


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_json(path: Path) -> Any:
    """Return what a small file of ours holds; raise OSError or ValueError for any other."""
    with path.open('rb') as file:
        return parse_json(file.read(JSON_LIMIT + 1))


def parse_json(data: bytes) -> Any:
    """Return what `data` says; raise ValueError if it is no JSON, too large or too deep."""
    if len(data) > JSON_LIMIT:
        raise ValueError(f'it has more than {JSON_LIMIT} bytes')
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError('it nests too deep') from error


def require_small_header(data: bytes) -> None:
    """Raise ValueError unless the header of safetensors `data` is as small as ours are."""
    if (size := int.from_bytes(data[:8], 'little')) > JSON_LIMIT:
        raise ValueError(f'its header has {size} bytes, more than {JSON_LIMIT}')


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` as indented JSON, aside and then renamed; make the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, (json.dumps(values, indent=2) + '\n').encode())
