# SPDX-License-Identifier: Apache-2.0
"""Point: aim the z axis of the end effector at the goal."""

import numpy as np

from rl_control.common.types import Column, State
from rl_control.environments.tasks.reach import Reach


class Point(Reach):
    """Reach with the angle (rad) between the tool's axis and the goal as error."""

    def _extra_columns(self) -> tuple[Column, ...]:
        return (*(Column(f'axis.{axis}', '1') for axis in 'xyz'),
                *(Column(f'aim.{axis}', '1') for axis in 'xyz'))

    def _extra(self, state: State) -> np.ndarray:
        axis, way = state.pose[:3, 2], state.goal[:3] - state.pose[:3, 3]
        return np.concatenate((axis, way / np.linalg.norm(way) - axis))

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return points (n, 3) that the tool's axis went through, 1 m ahead."""
        return super().achieved(observation) + observation[:, -15:-12]

    def _errors(self, state: State) -> list[float]:
        return [float(self._angle(self._extra(state)[3:]))]

    def _observed_errors(self, observation: np.ndarray) -> list[np.ndarray]:
        return [self._angle(observation[:, -12:-9])]

    def _angle(self, aim: np.ndarray) -> np.ndarray:
        """Return the angle (...) whose chord is `aim` (..., 3)."""
        return 2.0 * np.arcsin(np.minimum(0.5 * np.linalg.norm(aim, axis=-1), 1.0))

    def _towards(self, goal: np.ndarray, observation: np.ndarray) -> np.ndarray:
        changed = super()._towards(goal, observation)
        way = changed[:, -6:-3] / np.linalg.norm(changed[:, -6:-3], axis=1, keepdims=True)
        changed[:, -12:-9] = way - changed[:, -15:-12]
        return changed
