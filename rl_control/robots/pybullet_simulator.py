# SPDX-License-Identifier: Apache-2.0
"""PyBullet simulator: an arm in PyBullet, in this process."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.robots.bullet import pybullet
from rl_control.robots.camera import Camera
from rl_control.robots.cubic_setpoints import GRAVITY, CubicSetpoints, at_start, substeps_of
from rl_control.robots.held_joints import NOTHING_HELD
from rl_control.robots.pybullet_camera import PyBulletCamera
from rl_control.robots.pybullet_scene import PyBulletBodies
from rl_control.robots.scene import NO_SCENE, Scene


class PyBulletSimulator:
    """
    One arm on a fixed base in a PyBullet world of its own, stepped by hand: a Simulator.

    `track` sets one setpoint (q, dq) of the position controllers a substep; `send` does so for a
    whole control period on the cubic between two commands, as a joint-trajectory controller does.
    `window` shows the world on the display. Joints that are not driven are held at their position
    in `held` (rad, m) or at 0.
    Raises InvalidInput for a URDF that PyBullet cannot load.
    """

    engine = 'pybullet'

    def __init__(
        self, urdf: Path, joint_names: tuple[str, ...], control_period: float,
        window: bool = False, scene: Scene = NO_SCENE, held: Mapping[str, float] = NOTHING_HELD,
    ) -> None:
        self._client = pybullet.connect(pybullet.GUI if window else pybullet.DIRECT)
        self._world = {'physicsClientId': self._client}
        substeps = substeps_of(control_period)
        self.substep_period = control_period / substeps
        pybullet.setTimeStep(self.substep_period, **self._world)
        pybullet.setGravity(0.0, 0.0, GRAVITY, **self._world)
        try:
            self.body = pybullet.loadURDF(
                str(urdf), useFixedBase=True, flags=pybullet.URDF_USE_INERTIA_FROM_FILE,
                **self._world)
        except pybullet.error as error:
            self.close()
            raise InvalidInput(
                f'PyBullet cannot load {urdf} (its output says why; most often a '
                'mesh is missing); give mesh paths relative to the URDF'
            ) from error
        infos = [
            pybullet.getJointInfo(self.body, index, **self._world)
            for index in range(pybullet.getNumJoints(self.body, **self._world))
        ]
        by_name = {info[1].decode(): info for info in infos}
        self._joints = [by_name[name][0] for name in joint_names]
        self._others = {
            info[0]: held.get(info[1].decode(), 0.0) for info in infos
            if info[0] not in self._joints}
        self._forces = [by_name[name][10] or 1000.0 for name in joint_names]
        for index, position in self._others.items():  # free where the effort limit is 0
            pybullet.setJointMotorControl2(
                self.body, index, pybullet.POSITION_CONTROL, targetPosition=position,
                force=infos[index][10], **self._world)
        self._links = [-1, *(info[0] for info in infos)]
        # PyBullet slows each body down by 4 % a second, as air would, which no URDF asks for.
        pybullet.changeDynamics(
            self.body, -1, linearDamping=0.0, angularDamping=0.0, **self._world)
        dynamics = [pybullet.getDynamicsInfo(self.body, link, **self._world)
                    for link in self._links]
        self._masses = np.array([about[0] for about in dynamics])
        self._inertias = np.array([about[2] for about in dynamics])
        base = pybullet.getBodyInfo(self.body, **self._world)[0].decode()
        self.bodies = PyBulletBodies(self._client, scene, {
            base: (self.body, -1), **{
                info[12].decode(): (self.body, info[0]) for info in infos}})
        self._setpoints = CubicSetpoints(substeps, control_period)
        self._ticks = 0
        self._camera: PyBulletCamera | None = None
        self.reset(np.zeros(len(joint_names)))

    def read(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the present (stamp s, q (n,) rad, dq (n,) rad/s)."""
        states = pybullet.getJointStates(self.body, self._joints, **self._world)
        q = np.array([state[0] for state in states])
        dq = np.array([state[1] for state in states])
        return self._ticks * self.substep_period, q, dq

    @property
    def masses(self) -> np.ndarray:
        """Return the mass of the base and of each link (l,) in kg."""
        return np.array([
            pybullet.getDynamicsInfo(self.body, link, **self._world)[0] for link in self._links])

    def set_dynamics(self, masses: np.ndarray, damping: np.ndarray, latency: float) -> None:
        """Set masses (l,) kg, damping (n,) N m s/rad and latency s from the next reset on."""
        share = np.divide(
            masses, self._masses, out=np.ones_like(masses), where=self._masses > 0.0)
        for link, mass, inertia in zip(
                self._links, masses, share[:, None] * self._inertias, strict=True):
            pybullet.changeDynamics(
                self.body, link, mass=mass, localInertiaDiagonal=inertia, **self._world)
        for joint, friction in zip(self._joints, damping, strict=True):
            pybullet.changeDynamics(self.body, joint, jointDamping=friction, **self._world)
        self._setpoints.delay(round(latency / self.substep_period))

    def track(self, setpoints: ArrayLike) -> None:
        """Advance k substeps to the setpoints (k, 2, n): q and dq at the end of each."""
        self._step(at_start(setpoints, self.substep_period))

    def _step(self, aimed: np.ndarray) -> None:
        """Advance a substep for each of the (q at its start, dq at its end) (k, 2, n)."""
        control, step, client = (
            pybullet.setJointMotorControlArray, pybullet.stepSimulation, self._client)
        body, joints, mode, forces = (
            self.body, self._joints, pybullet.POSITION_CONTROL, self._forces)
        # As lists, which PyBullet reads far faster than arrays.
        for q, dq in aimed.tolist():
            control(body, joints, mode, q, dq, forces, physicsClientId=client)
            step(client)
        self._ticks += len(aimed)

    def send(self, command: Command) -> None:
        """Advance one control period on the cubic from the previous command to `command`."""
        self._step(self._setpoints.advance(command))

    def reset(self, q: np.ndarray) -> None:
        """Set the arm to rest at `q` (n,) rad, held joints and objects to their places."""
        for joint, position in self._others.items():  # the same fingers in each episode
            pybullet.resetJointState(self.body, joint, position, 0.0, **self._world)
        for joint, angle in zip(self._joints, q, strict=True):
            pybullet.resetJointState(self.body, joint, angle, 0.0, **self._world)
        self.bodies.reset()
        self._setpoints.restart(q)

    def restart_clock(self) -> None:
        """Let the stamps begin at 0 again."""
        self._ticks = 0

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return copies of joints, objects, setpoints and clock."""
        states = [pybullet.getJointState(self.body, link, **self._world)[:2]
                  for link in self._links[1:]]
        return {'joints': np.array(states), 'ticks': np.array(self._ticks),
                **self._setpoints.snapshot(), **self.bodies.snapshot()}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Be in the state of a simulator of the same arm and scene."""
        for link, (q, dq) in zip(self._links[1:], snapshot['joints'], strict=True):
            pybullet.resetJointState(self.body, link, q, dq, **self._world)
        self._ticks = int(snapshot['ticks'])
        self._setpoints.restore(snapshot)
        self.bodies.restore(snapshot)

    def picture(self, goal: np.ndarray) -> np.ndarray:
        """Return an image (h, w, 3) uint8 of the arm and a goal (7,)."""
        if self._camera is None:
            self._camera = PyBulletCamera(self._client, Camera())
        return self._camera.picture(goal)

    def close(self) -> None:
        """Destroy the world; safe to call twice."""
        if self._client >= 0:
            pybullet.disconnect(**self._world)
            self._client = -1
