# SPDX-License-Identifier: Apache-2.0
"""MuJoCo camera: images by casting rays, without OpenGL and without a display."""

import mujoco
import numpy as np

from rl_control.robots.camera import GOAL_COLOUR, GOAL_RADIUS, Camera
from rl_control.robots.mujoco_model import SEEN

AMBIENT = 0.35  # share of light that comes from everywhere
LIGHT = np.array([0.3, -0.5, 0.8]) / np.linalg.norm([0.3, -0.5, 0.8])  # towards the lamp
BACKGROUND = 255


class MujocoCamera:
    """
    Draw one MuJoCo world as `camera` sees it, with the goal as a red ball.

    One ray a pixel finds the nearest surface, which is shaded by its angle to one lamp (Lambert);
    there are no shadows.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, camera: Camera) -> None:
        self._model, self._data, self._camera = model, data, camera
        self._rays, self._eye = camera.rays(), camera.position
        count = len(self._rays)
        self._geoms = np.empty(count, np.int32)
        self._distances = np.empty(count)
        self._normals = np.empty(count * 3)
        self._groups = np.zeros(6, np.uint8)
        self._groups[SEEN] = 1

    def picture(self, goal: np.ndarray) -> np.ndarray:
        """Return an image (h, w, 3) uint8 with a ball at the goal (7,)."""
        camera, model = self._camera, self._model
        mujoco.mj_kinematics(model, self._data)  # a step leaves the frames of before it
        mujoco.mj_multiRay(
            model, self._data, self._eye, self._rays.ravel(), self._groups, True, -1,
            self._geoms, self._distances, self._normals, len(self._rays), camera.far)
        seen = self._geoms >= 0
        colours = model.geom_rgba[np.where(seen, self._geoms, 0), :3]
        normals = self._normals.reshape(-1, 3)
        distances = np.where(seen, self._distances, np.inf)
        self._add_ball(goal[:3], distances, normals, colours)
        light = np.abs(normals @ LIGHT) * (1.0 - AMBIENT) + AMBIENT
        pixels = np.where(
            np.isfinite(distances)[:, None], 255.0 * colours * light[:, None], BACKGROUND)
        return pixels.astype(np.uint8).reshape(camera.height, camera.width, 3)

    def _add_ball(
        self, centre: np.ndarray, distances: np.ndarray, normals: np.ndarray,
        colours: np.ndarray,
    ) -> None:
        """Draw the goal where it is nearer than what the rays have found."""
        along = self._rays @ (centre - self._eye)
        beside = (centre - self._eye) @ (centre - self._eye) - along**2
        depth = along - np.sqrt(np.maximum(GOAL_RADIUS**2 - beside, 0.0))
        hit = (beside < GOAL_RADIUS**2) & (depth > 0.0) & (depth < distances)
        distances[hit] = depth[hit]
        colours[hit] = GOAL_COLOUR
        normals[hit] = (
            self._eye + depth[hit, None] * self._rays[hit] - centre) / GOAL_RADIUS
