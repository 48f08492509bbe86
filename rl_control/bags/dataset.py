# SPDX-License-Identifier: Apache-2.0
"""
Dataset on disk: transitions in a directory of safetensors shards and one dataset.json.

A writer needs the memory of two shards: one that fills and one on its way to the disk.
"""


from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
import shutil
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rl_control.common.errors import InvalidInput
from rl_control.common.files import (
    digest,
    read_json,
    require_small_header,
    write_atomically,
    write_json,
)
from rl_control.common.types import Contract, finite
from rl_control.transport.transition_rows import TransitionRows

FORMAT = 1
SHARD_ROWS = 65_536
DESCRIPTION = 'dataset.json'
ROW_FIELDS = tuple(item.name for item in fields(TransitionRows))
FINITE = ('observation', 'action', 'reward', 'next_observation')


@dataclass(frozen=True, eq=False)
class Dataset:
    """
    Transitions of one contract, in order within each stream.

    `rows`: the learner's columns; `stream` (n,) int64 indexes `streams`, the collector runs or
    recordings of the rows, within which episodes are numbered; `extra` (n, ...): further columns,
    such as the ages of the messages used, in s; `report`: how the dataset was made.
    """

    contract: Contract
    rows: TransitionRows
    stream: np.ndarray
    streams: tuple[str, ...]
    source: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    digest: str = ''

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def load(cls, path: Path | str) -> 'Dataset':
        """
        Return a whole dataset.

        Raise InvalidInput if it is no dataset, damaged, incomplete, or not finite in float32.
        """
        described = describe(path)
        parts = list(read_parts(path, described))
        if not parts:
            raise InvalidInput(f'dataset {path} has no transitions; make one from another bag')
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows = TransitionRows(**{name: joined.pop(name) for name in ROW_FIELDS})
        require_finite(rows, f'dataset {path}')
        return cls(
            contract=Contract.from_json(described['contract']),
            rows=rows,
            stream=joined.pop('stream'),
            streams=tuple(described['streams']),
            source=described['source'],
            report=described['report'],
            extra=joined,
            digest=described['digest'],
        )

    def save(self, path: Path | str) -> None:
        """Write the dataset to a new directory."""
        with DatasetWriter(path, self.contract) as writer:
            for index, name in enumerate(self.streams):
                chosen = self.stream == index
                writer.add(
                    name, TransitionRows(**{
                        item: getattr(self.rows, item)[chosen] for item in ROW_FIELDS}),
                    {item: values[chosen] for item, values in self.extra.items()})
            writer.finish(self.source, self.report)


def require_finite(rows: TransitionRows, where: str) -> None:
    """Raise InvalidInput where a value of the rows is not finite in float32."""
    for name in FINITE:
        values = getattr(rows, name)
        bad = ~finite(values.reshape(len(values), -1)).all(axis=1)
        if bad.any():
            raise InvalidInput(
                f'{where} has {bad.sum()} rows whose {name} is not finite in float32, the first '
                f'one is row {bad.argmax()}; make the dataset again without them')


def describe(path: Path | str) -> dict[str, Any]:
    """Return the content of dataset.json; raise InvalidInput unless it is complete."""
    file = Path(path) / DESCRIPTION
    try:
        described = read_json(file)
        if described['format'] != FORMAT:
            raise ValueError(f'format {described["format"]}')
        for name in ('contract', 'streams', 'source', 'report', 'shards', 'digest'):
            described[name]
        return described
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f'{path} is no dataset ({type(error).__name__}: {error}); make one with '
            'rl-control bag transitions'
        ) from error


def read_parts(
    path: Path | str, described: Mapping[str, Any],
) -> Iterator[dict[str, np.ndarray]]:
    """Return the arrays of each shard by name, checked against the digests in dataset.json."""
    for shard in described['shards']:
        file = Path(path) / Path(str(shard['file'])).name
        try:
            data = file.read_bytes()
            if digest(data) != shard['sha256']:
                raise InvalidInput(
                    f'{file} has another digest than dataset.json says; it is damaged, '
                    'so make the dataset again'
                )
            require_small_header(data)
            yield load(data)
        except (OSError, ValueError, SafetensorError) as error:
            raise InvalidInput(
                f'{file} cannot be read ({error}); make the dataset again'
            ) from error


class DatasetWriter:
    """Writer of a dataset: `finish` puts it in place; without it no file stays."""

    def __init__(
        self, path: Path | str, contract: Contract, shard_rows: int = SHARD_ROWS,
    ) -> None:
        """Start a dataset; raise InvalidInput when `path` exists or cannot be made."""
        self.path = Path(path)
        self.rows = 0
        self._contract = contract
        self._shard_rows = shard_rows
        self._streams: dict[str, int] = {}
        self._held: list[dict[str, np.ndarray]] = []
        self._held_rows = 0
        self._shards: list[dict[str, Any]] = []
        # Serializing, hashing and writing release Python's lock, so reading continues.
        self._thread = ThreadPoolExecutor(1, 'dataset')
        self._stored: Future[None] | None = None
        self._aside = self.path.with_name(f'.{self.path.name}.partial')
        if self.path.exists():
            raise InvalidInput(f'{path} exists; name a new directory or remove it')
        try:
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside.mkdir(parents=True)
        except OSError as error:
            raise InvalidInput(
                f'dataset {path} cannot be made ({error.strerror}); choose a writable directory'
            ) from error

    def __enter__(self) -> 'DatasetWriter':
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        shutil.rmtree(self._aside, ignore_errors=True)

    def add(
        self, stream: str, rows: TransitionRows, extra: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Append rows of one stream, with the same `extra` arrays each time."""
        if not len(rows):
            return
        index = self._streams.setdefault(stream, len(self._streams))
        arrays = {name: np.ascontiguousarray(getattr(rows, name)) for name in ROW_FIELDS}
        arrays['stream'] = np.full(len(rows), index, dtype=np.int64)
        self._held.append(arrays | dict(extra or {}))
        self.rows += len(rows)
        self._held_rows += len(rows)
        if self._held_rows >= self._shard_rows:
            self._store()

    def finish(self, source: Mapping[str, Any], report: Mapping[str, Any]) -> str:
        """Write the last shard and the description; return the digest of all shards."""
        if not self.rows:
            raise InvalidInput(
                'no transitions were made, so there is no dataset to write; the report says why'
            )
        self._store()
        self._wait()
        whole = digest(''.join(shard['sha256'] for shard in self._shards).encode())
        write_json(self._aside / DESCRIPTION, {
            'format': FORMAT,
            'contract': self._contract.to_json(),
            'contract_hash': self._contract.hash,
            'transitions': self.rows,
            'streams': list(self._streams),
            'source': dict(source),
            'shards': self._shards,
            'digest': whole,
            'report': dict(report),
        })
        self._aside.replace(self.path)
        return whole

    def _store(self) -> None:
        if not self._held:
            return
        self._wait()
        held, self._held, self._held_rows = self._held, [], 0
        self._stored = self._thread.submit(self._write, held)

    def _wait(self) -> None:
        """Wait for the shard on its way; re-raise an exception of the writing thread."""
        if self._stored is not None:
            self._stored.result()

    def _write(self, held: list[dict[str, np.ndarray]]) -> None:
        """Write one shard; runs on the writing thread."""
        arrays = {name: np.ascontiguousarray(np.concatenate([part[name] for part in held]))
                  for name in held[0]}
        held.clear()
        data = save(arrays)
        name = f'transitions-{len(self._shards):05d}.safetensors'
        write_atomically(self._aside / name, data)
        self._shards.append(
            {'file': name, 'rows': len(arrays['stream']), 'sha256': digest(data)})


def pieces(dataset: Dataset) -> list[np.ndarray]:
    """
    Return the indices (k,) of the rows of each unbroken piece of an episode, in its order.

    A piece ends with its episode, or where the next row of its stream is not its next step.
    Rows of several streams may alternate, as those of a bag do.
    """
    rows = dataset.rows
    order = np.argsort(dataset.stream, kind='stable')
    stream, episode, step, ends = (part[order] for part in (
        dataset.stream, rows.episode, rows.step, rows.terminated | rows.truncated))
    follows = (np.diff(stream) == 0) & (np.diff(episode) == 0) & (np.diff(step) == 1) & ~ends[:-1]
    return np.split(order, np.flatnonzero(~follows) + 1)
