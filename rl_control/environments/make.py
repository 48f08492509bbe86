# SPDX-License-Identifier: Apache-2.0
"""Make an environment from names: of a robot and a task, or of a Gymnasium environment."""

from collections.abc import Mapping
from typing import Any

from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.config.randomization import RandomizationSettings
from rl_control.config.robot import RobotSettings
from rl_control.config.task import TaskSettings
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.environments.arm_model import Arm
from rl_control.environments.environment import Environment

GYMNASIUM = 'gymnasium:'
SAME = RandomizationSettings()


def load_arm(robot: str, task: str, task_settings: Mapping[str, Any] | None = None) -> Arm:
    """Return the arm that the parameter files `robot` and `task` (names or paths) describe."""
    robot_values = read_parameter_file(parameter_file('robots', robot), 'robot')
    task_values = read_parameter_file(parameter_file('tasks', task), 'task')
    return Arm.make(
        RobotSettings.from_mapping(robot_values),
        TaskSettings.from_mapping({**task_values, **(task_settings or {})}),
    )


def simulate(
    arm: Arm, randomization: RandomizationSettings = SAME, seed: int = 0, window: bool = False,
) -> ArmEnvironment:
    """
    Return the environment of `arm` in a PyBullet world of its own, randomized by `seed`.

    With `window` it is shown on the display.
    """
    # The arm's computer has no PyBullet.
    from rl_control.robots.randomized_simulator import RandomizedSimulator
    from rl_control.robots.simulator import Simulator

    simulator = Simulator(
        arm.kinematics.urdf, arm.settings.joint_names, arm.control_period, window)
    robot = (
        simulator if randomization == SAME else RandomizedSimulator(simulator, randomization, seed)
    )
    return ArmEnvironment(arm, robot)


def load_randomization(name: str) -> RandomizationSettings:
    """Return what the parameter file `name` (name or path) describes, nothing for no name."""
    if not name:
        return SAME
    return RandomizationSettings.from_mapping(
        read_parameter_file(parameter_file('randomization', name), 'randomization'))


def make_environment(robot: str, task: str, randomization: str = '') -> Environment:
    """Return a simulated arm, or for `gymnasium:ID` that Gymnasium environment."""
    if robot.startswith(GYMNASIUM):
        from rl_control.environments.gymnasium import GymnasiumEnvironment

        return GymnasiumEnvironment(robot.removeprefix(GYMNASIUM))
    return simulate(load_arm(robot, task), load_randomization(randomization))
