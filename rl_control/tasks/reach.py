# SPDX-License-Identifier: Apache-2.0
"""Reach: bring the end effector to a point in space."""

import numpy as np

from rl_control.config.task import TaskSettings
from rl_control.types import Column, State


class Reach:
    """
    The goal (3,) is a point in the base frame, in m.

    The dense reward is the negative distance with a logarithmic term that keeps its slope near
    the goal, as in Levine et al. 2016, "End-to-end training of deep visuomotor policies",
    eq. in section 5.2, less a small cost of the action.
    """

    def __init__(self, settings: TaskSettings) -> None:
        self.settings = settings

    def columns(self, joint_names: tuple[str, ...]) -> tuple[Column, ...]:
        """Describe each number of the observation."""
        return (
            *(Column(f'{name}.q', 'rad') for name in joint_names),
            *(Column(f'{name}.dq', 'rad/s') for name in joint_names),
            *(Column(f'{name}.command_dq', 'rad/s') for name in joint_names),
            *(Column(f'end_effector.{axis}', 'm') for axis in 'xyz'),
            *(Column(f'to_goal.{axis}', 'm') for axis in 'xyz'),
        )

    def observe(self, state: State) -> np.ndarray:
        """Return q, dq, the commanded dq, the end effector and the way to the goal."""
        position = state.pose[:3, 3]
        return np.concatenate(
            (state.q, state.dq, state.command.dq, position, state.goal - position))

    def reward(self, action: np.ndarray, next_state: State) -> float:
        """Return the reward for arriving in `next_state` by the normalised action (a,)."""
        distance = self.error(next_state)
        if self.settings.sparse:
            return 0.0 if distance <= self.settings.success_distance else -1.0
        precision = np.log1p((distance / self.settings.success_distance) ** 2)
        return -float(distance + 0.05 * precision
                      + self.settings.action_cost * np.mean(np.square(action)))

    def terminated(self, state: State) -> bool:
        """Never: to stay at the goal is part of the skill."""
        return False

    def error(self, state: State) -> float:
        """Return the distance between end effector and goal in m."""
        way = state.goal - state.pose[:3, 3]
        return float(np.sqrt(way @ way))
