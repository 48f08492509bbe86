# SPDX-License-Identifier: Apache-2.0
"""Follow: keep the end effector on a point that goes round in a circle."""

import numpy as np

from rl_control.common import poses
from rl_control.common.types import Column, State
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks.reach import Reach


class Follow(Reach):
    """
    As Reach, towards a point that never rests, as on a turntable.

    The goal's position is the centre of a horizontal circle of `path_radius`; where on it the
    point is, the robot's own clock says: at phase 2 pi stamp / path_period. So the task is a pure
    function of the state, in a simulator, on an arm and in a bag. The observation has the point's
    velocity, and with it the phase.
    """

    def __init__(self, settings: TaskSettings, home: np.ndarray) -> None:
        super().__init__(settings, home)
        self._rate = 2.0 * np.pi / settings.path_period
        self._speed = self._rate * settings.path_radius

    def target(self, state: State) -> np.ndarray:
        """Return the moving point, turned by nothing."""
        return poses.from_position(state.goal[:3] + self._offset(self._velocity(state.stamp)))

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return the centres (n, 3) whose points were where the end effector is."""
        return super().achieved(observation) - self._offset(observation[:, -12:-9])

    def _own_columns(self) -> tuple[Column, ...]:
        return tuple(Column(f'target_velocity.{axis}', 'm/s') for axis in 'xyz')

    def _own(self, state: State) -> np.ndarray:
        return self._velocity(state.stamp)

    def _velocity(self, stamp: float) -> np.ndarray:
        phase = self._rate * (stamp % self.settings.path_period)
        return self._speed * np.array([-np.sin(phase), np.cos(phase), 0.0])

    def _offset(self, velocity: np.ndarray) -> np.ndarray:
        """Return the way (..., 3) from the centre to where the point has `velocity` (..., 3)."""
        x, y, z = np.moveaxis(velocity, -1, 0)
        return np.stack((y, -x, z), axis=-1) / self._rate

    def _towards(self, goal: np.ndarray, observation: np.ndarray) -> np.ndarray:
        return super()._towards(goal + self._offset(observation[:, -12:-9]), observation)
