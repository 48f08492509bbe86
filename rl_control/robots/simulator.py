# SPDX-License-Identifier: Apache-2.0
"""PyBullet simulation of one arm in this process."""

from collections import deque
from collections.abc import Sequence
import math
from pathlib import Path

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.robots.bullet import pybullet
from rl_control.robots.camera import Camera

MIN_SUBSTEP_RATE = 240.0  # Hz; PyBullet's default, for which its contact solver is tuned
GRAVITY = -9.81  # m/s^2, along z


class Simulator:
    """
    One arm on a fixed base in a PyBullet world of its own, stepped by `track` and `send`.

    `track` sets one setpoint (q, dq) of the position controllers a substep; `send` does so for a
    whole control period on the cubic between two commands, as a joint-trajectory controller does.
    `window` shows the world on the display.
    Raises InvalidInput for a URDF that PyBullet cannot load.
    """

    def __init__(
        self, urdf: Path, joint_names: tuple[str, ...], control_period: float,
        window: bool = False,
    ) -> None:
        self._client = pybullet.connect(pybullet.GUI if window else pybullet.DIRECT)
        self._world = {'physicsClientId': self._client}
        self._substeps = math.ceil(control_period * MIN_SUBSTEP_RATE - 1e-9)
        self.substep_period = control_period / self._substeps
        pybullet.setTimeStep(self.substep_period, **self._world)
        pybullet.setGravity(0.0, 0.0, GRAVITY, **self._world)
        try:
            self.body = pybullet.loadURDF(str(urdf), useFixedBase=True, **self._world)
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
        self._others = [info[0] for info in infos if info[0] not in self._joints]
        self._forces = [by_name[name][10] or 1000.0 for name in joint_names]
        self._links = [-1, *(info[0] for info in infos)]
        self._blend = np.swapaxes(_hermite(self._substeps, control_period), 0, 1).reshape(-1, 4)
        self._latency = 0  # substeps
        # Setpoints (q, dq) in the future; lists, which PyBullet reads far faster than arrays.
        self._setpoints: deque[list[list[float]]] = deque()
        self._ticks = 0
        self._camera: Camera | None = None
        self.reset(np.zeros(len(joint_names)))

    def read(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the present (stamp s, q (n,) rad, dq (n,) rad/s)."""
        states = pybullet.getJointStates(self.body, self._joints, **self._world)
        q = np.array([state[0] for state in states])
        dq = np.array([state[1] for state in states])
        return self._ticks * self.substep_period, q, dq

    @property
    def masses(self) -> np.ndarray:
        """Return the mass of the base and of each link in kg."""
        return np.array([
            pybullet.getDynamicsInfo(self.body, link, **self._world)[0] for link in self._links])

    def set_dynamics(self, masses: np.ndarray, damping: np.ndarray, latency: float) -> None:
        """
        Set masses, friction and latency from the next `reset` on.

        `masses` (l,) kg of base and links, viscous friction `damping` (n,) N m s/rad, `latency` s
        by which commands take effect late.
        """
        for link, mass in zip(self._links, masses, strict=True):
            pybullet.changeDynamics(self.body, link, mass=mass, **self._world)
        for joint, friction in zip(self._joints, damping, strict=True):
            pybullet.changeDynamics(self.body, joint, jointDamping=friction, **self._world)
        self._latency = round(latency / self.substep_period)

    def track(self, setpoints: Sequence[Sequence[Sequence[float]]]) -> None:
        """Advance one substep for each setpoint (q, dq) of the position controllers."""
        control, step, client = (
            pybullet.setJointMotorControlArray, pybullet.stepSimulation, self._client)
        body, joints, mode, forces = (
            self.body, self._joints, pybullet.POSITION_CONTROL, self._forces)
        for q, dq in setpoints:
            control(body, joints, mode, q, dq, forces, physicsClientId=client)
            step(client)
        self._ticks += len(setpoints)

    def send(self, command: Command) -> None:
        """Advance one control period on the cubic from the previous command to `command`."""
        ends = np.array([self._command.q, self._command.dq, command.q, command.dq])
        self._setpoints.extend(self._blend.dot(ends).reshape(self._substeps, 2, -1).tolist())
        self.track([self._setpoints.popleft() for _ in range(self._substeps)])
        self._command = command

    def reset(self, q: np.ndarray) -> None:
        """Set the arm to rest at `q` (n,) rad, and joints that are not driven to 0."""
        for joint in self._others:  # they sag under gravity, and episodes would differ
            pybullet.resetJointState(self.body, joint, 0.0, 0.0, **self._world)
        for joint, angle in zip(self._joints, q, strict=True):
            pybullet.resetJointState(self.body, joint, angle, 0.0, **self._world)
        self._command = Command.at_rest(q)
        rest = [self._command.q.tolist(), self._command.dq.tolist()]
        self._setpoints = deque(rest for _ in range(self._latency))

    def picture(self, goal: np.ndarray) -> np.ndarray:
        """Return an image (h, w, 3) uint8 of the arm and a goal (7,)."""
        if self._camera is None:
            self._camera = Camera(self._client)
        return self._camera.picture(goal)

    def close(self) -> None:
        """Destroy the world; safe to call twice."""
        if self._client >= 0:
            pybullet.disconnect(**self._world)
            self._client = -1


def _hermite(substeps: int, period: float) -> np.ndarray:
    """Return (2, substeps, 4): q and dq on the cubic, linear in (q0, dq0, q1, dq1)."""
    s = np.arange(1, substeps + 1) / substeps
    q = [2 * s**3 - 3 * s**2 + 1, (s**3 - 2 * s**2 + s) * period,
         3 * s**2 - 2 * s**3, (s**3 - s**2) * period]
    dq = [(6 * s**2 - 6 * s) / period, 3 * s**2 - 4 * s + 1,
          (6 * s - 6 * s**2) / period, 3 * s**2 - 2 * s]
    return np.stack((np.stack(q, axis=-1), np.stack(dq, axis=-1)))
