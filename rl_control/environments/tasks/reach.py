# SPDX-License-Identifier: Apache-2.0
"""Reach: bring the end effector to a point in space."""

import math

import numpy as np

from rl_control.common.types import Column, State
from rl_control.config.task import TaskSettings

PRECISION = 0.05  # weight of the logarithm, against 1 per m of distance
BEARING_DISTANCE = 0.05  # m, the distance at which the bearing has half its full length


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
        # Times the squares of a row they are a cost times their mean; `np.mean` takes far longer.
        self._action_cost, self._posture_cost = (
            np.full(len(home), cost / len(home))
            for cost in (settings.action_cost, settings.posture_cost))

    def columns(self, joint_names: tuple[str, ...]) -> tuple[Column, ...]:
        """Describe each number of the observation."""
        return (
            *(Column(f'{name}.q', 'rad') for name in joint_names),
            *(Column(f'{name}.dq', 'rad/s') for name in joint_names),
            *(Column(f'{name}.command_dq', 'rad/s') for name in joint_names),
            *self._own_columns(),
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
        way = self.target(state)[:3] - position
        bearing = way / (math.sqrt(way.dot(way)) + BEARING_DISTANCE)
        return np.concatenate(
            (state.q, state.dq, state.command.dq, self._own(state), position, way, bearing))

    def reward(self, action: np.ndarray, next_state: State) -> float:
        """Return the reward for arriving in `next_state` by the normalised action (a,)."""
        return float(self._reward(self._misses(next_state), action, next_state.q))

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
        q = next_observation[:, :len(self._home)]
        return (self._towards(goal, observation), next_observation,
                self._reward(self._observed_misses(next_observation), action, q))

    def reached(self, observation: np.ndarray) -> np.ndarray:
        """Say (n,) in which observations (n, o) nothing is missed by more than allowed."""
        missed = np.max(self._observed_misses(observation), axis=0)
        return missed <= self.settings.success_distance

    def target(self, state: State) -> np.ndarray:
        """Return the goal."""
        return state.goal

    def error(self, state: State) -> float:
        """Return the distance between end effector and target in m."""
        return float(max(self._misses(state)))

    def _own_columns(self) -> tuple[Column, ...]:
        """Describe what a kin of this task observes beside it."""
        return ()

    def _own(self, state: State) -> np.ndarray:
        """Return what `_own_columns` describes."""
        return np.zeros(0)

    def _misses(self, state: State) -> list[float]:
        """Return by how much (m) each thing that counts is missed: here the distance alone."""
        return [math.dist(self.target(state)[:3].tolist(), state.pose[:3, 3].tolist())]

    def _observed_misses(self, observation: np.ndarray) -> list[np.ndarray]:
        """Return `_misses`, each (n,), as observations (n, o) tell them."""
        return [np.linalg.norm(observation[:, -6:-3], axis=1)]

    def _reward(
        self, misses: list[float] | list[np.ndarray], action: np.ndarray, q: np.ndarray,
    ) -> np.ndarray:
        """Return the reward (...) at misses, each (...), and q (..., n) by actions (..., n)."""
        if self.settings.sparse:
            return np.where(np.max(misses, axis=0) <= self.settings.success_distance, 0.0, -1.0)
        return -(sum(self._cost(miss) for miss in misses)
                 + np.square(action).dot(self._action_cost)
                 + np.square(q - self._home).dot(self._posture_cost))

    def _cost(self, miss: np.ndarray | float) -> np.ndarray:
        """Return what it costs to miss one thing by `miss` (...) m."""
        ratio = miss / self.settings.success_distance
        return miss + PRECISION * np.log1p(ratio * ratio)

    def _towards(self, goal: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """Return a copy of observations (n, o) in which the goals are `goal` (n, 3)."""
        way = goal - observation[:, -9:-6]
        bearing = way / (np.linalg.norm(way, axis=1, keepdims=True) + BEARING_DISTANCE)
        return np.concatenate((observation[:, :-6], way, bearing), axis=1)
