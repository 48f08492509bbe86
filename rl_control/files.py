# SPDX-License-Identifier: Apache-2.0
"""Write files so that a reader, and a power cut, see the old one or the new one, whole."""

from collections.abc import Mapping
import hashlib
import json
import os
from pathlib import Path
from typing import Any


def write_aside(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, flush it to the disk, then rename it to `path`."""
    aside = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        with aside.open('wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Flush the names in the directory `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` as indented JSON, aside and then renamed; make the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, (json.dumps(values, indent=2) + '\n').encode())
