# SPDX-License-Identifier: Apache-2.0
"""Follow: keep the end effector on a target that moves on a circle."""

import numpy as np

from rl_control.common import poses
from rl_control.common.types import Column, State
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks.reach import Reach


class Follow(Reach):
    """
    Reach towards a moving target, as on a turntable.

    The goal's position is the centre of a horizontal circle of `path_radius`; the phase of the
    target is 2 pi stamp / path_period by the robot's clock. So the task is a pure function of the
    state, in a simulator, on an arm and in a bag. The observation has the target's velocity, which
    determines the phase.
    """

    def __init__(self, settings: TaskSettings, home: np.ndarray) -> None:
        super().__init__(settings, home)
        self._rate = 2.0 * np.pi / settings.path_period
        self._speed = self._rate * settings.path_radius

    def target(self, state: State) -> np.ndarray:
        """Return the pose (7,) of the moving target, with the identity orientation."""
        return poses.from_position(state.goal[:3] + self._offset(self._velocity(state.stamp)))

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return the centres (n, 3) whose moving target is at the end effector."""
        return super().achieved(observation) - self._offset(observation[:, -12:-9])

    def _extra_columns(self) -> tuple[Column, ...]:
        return tuple(Column(f'target_velocity.{axis}', 'm/s') for axis in 'xyz')

    def _extra(self, state: State) -> np.ndarray:
        return self._velocity(state.stamp)

    def _velocity(self, stamp: float) -> np.ndarray:
        phase = self._rate * (stamp % self.settings.path_period)
        return self._speed * np.array([-np.sin(phase), np.cos(phase), 0.0])

    def _offset(self, velocity: np.ndarray) -> np.ndarray:
        """Return the target's offset (..., 3) m from the centre at `velocity` (..., 3) m/s."""
        x, y, z = np.moveaxis(velocity, -1, 0)
        return np.stack((y, -x, z), axis=-1) / self._rate

    def _towards(self, goal: np.ndarray, observation: np.ndarray) -> np.ndarray:
        return super()._towards(goal + self._offset(observation[:, -12:-9]), observation)
