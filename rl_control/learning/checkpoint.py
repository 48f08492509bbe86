# SPDX-License-Identifier: Apache-2.0
"""
Checkpoints: save and load a training's state, atomically.

`DIRECTORY/<updates>/` holds `tensors.safetensors`, `state.json` and `manifest.json` with the
SHA-256 of both. It is written under another name, flushed to the disk and renamed; only then are
older checkpoints removed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import json
import logging
from pathlib import Path
import shutil
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

from rl_control.common.errors import InvalidInput
from rl_control.common.files import (
    digest,
    parse_json,
    read_json,
    require_small_header,
    sync_directory,
    write_atomically,
)
from rl_control.config.algorithm import AlgorithmSettings

TENSORS, STATE, MANIFEST = 'tensors.safetensors', 'state.json', 'manifest.json'

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A saved state: `tensors` by name, and `state`, plain values as JSON holds them."""

    path: Path
    updates: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def require(self, settings: Mapping[str, Any], names: Iterable[str]) -> None:
        """Raise InvalidInput where one of the named `settings` differs from the checkpoint's."""
        before = self.state['settings']
        for name in names:
            if settings.get(name) != before.get(name):
                raise InvalidInput(
                    f'checkpoint {self.path} has {name} {before.get(name)} but '
                    f'{settings.get(name)} is set; set {before.get(name)} again, or name another '
                    'directory with out')


def save(
    directory: Path | str,
    updates: int,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """
    Write a checkpoint and return its path; then remove all but the newest `keep` intact ones.

    Raise OSError when it cannot be written; earlier checkpoints are untouched then. One process
    at a time may save to `directory`.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    path, aside = directory / str(updates), directory / f'{updates}.partial'
    shutil.rmtree(aside, ignore_errors=True)  # left by a process that died while saving
    shutil.rmtree(directory / f'{updates}.old', ignore_errors=True)
    files = {
        TENSORS: write_tensors({k: t.contiguous() for k, t in tensors.items()}),
        STATE: json.dumps(state, allow_nan=False).encode(),
    }
    files[MANIFEST] = json.dumps({name: digest(data) for name, data in files.items()}).encode()
    try:
        aside.mkdir()
        for name, data in files.items():
            write_atomically(aside / name, data)
        if path.exists():
            # A directory cannot be renamed over another: move the old one to a name that `latest`
            # does not read.
            path.rename(directory / f'{updates}.old')
        aside.rename(path)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_directory(directory)
    _remove_old(directory, keep)
    return path


def load(path: Path | str) -> Checkpoint:
    """Return the checkpoint at `path`; raise InvalidInput naming it when it is corrupt."""
    path = Path(path)
    try:
        files = _read_verified(path)
        state = parse_json(files[STATE])
        if 'settings' in state:
            state['settings'] = AlgorithmSettings.from_former(state['settings'])
        return Checkpoint(path, int(path.name), read_tensors(files[TENSORS]), state)
    except OSError as error:
        raise InvalidInput(
            f'checkpoint {path} cannot be read: {error.filename}: {error.strerror}; '
            'name a directory that the learner saved'
        ) from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:  # InvalidInput too
        raise InvalidInput(
            f'checkpoint {path} is corrupt: {error}; use an older one'
        ) from error


def latest(directory: Path | str) -> Checkpoint | None:
    """Return the newest intact checkpoint, or None; log each corrupt one that is skipped."""
    for path in _newest_first(Path(directory)):
        try:
            return load(path)
        except InvalidInput as refused:
            logger.warning('%s', refused)
    return None


def _read_verified(path: Path) -> dict[str, bytes]:
    """Return the files by name; raise InvalidInput where a digest is not the manifest's."""
    manifest = read_json(path / MANIFEST)
    files = {name: (path / name).read_bytes() for name in (TENSORS, STATE)}
    for name, data in files.items():
        if not isinstance(manifest, dict) or manifest.get(name) != digest(data):
            raise InvalidInput(f'{name} does not have the digest in {MANIFEST}')
    require_small_header(files[TENSORS])
    return files


def _newest_first(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    named = [path for path in directory.iterdir() if path.name.isdecimal()]
    return sorted(named, key=lambda path: int(path.name), reverse=True)


def _remove_old(directory: Path, keep: int) -> None:
    """Remove leftovers, and checkpoints older than the newest `keep` intact ones."""
    for left in (*directory.glob('*.partial'), *directory.glob('*.old')):
        shutil.rmtree(left, ignore_errors=True)
    intact = 0
    for path in _newest_first(directory):
        if intact >= keep:
            shutil.rmtree(path, ignore_errors=True)
            continue
        try:
            _read_verified(path)
        except (OSError, ValueError):
            continue
        intact += 1
