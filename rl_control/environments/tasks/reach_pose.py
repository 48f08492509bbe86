# SPDX-License-Identifier: Apache-2.0
"""Reach a pose: bring the end effector to a point, turned as asked."""

import math

import numpy as np

from rl_control.common import poses
from rl_control.common.types import Column, State
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks.reach import BEARING_DISTANCE, Reach


class ReachPose(Reach):
    """
    As Reach, and the orientation counts too.

    An angle is missed by its arc at a lever of success_distance / success_angle, so that both
    are met where both are within success_distance. The observation has the orientation as two
    columns of its matrix (Zhou et al. 2019, "On the continuity of rotation representations in
    neural networks"), and the turn that is left as rotation vector and as its bearing.
    """

    def __init__(self, settings: TaskSettings, home: np.ndarray) -> None:
        super().__init__(settings, home)
        self._lever = settings.success_distance / settings.success_angle
        self._turned = slice(3 * len(home), 3 * len(home) + 6)

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return the poses (n, 12) of the end effector: position, then its matrix by rows."""
        matrix = self._matrix(observation).reshape(-1, 9)
        return np.concatenate((super().achieved(observation), matrix), axis=1)

    def _own_columns(self) -> tuple[Column, ...]:
        return (
            *(Column(f'end_effector.{axis}{row}', '1') for axis in 'xy' for row in 'xyz'),
            *(Column(f'turn.{axis}', 'rad') for axis in 'xyz'),
            *(Column(f'turn_bearing.{axis}', '1') for axis in 'xyz'),
        )

    def _own(self, state: State) -> np.ndarray:
        turned = state.pose[:3, :3]
        left = poses.rotation_vector(poses.rotation(self.target(state)) @ turned.T)
        return np.concatenate((turned[:, :2].T.ravel(), left, self._bearing(left[None])[0]))

    def _misses(self, state: State) -> list[float]:
        left = poses.rotation_vector(poses.rotation(self.target(state)) @ state.pose[:3, :3].T)
        return [*super()._misses(state), self._lever * math.sqrt(left.dot(left))]

    def _observed_misses(self, observation: np.ndarray) -> list[np.ndarray]:
        left = observation[:, self._turned.stop:self._turned.stop + 3]
        return [*super()._observed_misses(observation),
                self._lever * np.linalg.norm(left, axis=1)]

    def _towards(self, goal: np.ndarray, observation: np.ndarray) -> np.ndarray:
        changed = super()._towards(goal[:, :3], observation)
        wanted = goal[:, 3:].reshape(-1, 3, 3)
        left = poses.rotation_vector(wanted @ np.swapaxes(self._matrix(observation), 1, 2))
        start = self._turned.stop
        changed[:, start:start + 6] = np.concatenate((left, self._bearing(left)), axis=1)
        return changed

    def _bearing(self, left: np.ndarray) -> np.ndarray:
        """Return turns (n, 3) rad length-compressed, as distances are."""
        return left / (
            np.linalg.norm(left, axis=1, keepdims=True) + BEARING_DISTANCE / self._lever
        )

    def _matrix(self, observation: np.ndarray) -> np.ndarray:
        """Return the orientations (n, 3, 3) of observations (n, o)."""
        x, y = np.moveaxis(observation[:, self._turned].reshape(-1, 2, 3), 1, 0)
        return np.stack((x, y, np.cross(x, y)), axis=-1)
