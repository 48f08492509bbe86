# SPDX-License-Identifier: Apache-2.0
"""Reach: move the end effector to a point."""

import math

import numpy as np

from rl_control.common.types import Column, State
from rl_control.config.task import TaskSettings

LOG_WEIGHT = 0.05  # weight of the logarithm, against 1 per m of distance
BEARING_DISTANCE = 0.05  # m, the distance at which the bearing has half its full length


class Reach:
    """
    Reach the position of the goal; its orientation is ignored.

    The dense reward is the negative distance, minus a logarithmic term that is steepest near the
    success distance, minus small costs of the action and of the distance from the posture `home`
    (n,) rad, without which an arm of seven joints drifts towards its limits from goal to goal.
    The logarithm is that of Levine et al. 2016, "End-to-end training of deep visuomotor
    policies", section 5.2; their other term is the squared distance.
    """

    def __init__(self, settings: TaskSettings, home: np.ndarray) -> None:
        self.settings = settings
        self._home = home
        # Weights for a dot product with squares: far faster than `np.mean`.
        self._action_cost, self._posture_cost = (
            np.full(len(home), cost / len(home))
            for cost in (settings.action_cost, settings.posture_cost))

    def columns(self, joint_names: tuple[str, ...]) -> tuple[Column, ...]:
        """Return name and unit of each number of the observation."""
        return (
            *(Column(f'{name}.q', 'rad') for name in joint_names),
            *(Column(f'{name}.dq', 'rad/s') for name in joint_names),
            *(Column(f'{name}.command_dq', 'rad/s') for name in joint_names),
            *self._extra_columns(),
            *(Column(f'end_effector.{axis}', 'm') for axis in 'xyz'),
            *(Column(f'to_goal.{axis}', 'm') for axis in 'xyz'),
            *(Column(f'bearing.{axis}', '1') for axis in 'xyz'),
        )

    def observe(self, state: State) -> np.ndarray:
        """
        Return q, dq, the commanded dq, the end effector, the vector to the goal and its bearing.

        The bearing is the vector to the goal, compressed so that a network still resolves
        centimetres.
        """
        position = state.pose[:3, 3]
        way = self.target(state)[:3] - position
        bearing = way / (math.sqrt(way.dot(way)) + BEARING_DISTANCE)
        return np.concatenate(
            (state.q, state.dq, state.command.dq, self._extra(state), position, way, bearing))

    def reward(self, action: np.ndarray, next_state: State) -> float:
        """Return the reward for arriving in `next_state` by the normalised action (a,)."""
        return float(self._reward(self._errors(next_state), action, next_state.q))

    def terminated(self, state: State) -> bool:
        """Return False: episodes end only by time-out, since the arm should stay at the goal."""
        return False

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return the end effector's positions (n, 3) m in observations (n, o)."""
        return observation[:, -9:-6]

    def relabel(
        self, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray,
        goal: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return observation, next_observation and reward (n,) for the goals (n, 3)."""
        next_observation = self._towards(goal, next_observation)
        q = next_observation[:, :len(self._home)]
        return (self._towards(goal, observation), next_observation,
                self._reward(self._observed_errors(next_observation), action, q))

    def reached(self, observation: np.ndarray) -> np.ndarray:
        """Return (n,) bool: True where an observation (n, o) is within the success distance."""
        error = np.max(self._observed_errors(observation), axis=0)
        return error <= self.settings.success_distance

    def target(self, state: State) -> np.ndarray:
        """Return the goal."""
        return state.goal

    def error(self, state: State) -> float:
        """Return the distance between end effector and target in m."""
        return float(max(self._errors(state)))

    def _extra_columns(self) -> tuple[Column, ...]:
        """Return additional columns of a derived task."""
        return ()

    def _extra(self, state: State) -> np.ndarray:
        """Return the values of `_extra_columns`."""
        return np.zeros(0)

    def _errors(self, state: State) -> list[float]:
        """Return the errors (m) that success and reward depend on: here the distance."""
        return [math.dist(self.target(state)[:3].tolist(), state.pose[:3, 3].tolist())]

    def _observed_errors(self, observation: np.ndarray) -> list[np.ndarray]:
        """Return `_errors`, each (n,), of observations (n, o)."""
        return [np.linalg.norm(observation[:, -6:-3], axis=1)]

    def _reward(
        self, errors: list[float] | list[np.ndarray], action: np.ndarray, q: np.ndarray,
    ) -> np.ndarray:
        """Return the reward (...) for errors, each (...), q (..., n) and actions (..., n)."""
        if self.settings.sparse:
            return np.where(np.max(errors, axis=0) <= self.settings.success_distance, 0.0, -1.0)
        return -(sum(self._cost(error) for error in errors)
                 + np.square(action).dot(self._action_cost)
                 + np.square(q - self._home).dot(self._posture_cost))

    def _cost(self, error: np.ndarray | float) -> np.ndarray:
        """Return the cost of an `error` (...) m."""
        ratio = error / self.settings.success_distance
        return error + LOG_WEIGHT * np.log1p(ratio * ratio)

    def _towards(self, goal: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """Return a copy of observations (n, o) with the goals `goal` (n, 3)."""
        way = goal - observation[:, -9:-6]
        bearing = way / (np.linalg.norm(way, axis=1, keepdims=True) + BEARING_DISTANCE)
        return np.concatenate((observation[:, :-6], way, bearing), axis=1)
