# SPDX-License-Identifier: Apache-2.0
"""Camera: render images of a simulated arm without a display."""

import numpy as np

from rl_control.robots.bullet import pybullet

WIDTH, HEIGHT = 320, 320  # pixels
GOAL_RADIUS = 0.02  # m


class Camera:
    """A fixed camera in one PyBullet world that shows the arm, and the goal as a red ball."""

    def __init__(self, client: int) -> None:
        self._world = {'physicsClientId': client}
        self._view = pybullet.computeViewMatrixFromYawPitchRoll(
            cameraTargetPosition=(0.2, 0.0, 0.45), distance=1.6, yaw=55.0, pitch=-25.0, roll=0.0,
            upAxisIndex=2)
        self._projection = pybullet.computeProjectionMatrixFOV(
            fov=45.0, aspect=WIDTH / HEIGHT, nearVal=0.05, farVal=10.0)
        ball = pybullet.createVisualShape(
            pybullet.GEOM_SPHERE, radius=GOAL_RADIUS, rgbaColor=(0.9, 0.1, 0.1, 1.0),
            **self._world)
        self._goal = pybullet.createMultiBody(baseVisualShapeIndex=ball, **self._world)

    def picture(self, goal: np.ndarray) -> np.ndarray:
        """Return an image (h, w, 3) uint8 with a ball at the goal (7,)."""
        pybullet.resetBasePositionAndOrientation(
            self._goal, goal[:3], goal[3:], **self._world)
        _, _, pixels, _, _ = pybullet.getCameraImage(
            WIDTH, HEIGHT, self._view, self._projection, renderer=pybullet.ER_TINY_RENDERER,
            **self._world)
        return np.reshape(np.asarray(pixels, np.uint8), (HEIGHT, WIDTH, 4))[:, :, :3].copy()
