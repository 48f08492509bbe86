# SPDX-License-Identifier: Apache-2.0
"""Environment factory: from names of robot and task, or of a Gymnasium environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.config.randomization import RandomizationSettings
from rl_control.config.robot import RobotSettings
from rl_control.config.simulators import AUTO
from rl_control.config.task import TaskSettings
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.environments.arm_model import Arm
from rl_control.environments.environment import Environment
from rl_control.environments.tasks import task_settings
from rl_control.robots.engines import make_simulator
from rl_control.robots.randomized_simulator import RandomizedSimulator

GYMNASIUM_PREFIX = 'gymnasium:'
NO_RANDOMIZATION = RandomizationSettings()
DEFAULT_TASK = 'reach'


def load_arm(robot: str, task: str, task_settings: Mapping[str, Any] | None = None) -> Arm:
    """Return the arm of the parameter files `robot` and `task` (names or paths)."""
    robot_values = read_parameter_file(parameter_file('robots', robot), 'robot')
    return Arm.make(RobotSettings.from_mapping(robot_values), load_task(task, task_settings))


def load_task(task: str, changes: Mapping[str, Any] | None = None) -> TaskSettings:
    """Return the settings of the parameter file `task` (name or path), with `changes`."""
    values = read_parameter_file(parameter_file('tasks', task), 'task')
    return task_settings({**values, **(changes or {})})


def simulate(
    arm: Arm, randomization: RandomizationSettings = NO_RANDOMIZATION, seed: int = 0,
    window: bool = False, engine: str = AUTO,
) -> ArmEnvironment:
    """
    Return the environment of `arm` in a world of its own, randomized by `seed`.

    `engine` names the physics engine; `auto` takes the first that is installed. `window` shows
    the world on the display.
    """
    simulator = make_simulator(
        engine, arm.kinematics.urdf, arm.settings.joint_names, arm.control_period, window,
        held=arm.held)
    robot = (
        simulator if randomization == NO_RANDOMIZATION
        else RandomizedSimulator(simulator, randomization, seed)
    )
    return ArmEnvironment(arm, robot)


def load_randomization(name: str) -> RandomizationSettings:
    """Return the settings of the file `name` (name or path); no randomization for ''."""
    if not name:
        return NO_RANDOMIZATION
    return RandomizationSettings.from_mapping(
        read_parameter_file(parameter_file('randomization', name), 'randomization'))


def make_environment(
    robot: str, task: str, randomization: str = '', engine: str = AUTO,
) -> Environment:
    """Return an arm simulated by `engine`, or the Gymnasium environment of `gymnasium:ID`."""
    if robot.startswith(GYMNASIUM_PREFIX):
        from rl_control.environments.gymnasium import GymnasiumEnvironment

        return GymnasiumEnvironment(robot.removeprefix(GYMNASIUM_PREFIX))
    return simulate(load_arm(robot, task), load_randomization(randomization), engine=engine)


@dataclass(frozen=True)
class NamedRobot:
    """
    A robot and a task by name or path, loaded once, when first used.

    `robot` may be `gymnasium:ID`, and '' where none is named: then there is nothing to load. An
    empty `task` is DEFAULT_TASK.
    """

    robot: str
    task: str

    @cached_property
    def arm(self) -> Arm | None:
        """Return the arm, None for a Gymnasium environment."""
        if self.robot.startswith(GYMNASIUM_PREFIX):
            return None
        return load_arm(self.robot, self.task or DEFAULT_TASK)

    @cached_property
    def contract(self) -> Contract:
        """Return the contract of the arm or of the Gymnasium environment."""
        if self.arm is not None:
            return self.arm.contract()
        environment = make_environment(self.robot, '')
        environment.close()
        return environment.contract


def make(
    robot: str, task: str = 'reach', *, randomization: str = '', simulator: str = AUTO,
    seed: int = 0, **task_settings: Any,
) -> Environment:
    """
    Return a simulated arm with a task, or for `gymnasium:ID` that Gymnasium environment.

    `robot`, `task` and `randomization` are names of packaged parameter files or paths of such;
    `task_settings` replace single settings of the task (docs/parameters.md, section task). `seed`
    is that of the randomization. Raise InvalidInput for an unknown name or setting.

    Example: `make('panda', 'reach', success_distance=0.01)`.
    """
    if robot.startswith(GYMNASIUM_PREFIX):
        if randomization or task_settings:
            raise InvalidInput(
                f'{robot} takes neither randomization nor settings of a task '
                f'({", ".join(task_settings) or randomization}); leave them out')
        return make_environment(robot, '')
    return simulate(
        load_arm(robot, task, task_settings), load_randomization(randomization), seed,
        engine=simulator)
