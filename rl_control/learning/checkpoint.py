# SPDX-License-Identifier: Apache-2.0
"""
Checkpoints: a directory each, which is complete or is not there.

`DIRECTORY/<updates>/` holds `tensors.safetensors`, `state.json` and `manifest.json` with the
SHA-256 of both. It is written aside, flushed to the disk and renamed; older ones go only then.
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
    """What was saved: `tensors` by name, and `state`, plain values that JSON holds."""

    path: Path
    updates: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def require(self, settings: Mapping[str, Any], names: Iterable[str]) -> None:
        """Raise InvalidInput where one of these `settings` is not as it was."""
        before = self.state['settings']
        for name in names:
            if settings.get(name) != before.get(name):
                raise InvalidInput(
                    f'checkpoint {self.path} has {name} {before.get(name)} but '
                    f'{settings.get(name)} is set; set it as it was, or name another directory '
                    'with out')


def save(
    directory: Path | str,
    updates: int,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """
    Write a checkpoint and return its path; then remove all but the newest `keep` that are whole.

    Raise OSError when it cannot be written: what was there before is untouched then. One
    process at a time may save to `directory`.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    path, aside = directory / str(updates), directory / f'{updates}.partial'
    shutil.rmtree(aside, ignore_errors=True)  # left by a process that died here
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
            # A directory cannot be renamed over another: the old one waits under a name that
            # `latest` does not read until the new one is in its place.
            path.rename(directory / f'{updates}.old')
        aside.rename(path)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_directory(directory)
    _remove_old(directory, keep)
    return path


def load(path: Path | str) -> Checkpoint:
    """Return the checkpoint at `path`; raise InvalidInput naming it when it is not whole."""
    path = Path(path)
    try:
        files = _whole(path)
        state = parse_json(files[STATE])
        if 'settings' in state:
            state['settings'] = AlgorithmSettings.from_former(state['settings'])
        return Checkpoint(path, int(path.name), read_tensors(files[TENSORS]), state)
    except OSError as error:
        raise InvalidInput(
            f'checkpoint {path} cannot be read: {error.filename}: {error.strerror}; '
            'give a directory that the learner saved'
        ) from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:  # InvalidInput too
        raise InvalidInput(
            f'checkpoint {path} is not whole: {error}; take an older one'
        ) from error


def latest(directory: Path | str) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, or None; tell in the log what is passed over."""
    for path in _newest_first(Path(directory)):
        try:
            return load(path)
        except InvalidInput as refused:
            logger.warning('%s', refused)
    return None


def _whole(path: Path) -> dict[str, bytes]:
    """Return the files by name, their digests compared with the manifest's."""
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
    """Remove leftovers and what is older than the newest `keep` checkpoints that are whole."""
    for left in (*directory.glob('*.partial'), *directory.glob('*.old')):
        shutil.rmtree(left, ignore_errors=True)
    whole = 0
    for path in _newest_first(directory):
        if whole >= keep:
            shutil.rmtree(path, ignore_errors=True)
            continue
        try:
            _whole(path)
        except (OSError, ValueError):
            continue
        whole += 1
