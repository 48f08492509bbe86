# SPDX-License-Identifier: Apache-2.0
"""Reach as a goal environment of Stable-Baselines3, whose networks get the same 30 columns."""

from typing import Any

import gymnasium
from gymnasium import spaces
import numpy as np
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
import torch
from torch import Tensor

from rl_control.environments.make import load_arm
from rl_control.environments.tasks.reach import BEARING_DISTANCE


def as_goal_observation(observation: np.ndarray) -> dict[str, np.ndarray]:
    """Return goal-independent columns, achieved goal and desired goal of an observation (30,)."""
    position, way = observation[-9:-6], observation[-6:-3]
    return {'observation': observation[:-9], 'achieved_goal': position,
            'desired_goal': position + way}


class GoalEnv(gymnasium.Wrapper):
    """Splits the observations of a sparse reach, and computes rewards for other goals."""

    def __init__(self, world: gymnasium.Env) -> None:
        super().__init__(world)
        self._success_distance = load_arm('iiwa', 'reach').task.settings.success_distance
        goal = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        size = world.observation_space.shape[0] - 9
        self.observation_space = spaces.Dict({
            'observation': spaces.Box(-np.inf, np.inf, (size,), np.float32),
            'achieved_goal': goal, 'desired_goal': goal})

    def reset(self, **given: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        observation, info = self.env.reset(**given)
        return as_goal_observation(observation), info

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        observation, *rest = self.env.step(action)
        return as_goal_observation(observation), *rest

    def compute_reward(
        self, achieved: np.ndarray, desired: np.ndarray, info: Any
    ) -> np.ndarray:
        """Return rewards (n,) for goals (n, 3), as HerReplayBuffer calls it."""
        away = np.linalg.norm(achieved - desired, axis=-1)
        return np.where(away <= self._success_distance, 0.0, -1.0).astype(np.float32)


class ReachFeatures(BaseFeaturesExtractor):
    """Appends the vector to the goal and its bearing, as the task reach does."""

    def __init__(self, space: spaces.Dict) -> None:
        super().__init__(space, space['observation'].shape[0] + 9)

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        position = given['achieved_goal']
        way = given['desired_goal'] - position
        bearing = way / (torch.linalg.norm(way, dim=1, keepdim=True) + BEARING_DISTANCE)
        return torch.cat((given['observation'], position, way, bearing), dim=1)
