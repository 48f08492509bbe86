# SPDX-License-Identifier: Apache-2.0
"""Reach: bring the end effector to a point in space."""

import numpy as np

from rl_control.config.task import TaskSettings
from rl_control.types import Column, State

PRECISION = 0.05  # weight of the logarithm, against 1 per m of distance
NEAR = 0.05  # m, the distance at which the bearing has half its full length


class Reach:
    """
    Of the goal the position counts, not the orientation.

    The dense reward is the negative distance, less a logarithmic term that is steepest about the
    success distance, less small costs of the action and of being away from the posture `home`
    (n,) rad, without which an arm of seven joints drifts towards its limits from goal to goal.
    The logarithm is that of Levine et al. 2016, "End-to-end training of deep visuomotor
    policies", section 5.2; their other term is the squared distance.
    """

    def __init__(self, settings: TaskSettings, home: np.ndarray) -> None:
        self.settings = settings
        self._home = home

    def columns(self, joint_names: tuple[str, ...]) -> tuple[Column, ...]:
        """Describe each number of the observation."""
        return (
            *(Column(f'{name}.q', 'rad') for name in joint_names),
            *(Column(f'{name}.dq', 'rad/s') for name in joint_names),
            *(Column(f'{name}.command_dq', 'rad/s') for name in joint_names),
            *(Column(f'end_effector.{axis}', 'm') for axis in 'xyz'),
            *(Column(f'to_goal.{axis}', 'm') for axis in 'xyz'),
            *(Column(f'bearing.{axis}', '1') for axis in 'xyz'),
        )

    def observe(self, state: State) -> np.ndarray:
        """
        Return q, dq, the commanded dq, the end effector, the way to the goal and its bearing.

        The bearing says again where the goal is, on a scale that a network still tells apart at
        a centimetre.
        """
        position = state.pose[:3, 3]
        way = state.goal[:3] - position
        bearing = way / (np.sqrt(way @ way) + NEAR)
        return np.concatenate(
            (state.q, state.dq, state.command.dq, position, way, bearing))

    def reward(self, action: np.ndarray, next_state: State) -> float:
        """Return the reward for arriving in `next_state` by the normalised action (a,)."""
        return float(self._reward(self.error(next_state), action, next_state.q))

    def terminated(self, state: State) -> bool:
        """Never: to stay at the goal is part of the skill."""
        return False

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return where the end effector was, (n, 3), in observations (n, o)."""
        return observation[:, -9:-6]

    def relabel(
        self, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray,
        goal: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return observation, next_observation and reward (n,) as goals (n, 3) make them."""
        next_observation = self._towards(goal, next_observation)
        distance = np.linalg.norm(next_observation[:, -6:-3], axis=1)
        q = next_observation[:, :len(self._home)]
        return (self._towards(goal, observation), next_observation,
                self._reward(distance, action, q))

    def target(self, state: State) -> np.ndarray:
        """Return the goal."""
        return state.goal

    def error(self, state: State) -> float:
        """Return the distance between end effector and goal in m."""
        way = state.goal[:3] - state.pose[:3, 3]
        return float(np.sqrt(way @ way))

    def _reward(self, distance: np.ndarray, action: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Return the reward (...) at distances (...) m and q (..., n) by actions (..., a)."""
        if self.settings.sparse:
            return np.where(distance <= self.settings.success_distance, 0.0, -1.0)
        precision = np.log1p((distance / self.settings.success_distance) ** 2)
        return -(distance + PRECISION * precision
                 + self.settings.action_cost * np.mean(np.square(action), axis=-1)
                 + self.settings.posture_cost * np.mean(np.square(q - self._home), axis=-1))

    def _towards(self, goal: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """Return a copy of observations (n, o) in which the goals are `goal` (n, 3)."""
        way = goal - observation[:, -9:-6]
        bearing = way / (np.linalg.norm(way, axis=1, keepdims=True) + NEAR)
        return np.concatenate((observation[:, :-6], way, bearing), axis=1)
