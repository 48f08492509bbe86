# SPDX-License-Identifier: Apache-2.0
"""MuJoCo scene: the bodies of a scene in a MuJoCo model."""

from itertools import combinations

import mujoco
import numpy as np

from rl_control.common import poses
from rl_control.robots.scene import Fixture, Object, Scene

# Impedance from 0.01 where bodies begin to touch to 0.95 at 0.5 mm: with MuJoCo's default, 0.9
# at once, a box that is pushed over a table rattles; so it rests 0.26 mm deep and is still.
IMPEDANCE = (0.01, 0.95, 0.0005, 0.5, 2.0)
ROBOT_BIT, WORLD_BIT = 1, 2  # an arm does not touch itself, as in PyBullet
TYPES = {'box': mujoco.mjtGeom.mjGEOM_BOX, 'cylinder': mujoco.mjtGeom.mjGEOM_CYLINDER,
         'sphere': mujoco.mjtGeom.mjGEOM_SPHERE}


def add_scene(spec: mujoco.MjSpec, scene: Scene) -> None:
    """
    Add the bodies of a scene to a model that is not compiled yet.

    MuJoCo takes the friction of the body of higher priority, an object's, or the larger of two;
    pairs of objects are added with the product.
    """
    for body in scene:
        _add_body(spec, body)
    for one, other in combinations(scene.objects, 2):
        friction = one.friction * other.friction
        spec.add_pair(
            name=f'{one.name} {other.name}', geomname1=one.name, geomname2=other.name, condim=3,
            friction=(friction, friction, 0.0, 0.0, 0.0), **contact(spec))


def contact(spec: mujoco.MjSpec) -> dict[str, tuple[float, ...]]:
    """Return the contact parameters of geoms: critically damped, as stiff as the step allows."""
    return {'solref': (2.0 * spec.option.timestep, 1.0), 'solimp': IMPEDANCE}


def _add_body(spec: mujoco.MjSpec, body: Fixture) -> None:
    """Add a body with one geom."""
    added = spec.worldbody.add_body(
        name=body.name, pos=body.pose[:3], quat=np.array(body.pose)[[6, 3, 4, 5]])
    size = [*body.size, 0.0, 0.0][:3]
    if body.shape == 'box':
        size = [side / 2 for side in body.size]
    elif body.shape == 'cylinder':
        size[1] /= 2
    geom = added.add_geom(
        name=body.name, type=TYPES[body.shape], size=size, rgba=(*body.colour, 1.0),
        contype=WORLD_BIT, conaffinity=ROBOT_BIT | WORLD_BIT, condim=3,
        **contact(spec))
    if isinstance(body, Object):
        added.add_freejoint(name=body.name)
        geom.mass, geom.priority = body.mass, 1
        geom.friction = (body.friction, 0.0, 0.0)


class MujocoBodies:
    """Bodies of `scene` in a compiled model."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, scene: Scene) -> None:
        self._model, self._data = model, data
        joints = {body.name: model.joint(body.name) for body in scene.objects}
        self._q = {name: slice(joint.qposadr[0], joint.qposadr[0] + 7)
                   for name, joint in joints.items()}
        self._dq = {name: slice(joint.dofadr[0], joint.dofadr[0] + 6)
                    for name, joint in joints.items()}

    def pose(self, name: str) -> np.ndarray:
        """Return the pose (7,) of an object's centre."""
        x, y, z, w, i, j, k = self._data.qpos[self._q[name]]
        return np.array([x, y, z, i, j, k, w])

    def velocity(self, name: str) -> np.ndarray:
        """Return an object's velocity (6,), m/s and rad/s."""
        velocity = self._data.qvel[self._dq[name]].copy()
        velocity[3:] = poses.rotation(self.pose(name)) @ velocity[3:]  # MuJoCo's is in the body
        return velocity

    def place(self, name: str, pose: np.ndarray, velocity: np.ndarray | None = None) -> None:
        """Put an object at `pose` (7,) with `velocity` (6,), at rest without one."""
        pose = np.asarray(pose, dtype=float)
        velocity = np.zeros(6) if velocity is None else np.array(velocity, dtype=float)
        velocity[3:] = poses.rotation(pose).T @ velocity[3:]
        self._data.qpos[self._q[name]] = pose[[0, 1, 2, 6, 3, 4, 5]]
        self._data.qvel[self._dq[name]] = velocity

    def contact_force(self, one: str, other: str) -> float:
        """Return the normal force in N between two bodies or links after the last substep."""
        wanted = {self._model.body(one).id, self._model.body(other).id}
        force, total = np.zeros(6), 0.0
        for index, contact in enumerate(self._data.contact):
            if set(self._model.geom_bodyid[contact.geom]) == wanted:
                mujoco.mj_contactForce(self._model, self._data, index, force)
                total += force[0]
        return total
