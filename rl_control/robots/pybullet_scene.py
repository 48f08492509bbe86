# SPDX-License-Identifier: Apache-2.0
"""PyBullet scene: the bodies of a scene in a PyBullet world."""

from collections.abc import Mapping

import numpy as np

from rl_control.robots.bullet import pybullet
from rl_control.robots.scene import Fixture, Object, Scene


class PyBulletBodies:
    """
    Bodies of `scene` in the world `client`, beside the arm `links` (name: (body, link)).

    PyBullet multiplies the friction of two bodies: that of fixtures and links is 1.
    """

    def __init__(
        self, client: int, scene: Scene, links: dict[str, tuple[int, int]],
    ) -> None:
        self._world = {'physicsClientId': client}
        self._objects = scene.objects
        self._bodies = {body.name: self._added(body) for body in scene}
        self._parts = {**links, **{name: (body, -1) for name, body in self._bodies.items()}}
        for body, link in links.values():
            pybullet.changeDynamics(body, link, lateralFriction=1.0, **self._world)

    def _added(self, body: Fixture) -> int:
        """Return the number of a new body."""
        shape = {
            'box': lambda x, y, z: {'shapeType': pybullet.GEOM_BOX,
                                    'halfExtents': (x / 2, y / 2, z / 2)},
            'cylinder': lambda radius, length: {'shapeType': pybullet.GEOM_CYLINDER,
                                                'radius': radius, 'height': length},
            'sphere': lambda radius: {'shapeType': pybullet.GEOM_SPHERE, 'radius': radius},
        }[body.shape](*body.size)
        seen = {('length' if key == 'height' else key): value for key, value in shape.items()}
        mass, friction = (
            (body.mass, body.friction) if isinstance(body, Object) else (0.0, 1.0))
        number = pybullet.createMultiBody(
            mass, pybullet.createCollisionShape(**shape, **self._world),
            pybullet.createVisualShape(**seen, rgbaColor=(*body.colour, 1.0), **self._world),
            body.pose[:3], body.pose[3:], **self._world)
        pybullet.changeDynamics(
            number, -1, lateralFriction=friction, linearDamping=0.0, angularDamping=0.0,
            **self._world)
        return number

    def reset(self) -> None:
        """Put each object at rest where the scene has it."""
        for body in self._objects:
            self.place(body.name, np.array(body.pose))

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return pose and velocity (13,) of each object by its name."""
        return {f'object.{body.name}': np.concatenate(
            (self.pose(body.name), self.velocity(body.name))) for body in self._objects}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Take back what `snapshot` returned."""
        for body in self._objects:
            values = snapshot[f'object.{body.name}']
            self.place(body.name, values[:7], values[7:])

    def pose(self, name: str) -> np.ndarray:
        """Return the pose (7,) of an object's centre."""
        position, orientation = pybullet.getBasePositionAndOrientation(
            self._bodies[name], **self._world)
        return np.array([*position, *orientation])

    def velocity(self, name: str) -> np.ndarray:
        """Return an object's velocity (6,), m/s and rad/s."""
        linear, angular = pybullet.getBaseVelocity(self._bodies[name], **self._world)
        return np.array([*linear, *angular])

    def place(self, name: str, pose: np.ndarray, velocity: np.ndarray | None = None) -> None:
        """Put an object at `pose` (7,) with `velocity` (6,), at rest without one."""
        velocity = np.zeros(6) if velocity is None else velocity
        pybullet.resetBasePositionAndOrientation(
            self._bodies[name], pose[:3], pose[3:], **self._world)
        pybullet.resetBaseVelocity(
            self._bodies[name], velocity[:3], velocity[3:], **self._world)

    def contact_force(self, one: str, other: str) -> float:
        """Return the normal force in N between two bodies or links after the last substep."""
        (body, link), (second, other_link) = self._parts[one], self._parts[other]
        points = pybullet.getContactPoints(body, second, link, other_link, **self._world)
        return float(sum(point[9] for point in points))
