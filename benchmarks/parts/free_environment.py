# SPDX-License-Identifier: Apache-2.0
"""A Gymnasium environment without cost, with the columns of a reach of seven joints."""

from typing import Any

import gymnasium
import numpy as np

OBSERVATION, ACTION, LENGTH = 30, 7, 50
NAME = f'{__name__}:rl_control/Still-v0'


class Still(gymnasium.Env):
    """An environment whose state never changes; episodes are as long as those of reach."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATION,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTION,), np.float64)

    def __init__(self) -> None:
        self._observation = np.zeros(OBSERVATION)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._steps = 0
        return self._observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Count a step."""
        self._steps += 1
        return self._observation, 0.0, False, self._steps >= LENGTH, {}


gymnasium.register(
    'rl_control/Still-v0', entry_point=Still, disable_env_checker=True, order_enforce=False)
