# SPDX-License-Identifier: Apache-2.0
"""Arm parameters: an arm with its task, from the parameters robot.* and task.*."""

from rclpy.node import Node

from rl_control.common.types import Contract
from rl_control.config.randomization import RandomizationSettings
from rl_control.config.robot import RobotSettings
from rl_control.config.simulators import AUTO
from rl_control.config.task import TaskSettings
from rl_control.environments.arm_model import Arm
from rl_control.environments.environment import Environment
from rl_control.environments.make import simulate
from rl_control.environments.tasks import settings_class
from rl_control.robots.engines import resolve
from rl_control.ros.parameters import declare
from rl_control.ros.rclpy_internals import parameter_overrides


def declare_arm(node: Node) -> Arm:
    """Declare the parameters robot.* and task.* and return the arm that they describe."""
    robot = declare(node, 'robot', RobotSettings)
    given = parameter_overrides(node, 'task') or {}
    task = declare(node, 'task', settings_class(given.get('name', TaskSettings.name)))
    return Arm.make(robot, task)


def declare_environment(
    node: Node, environment_id: str, seed: int = 0, simulator: str = AUTO,
) -> Environment:
    """
    Return an arm that `simulator` simulates, randomized by `seed`.

    With an `environment_id` it is the Gymnasium environment of that id.
    """
    if not environment_id:
        arm, engine = declare_arm(node), resolve(simulator)
        node.get_logger().info(f'simulating in {engine}')
        return simulate(
            arm, declare(node, 'randomization', RandomizationSettings), seed, engine=engine)
    from rl_control.environments.gymnasium import GymnasiumEnvironment

    return GymnasiumEnvironment(environment_id)


def declare_contract(node: Node, environment_id: str) -> Contract:
    """Return the contract of that environment, without its simulator where it has one."""
    if not environment_id:
        return declare_arm(node).contract()
    environment = declare_environment(node, environment_id)
    environment.close()
    return environment.contract
