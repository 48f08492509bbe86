# SPDX-License-Identifier: Apache-2.0
"""Gymnasium adapter: collect in any environment with vector observations and actions."""

from collections.abc import Callable, Mapping
import logging
import math
from numbers import Real
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Dict
import numpy as np

from rl_control.common.errors import EnvironmentFault, InvalidInput
from rl_control.common.types import Column, Contract, Outcome, finite
from rl_control.environments.gymnasium_name import parse_name

STEP_LIMIT = 1000  # of an episode, where the environment was registered without a limit
GOAL_KEYS = ('observation', 'achieved_goal', 'desired_goal')  # of a goal environment, in order
SUCCESS_KEYS = ('is_success', 'success')  # of `info`, whichever comes first
RATE = 20.0  # Hz, where the environment says no render_fps

logger = logging.getLogger(__name__)


class GymnasiumEnvironment:
    """
    An environment made by `gymnasium.make`, without joints and limits.

    `name` is as `parse_name` takes it. Observations of a dictionary space are its vectors side by
    side. Each reset and step is checked: an exception or an invalid result of the environment
    becomes an EnvironmentFault that names it, and the episode is void. Episodes of an environment
    that was registered without a limit of steps are truncated after STEP_LIMIT.
    """

    def __init__(self, name: str) -> None:
        self.name, environment_id, arguments = parse_name(name)
        try:
            self._world = gymnasium.make(environment_id, disable_env_checker=True, **arguments)
        except Exception as error:  # the environment's own code
            raise InvalidInput(
                f'Gymnasium cannot make {self.name!r} ({_words(error)}); name an environment that '
                'is installed, with its arguments, such as gymnasium:Pendulum-v1?g=9.81'
            ) from error
        self._columns = _columns(self.name, self._world.observation_space)
        self.contract = _contract(self.name, environment_id, self._world, self._columns)
        spec = self._world.spec
        self._limited = spec is not None and spec.max_episode_steps is not None
        self._warned = False  # of an episode that does not end
        self._steps = 0
        self._length = 0  # steps of this episode
        self._seeded = False

    @property
    def spec(self) -> EnvSpec | None:
        """Return how Gymnasium makes the environment, None for one that does not say."""
        return self._world.spec

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """Begin an episode; seed the environment from `rng` the first time."""
        seed = None if self._seeded else int(rng.integers(2**31))
        self._seeded = True
        self._length = 0
        result = self._call('reset', lambda: self._world.reset(seed=seed))
        if not isinstance(result, tuple) or len(result) != 2:
            raise self._fault('returned no (observation, info) from reset')
        return self._observation(result[0])

    def step(self, action: np.ndarray) -> Outcome:
        """Apply `action` (a,), clipped to the bounds of the action space; integers rounded."""
        space = self._world.action_space
        applied = np.clip(action, space.low, space.high)
        if np.issubdtype(space.dtype, np.integer):
            applied = np.rint(applied)
        applied = applied.astype(space.dtype)
        self._length += 1
        result = self._call(
            f'step {self._length} of an episode', lambda: self._world.step(applied))
        if not isinstance(result, tuple) or len(result) != 5:
            raise self._fault(
                'returned no (observation, reward, terminated, truncated, info) from step')
        observation, reward, terminated, truncated, info = result
        terminated = self._truth('terminated', terminated)
        truncated = self._truth('truncated', truncated) or (
            not terminated and self._endless())
        self._steps += 1
        return Outcome(
            observation=self._observation(observation),
            reward=self._reward(reward),
            terminated=terminated,
            truncated=truncated,
            applied=np.array(applied, dtype=float),
            stamp=self._steps * self.contract.control_period,
            success=_success(info),
        )

    def close(self) -> None:
        """Close the environment."""
        self._world.close()

    def _endless(self) -> bool:
        """Return True if the episode must be truncated, because nothing else ends it."""
        if self._limited or self._length < STEP_LIMIT:
            return False
        if not self._warned:
            self._warned = True
            logger.warning(
                'environment %s has no end after %d steps and no limit of its own; its episodes '
                'are truncated there. Give a limit by max_episode_steps=N, as in gymnasium:%s',
                self.name, STEP_LIMIT,
                f'{self.name}{"&" if "?" in self.name else "?"}max_episode_steps=200')
        return True

    def _call(self, where: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # the environment's own code
            raise self._fault(f'raised {_words(error)} in {where}') from error

    def _observation(self, given: Any) -> np.ndarray:
        """Return the columns (o,) of an observation as a copy."""
        parts = []
        for key, size in self._columns.items():
            try:
                part = np.array(given[key] if key else given, dtype=float)
            except (TypeError, ValueError, KeyError, IndexError) as error:
                raise self._fault(
                    f'returned an observation that is not of its space ({_words(error)})'
                ) from error
            if part.shape != (size,):
                raise self._fault(f'returned {key or "an observation"} of shape {part.shape}, but '
                                  f'its space has ({size},)')
            parts.append(part)
        observation = np.concatenate(parts)
        if not (good := finite(observation)).all():
            raise self._fault(f'returned {observation[~good][0]} in column '
                              f'{self.contract.observation[int(np.argmin(good))].name}')
        return observation

    def _reward(self, given: Any) -> float:
        reward = _scalar(given)
        if not finite(np.array([reward])).all():
            raise self._fault(f'returned the reward {str(given)[:40]}, which is no finite number')
        return reward

    def _truth(self, name: str, given: Any) -> bool:
        value = _scalar(given)
        if math.isnan(value):
            raise self._fault(
                f'returned {name} {str(given)[:40]}, which is neither true nor false')
        return bool(value)

    def _fault(self, what: str) -> EnvironmentFault:
        return EnvironmentFault(
            f'environment {self.name} {what}; this episode is left out, repair the environment')


def _success(info: Any) -> bool | None:
    """Return what `info` says of success, None where it says nothing."""
    for key in SUCCESS_KEYS:
        if isinstance(info, Mapping) and key in info:
            value = _scalar(info[key])
            return None if math.isnan(value) else bool(value)
    return None


def _scalar(given: Any) -> float:
    """Return the one number in a number or an array of any shape, NaN where there is none."""
    try:
        value = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        return math.nan
    return float(value.item()) if value.size == 1 else math.nan


def _words(error: Exception) -> str:
    """Return type and text of an error of others, on one line."""
    return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'.removesuffix(': ')


def _columns(name: str, space: gymnasium.Space) -> dict[str, int]:
    """Return the number of columns by key, '' for a space that is no dictionary."""
    spaces = {'': space}
    if isinstance(space, Dict):
        keys = list(space.spaces)
        if set(GOAL_KEYS) <= set(keys):
            keys = [*GOAL_KEYS, *(key for key in keys if key not in GOAL_KEYS)]
        spaces = {str(key): space.spaces[key] for key in keys}
    for part in spaces.values():
        _require_vector(name, 'observations', space, part)
    return {key: part.shape[0] for key, part in spaces.items()}


def _require_vector(
    name: str, what: str, space: gymnasium.Space, part: gymnasium.Space,
) -> None:
    if not isinstance(part, Box) or len(part.shape) != 1:
        raise InvalidInput(
            f'environment {name!r} has {what} {space}; choose one whose observations and actions '
            'are vectors (Box of one dimension, observations also a Dict of them)')


def _contract(
    name: str, environment_id: str, world: gymnasium.Env, columns: Mapping[str, int],
) -> Contract:
    space = world.action_space
    _require_vector(name, 'actions', space, space)
    with np.errstate(over='ignore'):
        span = np.subtract(space.high, space.low, dtype=np.float32)
    if not finite(span).all():
        raise InvalidInput(
            f'environment {name!r} has actions {space}, too wide to be scaled; wrap it in '
            'gymnasium.wrappers.RescaleAction, or choose one with finite bounds')
    rate = (world.metadata or {}).get('render_fps')
    return Contract(
        robot=f'gymnasium:{name}',
        task=environment_id,
        joint_names=(),
        observation=tuple(
            Column(f'{key}.{i}' if key else f'observation{i}', '1')
            for key, size in columns.items() for i in range(size)),
        action=tuple(Column(f'action{i}', '1') for i in range(space.shape[0])),
        action_low=tuple(float(bound) for bound in space.low),
        action_high=tuple(float(bound) for bound in space.high),
        command_interface='effort',
        control_period=1.0 / (rate if isinstance(rate, Real) and rate > 0 else RATE),
    )
