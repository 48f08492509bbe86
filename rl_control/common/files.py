# SPDX-License-Identifier: Apache-2.0
"""Atomic file writes, digests, and JSON of limited size."""

from collections.abc import Mapping
import hashlib
import json
import os
from pathlib import Path
from typing import Any

ARGUMENTS, PARAMETERS = 'started.json', 'parameters.yaml'  # of a training's directory
JSON_LIMIT = 2**21  # bytes; parsed objects may take thirty times as much memory


def partial_path(path: Path) -> Path:
    """Return the hidden file beside `path` that this process writes before it renames it."""
    return path.with_name(f'.{path.name}.{os.getpid()}.partial')


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a partial file, flush it to the disk, then rename it to `path`."""
    write_all_atomically({path: data})


def write_all_atomically(files: Mapping[Path, bytes]) -> None:
    """Write and flush partial files, then rename all: a full disk changes none of `files`."""
    partials = {partial_path(path): path for path in files}
    try:
        for partial, data in zip(partials, files.values(), strict=True):
            with partial.open('wb') as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for partial, path in partials.items():
            partial.replace(path)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)
    for directory in {path.parent for path in files}:
        sync_directory(directory)


def sync_directory(path: Path) -> None:
    """Flush the entries of the directory `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_directory() -> Path:
    """Return the directory of files that the package can make again."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'rl_control'


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_json(path: Path) -> Any:
    """Return the contents of a small JSON file; raise OSError or ValueError if it is none."""
    with path.open('rb') as file:
        return parse_json(file.read(JSON_LIMIT + 1))


def parse_json(data: bytes) -> Any:
    """Return `data` as JSON; raise ValueError if it is no JSON, too large or nested too deep."""
    if len(data) > JSON_LIMIT:
        raise ValueError(f'it has more than {JSON_LIMIT} bytes')
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError('it nests too deep') from error


def require_small_header(data: bytes) -> None:
    """Raise ValueError if the header of safetensors `data` exceeds `JSON_LIMIT`."""
    if (size := int.from_bytes(data[:8], 'little')) > JSON_LIMIT:
        raise ValueError(f'its header has {size} bytes, more than {JSON_LIMIT}')


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` as indented JSON, atomically; make the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(values, indent=2) + '\n').encode())
