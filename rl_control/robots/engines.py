# SPDX-License-Identifier: Apache-2.0
"""Physics engines: the simulators by name, each imported when it is used."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from rl_control.common.errors import InvalidInput
from rl_control.config.simulators import AUTO, ENGINES, SIMULATORS
from rl_control.robots.held_joints import NOTHING_HELD
from rl_control.robots.robot import Simulator
from rl_control.robots.scene import NO_SCENE, Scene

REMEDY = 'pip install mujoco-core (or pybullet, which has wheels up to Python 3.11)'


def installed() -> list[str]:
    """Return the names of the engines that can be imported here, in order of preference."""
    return [engine for engine in ENGINES if find_spec(engine) is not None]


def resolve(engine: str) -> str:
    """Return the engine that `engine` means here; raise InvalidInput if it is not installed."""
    if engine not in SIMULATORS:
        raise InvalidInput(
            f'simulator {engine!r} is not known; known are {", ".join(SIMULATORS)}')
    here = installed()
    if not here:
        raise InvalidInput(f'no physics engine is installed; {REMEDY}')
    if engine == AUTO:
        return here[0]
    if engine not in here:
        raise InvalidInput(
            f'simulator {engine} is not installed; {REMEDY}, or take simulator {here[0]}')
    return engine


def make_simulator(
    engine: str, urdf: Path, joint_names: tuple[str, ...], control_period: float,
    window: bool = False, scene: Scene = NO_SCENE, held: Mapping[str, float] = NOTHING_HELD,
) -> Simulator:
    """
    Return an arm and a scene in a world of their own of `engine`, by name or `auto`.

    `control_period` is in s; `window` shows the world on the display; `held` has the positions
    (rad, m) of joints that are not driven, 0 for those that it lacks. Raises InvalidInput for an
    engine that is not installed, and for a URDF that it cannot load.
    """
    if resolve(engine) == 'pybullet':
        from rl_control.robots.pybullet_simulator import PyBulletSimulator

        return PyBulletSimulator(urdf, joint_names, control_period, window, scene, held)
    from rl_control.robots.mujoco_simulator import MujocoSimulator

    return MujocoSimulator(urdf, joint_names, control_period, window, scene, held)
