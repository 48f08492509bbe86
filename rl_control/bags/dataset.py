# SPDX-License-Identifier: Apache-2.0
"""
Transitions on disk: a directory of safetensors and one dataset.json.

It is written shard by shard, so that writing needs no more memory than for two of them: one
that fills and one on its way to the disk.
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

    `rows` as the learner has them; `stream` (n,) int64 indexes `streams`, the collector runs or
    recordings that they are from: episodes are numbered within one. `extra` (n, ...) is what else
    is known of each row, such as the ages of what was sampled in s. `report` says how it was made.
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
        Read a whole dataset.

        Raise InvalidInput if it is none, damaged, not complete, or not finite in float32.
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
    """Raise InvalidInput where a number of the rows could not be learned from."""
    for name in FINITE:
        values = getattr(rows, name)
        bad = ~finite(values.reshape(len(values), -1)).all(axis=1)
        if bad.any():
            raise InvalidInput(
                f'{where} has {bad.sum()} rows whose {name} is not finite in float32, the first '
                f'one is row {bad.argmax()}; make the dataset again without them')


def describe(path: Path | str) -> dict[str, Any]:
    """Return what dataset.json says; raise InvalidInput unless it is whole and of this format."""
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
    """Writes a dataset aside and puts it in place by `finish`; left without it, nothing stays."""

    def __init__(
        self, path: Path | str, contract: Contract, shard_rows: int = SHARD_ROWS,
    ) -> None:
        """Begin a dataset; raise InvalidInput when `path` exists or cannot be made."""
        self.path = Path(path)
        self.rows = 0
        self._contract = contract
        self._shard_rows = shard_rows
        self._streams: dict[str, int] = {}
        self._held: list[dict[str, np.ndarray]] = []
        self._held_rows = 0
        self._shards: list[dict[str, Any]] = []
        # Serializing, hashing and writing let go of Python's lock: reading goes on meanwhile.
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
        """Write what is left and the description; return the digest of all shards."""
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
        """Wait for the shard on its way, and raise what kept it from the disk."""
        if self._stored is not None:
            self._stored.result()

    def _write(self, held: list[dict[str, np.ndarray]]) -> None:
        """Write one shard; on the thread."""
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
    Streams may lie among each other, as those of a bag do.
    """
    rows = dataset.rows
    order = np.argsort(dataset.stream, kind='stable')
    stream, episode, step, ends = (part[order] for part in (
        dataset.stream, rows.episode, rows.step, rows.terminated | rows.truncated))
    follows = (np.diff(stream) == 0) & (np.diff(episode) == 0) & (np.diff(step) == 1) & ~ends[:-1]
    return np.split(order, np.flatnonzero(~follows) + 1)
