# SPDX-License-Identifier: Apache-2.0
"""Gymnasium adapter: collect in any environment with vector observations and actions."""

import gymnasium
import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Column, Contract, Outcome


class GymnasiumEnvironment:
    """An environment made by `gymnasium.make(environment_id)`, without joints and limits."""

    def __init__(self, environment_id: str) -> None:
        try:
            self._world = gymnasium.make(environment_id)
        except (gymnasium.error.Error, ImportError) as error:
            raise InvalidInput(
                f'Gymnasium cannot make {environment_id!r} ({error}); '
                'name an environment that is installed, such as gymnasium:Pendulum-v1'
            ) from error
        self.contract = _contract(environment_id, self._world)
        self._steps = 0
        self._seeded = False

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """Begin an episode; seed the environment from `rng` the first time."""
        seed = None if self._seeded else int(rng.integers(2**31))
        self._seeded = True
        observation, _ = self._world.reset(seed=seed)
        return np.array(observation, dtype=float)

    def step(self, action: np.ndarray) -> Outcome:
        """Apply `action` (a,), clipped to the bounds of the action space."""
        space = self._world.action_space
        applied = np.clip(action, space.low, space.high).astype(space.dtype)
        observation, reward, terminated, truncated, info = self._world.step(applied)
        self._steps += 1
        return Outcome(
            observation=np.array(observation, dtype=float),
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            applied=np.array(applied, dtype=float),
            stamp=self._steps * self.contract.control_period,
            success=bool(info.get('is_success', False)),
        )

    def close(self) -> None:
        """Close the environment."""
        self._world.close()


def _contract(environment_id: str, world: gymnasium.Env) -> Contract:
    spaces = {'observations': world.observation_space, 'actions': world.action_space}
    for what, space in spaces.items():
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise InvalidInput(
                f'environment {environment_id!r} has {what} {space}; '
                'choose one whose observations and actions are vectors (Box of one dimension)'
            )
    observations, actions = world.observation_space.shape[0], world.action_space.shape[0]
    rate = world.metadata.get('render_fps') or 20
    return Contract(
        robot=f'gymnasium:{environment_id}',
        task=environment_id,
        joint_names=(),
        observation=tuple(Column(f'observation{i}', '1') for i in range(observations)),
        action=tuple(Column(f'action{i}', '1') for i in range(actions)),
        action_low=tuple(float(bound) for bound in world.action_space.low),
        action_high=tuple(float(bound) for bound in world.action_space.high),
        command_interface='effort',
        control_period=1.0 / rate,
    )
