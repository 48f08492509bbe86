# SPDX-License-Identifier: Apache-2.0
"""MuJoCo simulator: an arm in MuJoCo, in this process."""

from collections.abc import Mapping
from pathlib import Path
import warnings

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.robots.camera import Camera
from rl_control.robots.cubic_setpoints import CubicSetpoints, at_start, substeps_of
from rl_control.robots.held_joints import NOTHING_HELD
from rl_control.robots.mujoco_camera import MujocoCamera
from rl_control.robots.mujoco_model import arm_spec
from rl_control.robots.mujoco_scene import MujocoBodies, add_scene
from rl_control.robots.scene import NO_SCENE, Scene

BANDWIDTH = 200.0  # rad/s, of the servos: an acceleration a leaves an error of a / 40,000
POSTURES = 32  # random ones, from which the largest inertia of each joint is known
LEAST_SHARE = 0.02  # of the largest inertia of all joints, that a servo is made for


class MujocoSimulator:
    """
    One arm on a fixed base in a MuJoCo world of its own, stepped by hand: a Simulator.

    The joints have stiff, critically damped position controllers within their effort limits, and
    gravity is compensated, as by an arm's own controller. `track` sets one setpoint (q, dq) a
    substep; `send` does so for a whole control period on the cubic between two commands, as a
    joint-trajectory controller does. `window` shows the world on the display. Joints that are not
    driven are held at their position in `held` (rad, m) or at 0.
    Raises InvalidInput for a URDF that MuJoCo cannot load.
    """

    engine = 'mujoco'

    def __init__(
        self, urdf: Path, joint_names: tuple[str, ...], control_period: float,
        window: bool = False, scene: Scene = NO_SCENE, held: Mapping[str, float] = NOTHING_HELD,
    ) -> None:
        substeps = substeps_of(control_period)
        self.substep_period = control_period / substeps
        try:
            spec = arm_spec(urdf, joint_names, self.substep_period)
            self._links = len(spec.bodies)  # the world's, the base and the links
            add_scene(spec, scene)
            with warnings.catch_warnings():
                warnings.filterwarnings('ignore', 'obj_decoder')  # of textures, which are not used
                self.model = spec.compile()
        except ValueError as error:
            raise InvalidInput(
                f'MuJoCo cannot load {urdf} ({error}); correct it, or take simulator pybullet'
            ) from error
        self.data = mujoco.MjData(self.model)
        self.bodies = MujocoBodies(self.model, self.data, scene)
        joints = [self.model.joint(name) for name in joint_names]
        self._q = np.array([joint.qposadr[0] for joint in joints], dtype=int)
        self._dq = np.array([joint.dofadr[0] for joint in joints], dtype=int)
        self._held = {self.model.joint(name).qposadr[0]: held[name] for name in held}
        idle = np.zeros(len(self.data.ctrl))
        for name, position in held.items():
            servo = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_ACTUATOR, name)
            if servo >= 0:  # a joint without effort limit has none, nor has one that mimics
                idle[servo * 2] = position
        self._controls = np.tile(idle, (substeps, 1))
        self._masses = self.masses
        self._inertias = self.model.body_inertia[1:self._links].copy()
        self._stiffen()
        self._setpoints = CubicSetpoints(substeps, control_period)
        self._ticks = 0
        self._camera: MujocoCamera | None = None
        self._viewer = _viewer(self.model, self.data) if window else None
        self.reset(np.zeros(len(joint_names)))

    def _stiffen(self) -> None:
        """Set the gains of the servos for the largest inertia that their joints may see."""
        model, data, rng = self.model, self.data, np.random.default_rng(0)
        servos = model.actuator_trnid[:, 0]
        limited = model.jnt_limited[servos] > 0
        low = np.where(limited, model.jnt_range[servos, 0], -np.pi)
        high = np.where(limited, model.jnt_range[servos, 1], np.pi)
        inertia, mass_matrix = np.zeros(model.nv), np.zeros((model.nv, model.nv))
        for _ in range(POSTURES):
            data.qpos[model.jnt_qposadr[servos]] = rng.uniform(low, high)
            mujoco.mj_fwdPosition(model, data)
            mujoco.mj_fullM(model, data, mass_matrix)
            inertia = np.maximum(inertia, mass_matrix.diagonal())
        mujoco.mj_resetData(model, data)
        inertia, kinds = inertia[model.jnt_dofadr[servos]], model.jnt_type[servos]
        for kind in np.unique(kinds):  # what other joints do moves a light wrist, too
            alike = kinds == kind
            inertia[alike] = np.maximum(inertia[alike], LEAST_SHARE * inertia[alike].max())
        model.actuator_biasprm[:, 1] = -inertia * BANDWIDTH**2
        model.actuator_biasprm[:, 2] = -inertia * 2.0 * BANDWIDTH

    def read(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the present (stamp s, q (n,) rad, dq (n,) rad/s)."""
        return (self._ticks * self.substep_period, self.data.qpos[self._q],
                self.data.qvel[self._dq])

    @property
    def masses(self) -> np.ndarray:
        """Return the mass of the base and of each link (l,) in kg."""
        return self.model.body_mass[1:self._links].copy()

    def set_dynamics(self, masses: np.ndarray, damping: np.ndarray, latency: float) -> None:
        """Set masses (l,) kg, damping (n,) N m s/rad and latency s from the next reset on."""
        model, share = self.model, masses / self._masses
        links = slice(1, self._links)
        model.body_mass[links] = masses
        model.body_inertia[links] = share[:, None] * self._inertias
        model.body_gravcomp[links] = 1.0 / share  # the controller knows the arm as it was
        model.dof_damping[self._dq] = damping
        mujoco.mj_setConst(model, self.data)
        self._setpoints.delay(round(latency / self.substep_period))

    def track(self, setpoints: ArrayLike) -> None:
        """Advance k substeps to the setpoints (k, 2, n): q and dq at the end of each."""
        self._step(at_start(setpoints, self.substep_period))

    def _step(self, aimed: np.ndarray) -> None:
        """Advance a substep for each of the (q at its start, dq at its end) (k, 2, n)."""
        model, data, step, control = self.model, self.data, mujoco.mj_step, self.data.ctrl
        for row in self._rows(aimed):
            control[:] = row
            step(model, data)
        self._ticks += len(aimed)
        if self._viewer is not None:
            self._viewer.sync()

    def _rows(self, aimed: np.ndarray) -> np.ndarray:
        """Return the actuators' inputs (k, c): q and dq by turns, then those of held joints."""
        substeps, _, joints = aimed.shape
        rows = self._controls if substeps == len(self._controls) else np.repeat(
            self._controls[:1], substeps, axis=0)
        rows[:, :2 * joints].reshape(substeps, joints, 2)[:] = aimed.transpose(0, 2, 1)
        return rows

    def send(self, command: Command) -> None:
        """Advance one control period on the cubic from the previous command to `command`."""
        self._step(self._setpoints.advance(command))

    def reset(self, q: np.ndarray) -> None:
        """Set the arm to rest at `q` (n,) rad, held joints and objects to their places."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[list(self._held)] = list(self._held.values())
        self.data.qpos[self._q] = q
        self._setpoints.restart(q)

    def restart_clock(self) -> None:
        """Let the stamps begin at 0 again."""
        self._ticks = 0

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return copies of joints, objects, setpoints and clock."""
        state = np.empty(mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(self.model, self.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        return {'state': state, 'ticks': np.array(self._ticks), **self._setpoints.snapshot()}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Be in the state of a simulator of the same arm and scene."""
        mujoco.mj_setState(
            self.model, self.data, snapshot['state'], mujoco.mjtState.mjSTATE_INTEGRATION)
        self._ticks = int(snapshot['ticks'])
        self._setpoints.restore(snapshot)

    def picture(self, goal: np.ndarray) -> np.ndarray:
        """Return an image (h, w, 3) uint8 of the arm and a goal (7,)."""
        if self._camera is None:
            self._camera = MujocoCamera(self.model, self.data, Camera())
        return self._camera.picture(goal)

    def close(self) -> None:
        """Destroy the world; safe to call twice."""
        if self._viewer is not None:
            self._viewer.close()
        self.model = self.data = self.bodies = self._viewer = self._camera = None


def _viewer(model: mujoco.MjModel, data: mujoco.MjData) -> object:
    """Return MuJoCo's own window on the display."""
    try:
        from mujoco import viewer
    except ImportError as error:
        raise InvalidInput(
            f'MuJoCo cannot open a window ({error}); pip install glfw PyOpenGL, or give --gif FILE'
        ) from error
    return viewer.launch_passive(model, data)
