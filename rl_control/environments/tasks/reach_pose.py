# SPDX-License-Identifier: Apache-2.0
"""Reach pose: move the end effector to a position and an orientation."""

import math

import numpy as np

from rl_control.common import poses
from rl_control.common.types import Column, State
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks.reach import BEARING_DISTANCE, Reach


class ReachPose(Reach):
    """
    Reach with the orientation of the goal.

    The error of the orientation is its arc at a lever of success_distance / success_angle, so
    that one threshold, success_distance, holds for both errors. The observation has the
    orientation as two columns of its matrix (Zhou et al. 2019, "On the continuity of rotation
    representations in neural networks"), and the remaining rotation as rotation vector and as
    its bearing.
    """

    def __init__(self, settings: TaskSettings, home: np.ndarray) -> None:
        super().__init__(settings, home)
        self._lever = settings.success_distance / settings.success_angle
        self._orientation_columns = slice(3 * len(home), 3 * len(home) + 6)

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return the end effector's poses (n, 12): position, then rotation matrix by rows."""
        matrix = self._matrix(observation).reshape(-1, 9)
        return np.concatenate((super().achieved(observation), matrix), axis=1)

    def _extra_columns(self) -> tuple[Column, ...]:
        return (
            *(Column(f'end_effector.{axis}{row}', '1') for axis in 'xy' for row in 'xyz'),
            *(Column(f'turn.{axis}', 'rad') for axis in 'xyz'),
            *(Column(f'turn_bearing.{axis}', '1') for axis in 'xyz'),
        )

    def _extra(self, state: State) -> np.ndarray:
        turned = state.pose[:3, :3]
        left = poses.rotation_vector(poses.rotation(self.target(state)) @ turned.T)
        return np.concatenate((turned[:, :2].T.ravel(), left, self._bearing(left[None])[0]))

    def _errors(self, state: State) -> list[float]:
        left = poses.rotation_vector(poses.rotation(self.target(state)) @ state.pose[:3, :3].T)
        return [*super()._errors(state), self._lever * math.sqrt(left.dot(left))]

    def _observed_errors(self, observation: np.ndarray) -> list[np.ndarray]:
        left = observation[:, self._orientation_columns.stop:self._orientation_columns.stop + 3]
        return [*super()._observed_errors(observation),
                self._lever * np.linalg.norm(left, axis=1)]

    def _towards(self, goal: np.ndarray, observation: np.ndarray) -> np.ndarray:
        changed = super()._towards(goal[:, :3], observation)
        wanted = goal[:, 3:].reshape(-1, 3, 3)
        left = poses.rotation_vector(wanted @ np.swapaxes(self._matrix(observation), 1, 2))
        start = self._orientation_columns.stop
        changed[:, start:start + 6] = np.concatenate((left, self._bearing(left)), axis=1)
        return changed

    def _bearing(self, left: np.ndarray) -> np.ndarray:
        """Return rotation vectors (n, 3) rad, compressed as distances are."""
        return left / (
            np.linalg.norm(left, axis=1, keepdims=True) + BEARING_DISTANCE / self._lever
        )

    def _matrix(self, observation: np.ndarray) -> np.ndarray:
        """Return the orientations (n, 3, 3) of observations (n, o)."""
        x, y = np.moveaxis(observation[:, self._orientation_columns].reshape(-1, 2, 3), 1, 0)
        return np.stack((x, y, np.cross(x, y)), axis=-1)
