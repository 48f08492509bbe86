# SPDX-License-Identifier: Apache-2.0
"""Collision margins: distances of an arm to itself and to its table, by PyBullet."""

from itertools import combinations

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.environments.arm_model import Arm
from rl_control.robots.bullet import pybullet


class CollisionMargins:
    """
    Distances between the collision shapes of the URDF, computed by PyBullet without simulation.

    Checks all pairs of links except neighbours, and each link except the base against the plane
    z = 0 of the base frame. Pairs that are nearer than `distance` m at home are excluded, because
    they are so by design; `excluded` names them. Raises InvalidInput for a URDF without collision
    shapes and for one that PyBullet cannot load.
    """

    def __init__(self, arm: Arm, distance: float) -> None:
        self._client = pybullet.connect(pybullet.DIRECT)
        self._world = {'physicsClientId': self._client}
        self._distance = distance
        urdf = arm.kinematics.urdf
        try:
            self._body = pybullet.loadURDF(str(urdf), useFixedBase=True, **self._world)
        except pybullet.error as error:
            raise InvalidInput(
                f'PyBullet cannot load {urdf} (see its message above); give mesh '
                'paths relative to the URDF'
            ) from error
        infos = [pybullet.getJointInfo(self._body, index, **self._world)
                 for index in range(pybullet.getNumJoints(self._body, **self._world))]
        joints = {info[1].decode(): info[0] for info in infos}
        self._joints = [joints[name] for name in arm.settings.joint_names]
        for name, position in arm.held.items():
            pybullet.resetJointState(self._body, joints[name], position, 0.0, **self._world)
        self._names = {-1: 'the base', **{info[0]: info[12].decode() for info in infos}}
        with_shape = [link for link in self._names
                 if pybullet.getCollisionShapeData(self._body, link, **self._world)]
        if not with_shape:
            raise InvalidInput(
                f'{urdf} has no collision shapes; add them, or set collision_distance to 0'
            )
        plane = pybullet.createCollisionShape(pybullet.GEOM_PLANE, **self._world)
        self._table = pybullet.createMultiBody(0.0, plane, **self._world)
        neighbours = {(info[16], info[0]) for info in infos}
        pairs = [(self._body, one, other) for one, other in combinations(sorted(with_shape), 2)
                 if (one, other) not in neighbours]
        pairs += [(self._table, link, -1) for link in with_shape if link != -1]
        self._place(arm.home)
        self._pairs = [pair for pair in pairs if self._nearest(*pair) >= distance]
        self.excluded = [self._names_of(*pair) for pair in pairs if pair not in self._pairs]

    def excess(self, q: np.ndarray) -> float:
        """Return the largest violation (m) of the allowed distance at `q` (n,) rad, 0 for none."""
        self._place(q)
        return max(0.0, *(self._distance - self._nearest(*pair) for pair in self._pairs))

    def nearest(self, q: np.ndarray) -> tuple[float, str]:
        """Return the least distance (m) at `q`, at most the allowed one, and its two links."""
        self._place(q)
        distance, (body, one, other) = min(
            (self._nearest(*pair), pair) for pair in self._pairs)
        return distance, self._names_of(body, one, other)

    def _names_of(self, body: int, one: int, other: int) -> str:
        other_name = 'the table' if body == self._table else self._names[other]
        return f'{self._names[one]} and {other_name}'

    def _place(self, q: np.ndarray) -> None:
        for joint, angle in zip(self._joints, q, strict=True):
            pybullet.resetJointState(self._body, joint, angle, 0.0, **self._world)

    def _nearest(self, body: int, one: int, other: int) -> float:
        """Return the distance (m) of two links, at most the allowed one, negative in contact."""
        points = pybullet.getClosestPoints(
            self._body, body, self._distance, one, other, **self._world)
        return min((point[8] for point in points), default=self._distance)
