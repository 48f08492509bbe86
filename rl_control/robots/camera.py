# SPDX-License-Identifier: Apache-2.0
"""Camera: viewpoint of the images of a simulated arm."""

from dataclasses import dataclass
import math

import numpy as np

GOAL_RADIUS = 0.02  # m
GOAL_COLOUR = (0.9, 0.1, 0.1)


@dataclass(frozen=True)
class Camera:
    """
    A pinhole camera that looks at a point; the world's z is up in its picture.

    `target` (m) is the point, `distance` (m) how far it is, `yaw` and `pitch` (degrees) the
    direction of view: yaw 0 looks along y, pitch -90 straight down. `fov` (degrees) is the
    vertical field of view, `width` and `height` are pixels.
    """

    target: tuple[float, float, float] = (0.2, 0.0, 0.45)
    distance: float = 1.6
    yaw: float = 55.0
    pitch: float = -25.0
    fov: float = 45.0
    width: int = 320
    height: int = 320
    near: float = 0.05
    far: float = 10.0

    @property
    def axes(self) -> np.ndarray:
        """Return the unit vectors (3, 3) to the right, up and forward, in the world."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        right = np.array([math.cos(yaw), math.sin(yaw), 0.0])
        forward = np.array([-math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch),
                            math.sin(pitch)])
        return np.stack((right, np.cross(right, forward), forward))

    @property
    def position(self) -> np.ndarray:
        """Return where the camera stands (3,) in m."""
        return np.array(self.target) - self.distance * self.axes[2]

    def rays(self) -> np.ndarray:
        """Return the unit vectors (height * width, 3) through the pixels, row by row."""
        half = math.tan(math.radians(self.fov) / 2)
        across = ((np.arange(self.width) + 0.5) / self.width * 2 - 1) * half
        down = ((np.arange(self.height) + 0.5) / self.height * 2 - 1) * half
        x, y = np.meshgrid(across * self.width / self.height, -down)
        rays = np.stack((x, y, np.ones_like(x)), axis=-1) @ self.axes
        return (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).reshape(-1, 3)
