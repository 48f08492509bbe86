# SPDX-License-Identifier: Apache-2.0
"""Row formats of the tables: transitions, episodes and acknowledgements."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
import math

import numpy as np

from rl_control.common.episode import CONFIRMATION, EVALUATION, TRAINING
from rl_control.common.errors import InvalidInput
from rl_control.common.transition_batch import TransitionBatch
from rl_control.common.types import Contract, Transition, finite
from rl_control.transport.table import Table, require_columns

STEP_COLUMNS = (
    'episode', 'step', 'stamp', 'version', 'log_prob', 'reward', 'terminated', 'truncated',
    'intervention',
)
NAME_LIMIT = 256
RUN_LIMIT = 2000  # that fit into the header of one acknowledgement, with names of any length
# Sequence numbers, exact as float64 in an acknowledgement even with rows and credit on top.
SEQUENCE_LIMIT = 2**52
ACKNOWLEDGE_COLUMNS = ('acknowledged', 'granted')


def transition_columns(contract: Contract) -> tuple[str, ...]:
    """
    Return the columns of a transition of this contract.

    Raise InvalidInput for an unusable name.
    """
    observation = [column.name for column in contract.observation]
    action = [column.name for column in contract.action]
    for name in (*observation, *action):
        if not name or ',' in name:
            raise InvalidInput(f'contract has column {name!r}; use a name without commas')
    return (
        *STEP_COLUMNS,
        *(f'observation.{name}' for name in observation),
        *(f'action.{name}' for name in action),
        *(f'applied.{name}' for name in action),
        *(f'next_observation.{name}' for name in observation),
    )


def transition_row(transition: Transition) -> np.ndarray:
    """Return the transition as one row (m,) in the order of `transition_columns`."""
    t = transition
    return np.concatenate([
        (t.episode, t.step, t.stamp, t.version, t.log_prob, t.reward, t.terminated, t.truncated,
         t.intervention),
        t.observation, t.action, t.applied, t.next_observation,
    ])


@dataclass(frozen=True, eq=False)
class TransitionRows:
    """
    Transitions by field, each array with n rows.

    `episode`, `step`, `version` (n,) int64; `stamp` s, `log_prob`, `reward` (n,); `terminated`,
    `truncated`, `intervention` (n,) bool; `observation`, `next_observation` (n, o); `action`,
    `applied` (n, a).
    """

    episode: np.ndarray
    step: np.ndarray
    stamp: np.ndarray
    version: np.ndarray
    log_prob: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    intervention: np.ndarray
    observation: np.ndarray
    action: np.ndarray
    applied: np.ndarray
    next_observation: np.ndarray

    @classmethod
    def read(cls, rows: np.ndarray, contract: Contract) -> 'TransitionRows':
        """Return the fields of `rows` (n, m), which passed `validate_rows`, as copies."""
        parts = _parts(rows, contract)
        for name in ('episode', 'step', 'version'):
            parts[name] = parts[name].astype(np.int64)
        for name in ('terminated', 'truncated', 'intervention'):
            parts[name] = parts[name] != 0.0
        return cls(**{name: np.array(part) for name, part in parts.items()})

    def __len__(self) -> int:
        return len(self.episode)

    def steps(self, streams: tuple[str, ...], stream: np.ndarray) -> TransitionBatch:
        """
        Return the rows as a batch to learn from; row i belongs to streams[stream[i]].

        The limits are part of the environment: policy, behaviour and q are all of the requested
        action, so its density holds whatever was applied. An intervention has none.
        """
        return TransitionBatch(
            streams, stream, self.episode, self.step, self.observation, self.action, self.reward,
            self.next_observation, 1.0 - self.terminated, self.intervention,
            np.where(self.intervention, np.nan, self.log_prob))


def validate_rows(rows: np.ndarray, contract: Contract) -> tuple[np.ndarray, dict[str, int]]:
    """
    Return a mask (n,) bool of valid `rows` (n, m), and the number of invalid ones by reason.

    A row counts once, under the first reason that applies. `log_prob` may be NaN: unknown.
    """
    parts = _parts(rows, contract)
    good = np.ones(len(rows), dtype=bool)
    refused: dict[str, int] = {}

    def require(reason: str, holds: np.ndarray) -> None:
        if count := int((good & ~holds).sum()):
            refused[reason] = count
        good[:] &= holds

    for name in ('observation', 'action', 'applied', 'next_observation'):
        require(f'{name} is not finite in float32', finite(parts[name]).all(axis=1))
    require('reward is not finite in float32', finite(parts['reward']))
    require('stamp is not finite', np.isfinite(parts['stamp']))
    require('log_prob is infinite', finite(parts['log_prob']) | np.isnan(parts['log_prob']))
    for name in ('terminated', 'truncated', 'intervention'):
        require(f'{name} is neither 0 nor 1', np.isin(parts[name], (0.0, 1.0)))
    for name, low in (('episode', 0), ('step', 0), ('version', -1)):
        part = parts[name]
        whole = (part == np.floor(part)) & (part >= low) & (part < 2.0**53)
        require(f'{name} is not an integer from {low}', whole)
    return good, refused


def _parts(rows: np.ndarray, contract: Contract) -> dict[str, np.ndarray]:
    """Return views of `rows` by field name."""
    o, a = len(contract.observation), len(contract.action)
    steps = len(STEP_COLUMNS)
    ends = np.cumsum([steps, o, a, a, o])
    if rows.ndim != 2 or rows.shape[1] != ends[-1]:
        raise InvalidInput(
            f'transitions have shape {rows.shape} but the contract has {ends[-1]} columns; '
            'use a sender of the same contract'
        )
    parts = {name: rows[:, index] for index, name in enumerate(STEP_COLUMNS)}
    names = ('observation', 'action', 'applied', 'next_observation')
    for name, start, end in zip(names, ends[:-1], ends[1:], strict=True):
        parts[name] = rows[:, start:end]
    return parts


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Collector, run and contract of a table, as its header has them.

    `first_sequence` is the number of the first row within the run, `oldest` that of the oldest
    row that the collector can still send.
    """

    collector: str
    run: str
    contract_hash: str
    first_sequence: int = 0
    oldest: int = 0

    def to_header(self) -> dict[str, str | int]:
        """Return the header of the table."""
        return asdict(self)

    @classmethod
    def from_header(cls, header: Mapping, contract_hash: str | None = None) -> 'Origin':
        """Read a table's header; raise InvalidInput if incomplete or of another contract."""
        for item in fields(cls):
            value = header.get(item.name)
            if item.type is int:
                good = isinstance(value, int) and 0 <= value < SEQUENCE_LIMIT
            else:
                good = _is_name(value)
            if not good:
                raise InvalidInput(
                    f'table header has {item.name} {str(value)[:40]!r}; '
                    'use a collector of this package'
                )
        origin = cls(**{item.name: header[item.name] for item in fields(cls)})
        if contract_hash is not None and origin.contract_hash != contract_hash:
            raise InvalidInput(
                f'collector {origin.collector} has contract {origin.contract_hash[:12]} but '
                f'{contract_hash[:12]} is learned; give both the same robot and task files'
            )
        return origin


def _is_name(value: object) -> bool:
    """Return True for a short, printable ASCII text, safe in every message, log and table."""
    return (isinstance(value, str) and 0 < len(value) <= NAME_LIMIT
            and value.isascii() and value.isprintable())


def acknowledge_table(runs: Sequence[str], rows: np.ndarray, learner: str) -> Table:
    """Return the table with which a learner run sends (acknowledged, granted) (n, 2) by run."""
    return Table(ACKNOWLEDGE_COLUMNS, rows, {'learner': learner, 'runs': list(runs)})


def read_acknowledge(table: Table) -> tuple[str, dict[str, tuple[int, int]]]:
    """
    Return the learner run and (acknowledged, granted) by collector run.

    Raise InvalidInput for any other table.
    """
    require_columns(table.columns, ACKNOWLEDGE_COLUMNS)
    learner, runs, rows = table.header.get('learner'), table.header.get('runs'), table.rows
    if not _is_name(learner):
        raise InvalidInput(f'acknowledgement is of learner {str(learner)[:40]!r}; '
                      'use a learner of this package')
    if not isinstance(runs, list) or len(runs) != len(rows):
        raise InvalidInput(f'acknowledgement has runs {str(runs)[:40]} for {len(rows)} rows; '
                      'give one per row')
    if not (np.isfinite(rows).all() and (rows >= 0).all() and (rows < 2.0**53).all()):
        raise InvalidInput(f'acknowledgement has rows {str(rows.tolist())[:80]}; '
                      'they must count from 0')
    return learner, {
        run: (int(acknowledged), int(granted))
        for run, (acknowledged, granted) in zip(runs, rows, strict=True)
    }


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """
    One finished episode.

    `length` in steps, `success` 0 or 1, NaN where it is unknown, `version` of the policy, `phase`
    one of TRAINING, EVALUATION, CONFIRMATION, `stamp` in s at its end, goal and distance in m (NaN
    where the task has none), `episode_return` without discount.
    """

    episode: int
    episode_return: float
    length: int
    success: float
    version: int
    phase: int
    stamp: float
    goal_x: float = float('nan')
    goal_y: float = float('nan')
    goal_z: float = float('nan')
    final_distance: float = float('nan')

    @property
    def succeeded(self) -> bool | None:
        """Return the success, None where it is unknown."""
        return None if math.isnan(self.success) else bool(self.success)

    def to_row(self) -> np.ndarray:
        """Return the row (m,) in the order of EPISODE_COLUMNS."""
        return np.array(astuple(self), dtype=np.float64)

    @classmethod
    def from_row(cls, row: np.ndarray) -> 'EpisodeRow':
        """Return the episode in a row of `to_row`; raise InvalidInput for impossible values."""
        whole = {'episode', 'length', 'version', 'phase'}
        names = [item.name for item in fields(cls)]
        values = dict(zip(names, np.asarray(row, dtype=float).tolist(), strict=True))
        for name in names[:7]:
            value = values[name]
            if name == 'success' and math.isnan(value):
                continue
            if not np.isfinite(value) or (
                    name in whole and (value != int(value) or abs(value) >= 2.0**53)):
                raise InvalidInput(f'episode row has {name} {value}; it must be a finite number')
        if values['phase'] not in (TRAINING, EVALUATION, CONFIRMATION):
            raise InvalidInput(f'episode row has phase {values["phase"]}; it must be 0, 1 or 2')
        return cls(**{
            name: int(value) if name in whole else value for name, value in values.items()
        })


# `return` is a word of Python, hence the longer name of the field.
EPISODE_COLUMNS = tuple(
    item.name.removeprefix('episode_') for item in fields(EpisodeRow)
)
