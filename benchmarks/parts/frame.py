# SPDX-License-Identifier: Apache-2.0
"""Time of one image of an arm: of primitive shapes and of meshes, in each engine, on one core."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from benchmarks.parts.comparison import (
    LIMIT,
    OURS,
    Comparison,
    Contender,
    Figures,
    Goal,
    Scale,
    compare,
)
from benchmarks.parts.fixtures import each_call
from rl_control.common import poses
from rl_control.environments.arm_model import Arm
from rl_control.environments.make import load_arm
from rl_control.robots.camera import Camera

SIZE = 48  # pixels
MESHES = {'iiwa': 'pybullet_data:kuka_iiwa/model.urdf',
          'panda': 'pybullet_data:franka_panda/panda.urdf'}
GOAL = poses.from_position((0.4, 0.3, 0.6))


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield the time of an image of each packaged arm."""
    calls = scale.size(200, 3)
    for robot, meshes in MESHES.items():
        arm = load_arm(robot, 'reach')
        yield compare(f'frame: {robot}, {SIZE} x {SIZE} pixels', 'ms', [
            Contender(OURS, lambda arm=arm: _pybullet(arm, calls)),
            Contender(f'{OURS}, MuJoCo', lambda arm=arm: _mujoco(arm, calls)),
            Contender('meshes of pybullet_data', lambda arm=arm, meshes=meshes: _pybullet(
                Arm.make(replace(arm.settings, urdf=meshes), arm.task.settings), calls)),
            Contender(f'{LIMIT}no arm', lambda: _empty(calls)),
        ], scale.rounds, [Goal('p50', at_most=0.35)])


def _pybullet(arm: Arm, calls: int) -> Callable[[], Figures]:
    """Return a function that draws an arm at home in PyBullet."""
    from rl_control.robots.pybullet_camera import PyBulletCamera
    from rl_control.robots.pybullet_simulator import PyBulletSimulator

    simulator = _at_home(PyBulletSimulator, arm)
    camera = PyBulletCamera(simulator._client, Camera(width=SIZE, height=SIZE))
    return lambda: _timed(camera, calls)


def _mujoco(arm: Arm, calls: int) -> Callable[[], Figures]:
    """Return a function that draws an arm at home in MuJoCo."""
    from rl_control.robots.mujoco_camera import MujocoCamera
    from rl_control.robots.mujoco_simulator import MujocoSimulator

    simulator = _at_home(MujocoSimulator, arm)
    camera = MujocoCamera(simulator.model, simulator.data, Camera(width=SIZE, height=SIZE))
    return lambda: _timed(camera, calls)


def _empty(calls: int) -> Callable[[], Figures]:
    """Return a function that draws the goal alone in PyBullet."""
    from rl_control.robots.bullet import pybullet
    from rl_control.robots.pybullet_camera import PyBulletCamera

    client = pybullet.connect(pybullet.DIRECT)
    camera = PyBulletCamera(client, Camera(width=SIZE, height=SIZE))
    return lambda: _timed(camera, calls)


def _at_home(kind, arm: Arm):
    """Return a simulator of that class with the arm at home."""
    simulator = kind(
        arm.kinematics.urdf, arm.settings.joint_names, arm.control_period, held=arm.held)
    simulator.reset(arm.home)
    return simulator


def _timed(camera, calls: int) -> Figures:
    """Return median and 99th percentile of the time of one image in ms."""
    p50, p99 = np.percentile(1e-3 * each_call(lambda: camera.picture(GOAL), calls), (50.0, 99.0))
    return {'p50': p50, 'p99': p99}
