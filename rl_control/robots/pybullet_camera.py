# SPDX-License-Identifier: Apache-2.0
"""PyBullet camera: images by its software renderer, without a display."""

import numpy as np

from rl_control.robots.bullet import pybullet
from rl_control.robots.camera import GOAL_COLOUR, GOAL_RADIUS, Camera


class PyBulletCamera:
    """Draw one PyBullet world as `camera` sees it, with the goal as a red ball."""

    def __init__(self, client: int, camera: Camera) -> None:
        self._world = {'physicsClientId': client}
        self._camera = camera
        self._view = pybullet.computeViewMatrix(
            camera.position, camera.target, (0.0, 0.0, 1.0))
        self._projection = pybullet.computeProjectionMatrixFOV(
            fov=camera.fov, aspect=camera.width / camera.height, nearVal=camera.near,
            farVal=camera.far)
        ball = pybullet.createVisualShape(
            pybullet.GEOM_SPHERE, radius=GOAL_RADIUS, rgbaColor=(*GOAL_COLOUR, 1.0),
            **self._world)
        self._goal = pybullet.createMultiBody(baseVisualShapeIndex=ball, **self._world)

    def picture(self, goal: np.ndarray) -> np.ndarray:
        """Return an image (h, w, 3) uint8 with a ball at the goal (7,)."""
        pybullet.resetBasePositionAndOrientation(
            self._goal, goal[:3], goal[3:], **self._world)
        camera = self._camera
        _, _, pixels, _, _ = pybullet.getCameraImage(
            camera.width, camera.height, self._view, self._projection,
            renderer=pybullet.ER_TINY_RENDERER, **self._world)
        return np.reshape(
            np.asarray(pixels, np.uint8), (camera.height, camera.width, 4))[:, :, :3].copy()
