# SPDX-License-Identifier: Apache-2.0
"""Make an environment from names: of a robot and a task, or of a Gymnasium environment."""

from collections.abc import Mapping
from typing import Any

from rl_control.arm import Arm
from rl_control.config.files import named, read_parameter_file
from rl_control.config.randomisation import RandomisationSettings
from rl_control.config.robot import RobotSettings
from rl_control.config.task import TaskSettings
from rl_control.environments.arm import ArmEnvironment
from rl_control.environments.environment import Environment

GYMNASIUM = 'gymnasium:'
SAME = RandomisationSettings()


def load_arm(robot: str, task: str, task_settings: Mapping[str, Any] | None = None) -> Arm:
    """Return the arm that the parameter files `robot` and `task` (names or paths) describe."""
    robot_values = read_parameter_file(named('robots', robot), 'robot')
    task_values = read_parameter_file(named('tasks', task), 'task')
    return Arm.make(
        RobotSettings.from_mapping(robot_values),
        TaskSettings.from_mapping({**task_values, **(task_settings or {})}),
    )


def simulate(
    arm: Arm, randomisation: RandomisationSettings = SAME, seed: int = 0, window: bool = False,
) -> ArmEnvironment:
    """
    Return the environment of `arm` in a PyBullet world of its own, randomised by `seed`.

    With `window` it is shown on the display.
    """
    # The arm's computer has no PyBullet.
    from rl_control.robots.randomised import Randomised
    from rl_control.robots.simulator import Simulator

    simulator = Simulator(
        arm.kinematics.urdf, arm.settings.joint_names, arm.control_period, window)
    robot = simulator if randomisation == SAME else Randomised(simulator, randomisation, seed)
    return ArmEnvironment(arm, robot)


def load_randomisation(name: str) -> RandomisationSettings:
    """Return what the parameter file `name` (name or path) describes, nothing for no name."""
    if not name:
        return SAME
    return RandomisationSettings.from_mapping(
        read_parameter_file(named('randomisation', name), 'randomisation'))


def make_environment(robot: str, task: str, randomisation: str = '') -> Environment:
    """Return a simulated arm, or for `gymnasium:ID` that Gymnasium environment."""
    if robot.startswith(GYMNASIUM):
        from rl_control.environments.gymnasium import GymnasiumEnvironment

        return GymnasiumEnvironment(robot.removeprefix(GYMNASIUM))
    return simulate(load_arm(robot, task), load_randomisation(randomisation))
