# SPDX-License-Identifier: Apache-2.0
"""Core types: contract, command, state, outcome and transition, with shapes and units."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
import hashlib
import json

import numpy as np

from rl_control.common.errors import InvalidInput

# Units of a prismatic joint's columns before and now.
FORMER_UNITS = ({'rad', 'm'}, {'rad/s', 'm/s'})
COMMAND_INTERFACES = ('position', 'velocity', 'effort')
FLOAT32_MAX = float(np.finfo(np.float32).max)


def finite(values: np.ndarray) -> np.ndarray:
    """Return True for each of `values` that is finite in float32, the type of all learning."""
    return np.abs(values) <= FLOAT32_MAX


@dataclass(frozen=True, slots=True)
class Column:
    """Name and unit of one number of an observation or an action."""

    name: str
    unit: str


@dataclass(frozen=True)
class Contract:
    """
    Interface between a policy and its environment: columns, bounds, units and control period.

    `observation` and `action` describe each column in order; `action_low` and `action_high` are
    the bounds of the requested action in the unit of its column; `control_period` is in seconds.
    An environment without joints (any Gymnasium one) has no `joint_names`.
    """

    robot: str
    task: str
    joint_names: tuple[str, ...]
    observation: tuple[Column, ...]
    action: tuple[Column, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    command_interface: str
    control_period: float

    def __post_init__(self) -> None:
        if self.command_interface not in COMMAND_INTERFACES:
            raise InvalidInput(
                f'contract has command interface {self.command_interface!r}; '
                f'it must be one of {", ".join(COMMAND_INTERFACES)}'
            )
        if not len(self.action) == len(self.action_low) == len(self.action_high):
            raise InvalidInput(
                f'contract has {len(self.action)} action columns but {len(self.action_low)} lower '
                f'and {len(self.action_high)} upper bounds; give one of each per column'
            )
        if not self.observation or not self.action:
            raise InvalidInput(
                'contract has no observation or no action columns; name at least one'
            )
        bounds = np.array([self.action_low, self.action_high])
        if not (np.isfinite(bounds).all() and (bounds[0] < bounds[1]).all()):
            raise InvalidInput(
                f'contract has action bounds {self.action_low} to {self.action_high}; '
                'each lower bound must be finite and below its upper bound'
            )
        if not 0.0 < self.control_period < float('inf'):
            raise InvalidInput(
                f'contract has a control period of {self.control_period} s; it must be positive'
            )

    @cached_property
    def hash(self) -> str:
        """Return the SHA-256 over every field, the same for all versions of one training."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return canonical JSON: equal contracts give equal text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(',', ':'))

    @classmethod
    def from_json(cls, text: str) -> 'Contract':
        """Parse the text of `to_json`; raise InvalidInput for any other text."""
        try:
            fields = json.loads(text)
            json.dumps(fields, ensure_ascii=False).encode()  # no lone surrogates
            contract = cls(
                robot=str(fields['robot']),
                task=str(fields['task']),
                joint_names=tuple(str(name) for name in fields['joint_names']),
                observation=tuple(_column(**column) for column in fields['observation']),
                action=tuple(_column(**column) for column in fields['action']),
                action_low=tuple(float(bound) for bound in fields['action_low']),
                action_high=tuple(float(bound) for bound in fields['action_high']),
                command_interface=str(fields['command_interface']),
                control_period=float(fields['control_period']),
            )
        except InvalidInput:
            raise
        except (TypeError, KeyError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidInput(
                f'contract cannot be read ({type(error).__name__}: {error}); '
                'take a file that rl_control exported'
            ) from error
        if json.loads(contract.to_json()) != fields:
            raise InvalidInput(
                'contract has unknown fields or wrong types; '
                'take a file that rl_control exported'
            )
        return contract

    def require_equal(self, other: 'Contract', mine: str, others: str) -> None:
        """Raise InvalidInput naming the first difference; `mine` and `others` name the two."""
        if self == other:
            return
        columns = (*self.observation, *self.action), (*other.observation, *other.action)
        for own, its in zip(*columns, strict=False):
            if own.name == its.name and {own.unit, its.unit} in FORMER_UNITS:
                raise InvalidInput(
                    f'{mine} has {own.name} in {own.unit} but {others} in {its.unit}; '
                    'prismatic joints are in m, so train that policy again')
        here, there = asdict(self), asdict(other)
        for name, value in here.items():
            if value != there[name]:
                raise InvalidInput(
                    f'{mine} has {name} {_words(value)} but {others} has '
                    f'{_words(there[name])}; use a policy and a robot of the same contract'
                )


def _column(name: object, unit: object) -> Column:
    return Column(str(name), str(unit))


def _words(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return '[' + ', '.join(_words(item) for item in value) + ']'
    if isinstance(value, dict):
        return f'{value["name"]} ({value["unit"]})'
    return str(value)


@dataclass(frozen=True, slots=True)
class Command:
    """Joint position `q` (n,) rad, velocity `dq` (n,) rad/s, acceleration `ddq` (n,) rad/s²."""

    q: np.ndarray
    dq: np.ndarray
    ddq: np.ndarray

    @classmethod
    def at_rest(cls, q: np.ndarray) -> 'Command':
        """Return the command that holds `q` (n,) rad."""
        q = np.array(q, dtype=float)
        return cls(q, np.zeros_like(q), np.zeros_like(q))


@dataclass(frozen=True, slots=True)
class State:
    """
    State of the arm at one control tick.

    `stamp` in s (the robot's own clock); measured `q` (n,) rad and `dq` (n,) rad/s in the
    contract's joint order; `pose` (4, 4) of the end effector in the base frame (m), by
    `kinematics` from `q`; `command`, the last one sent; `goal` (7,), see `poses`.
    """

    stamp: float
    q: np.ndarray
    dq: np.ndarray
    pose: np.ndarray
    command: Command
    goal: np.ndarray


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    Result of one step of an environment.

    `observation` (o,) is the next one; `applied` (a,) the action after the limits, in the
    action's unit; `stamp` in s; `success` is None where the environment says nothing of it;
    `error` is the distance from success (NaN where a task has none);
    `intervention`: an operator moved the arm instead of the policy.
    """

    observation: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    applied: np.ndarray
    stamp: float
    success: bool | None = False
    error: float = float('nan')
    goal: np.ndarray = field(default_factory=lambda: np.full(3, np.nan))
    intervention: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """
    One step of one episode.

    `observation` and `next_observation` (o,), `action` (a,) the requested action, `applied` (a,)
    the action after the limits, in the same unit; in an `intervention` `action` is the applied
    one, too. `discount` is 1 - terminated: a time-out is truncated and still bootstraps.
    `log_prob` is the behaviour's log density of `action` over its normalised range (NaN where
    unknown), `version` the policy's, -1 for no policy.
    """

    episode: int
    step: int
    stamp: float
    version: int
    log_prob: float
    observation: np.ndarray
    action: np.ndarray
    applied: np.ndarray
    reward: float
    next_observation: np.ndarray
    terminated: bool
    truncated: bool
    intervention: bool = False

    @property
    def discount(self) -> float:
        """Return 1 - terminated."""
        return 1.0 - float(self.terminated)
