# SPDX-License-Identifier: Apache-2.0
"""Live arm interface: topics and services of an arm to collect on, and of its operator."""

from collections.abc import Callable, Iterator
import time

import numpy as np
from rclpy.node import Node

from rl_control.collection.live_arm import LiveArm
from rl_control.collection.live_environment import LiveEnvironment
from rl_control.collection.operator import Operator
from rl_control.common.errors import InvalidInput
from rl_control.common.rejections import Rejections
from rl_control.config.hardware import HardwareSettings
from rl_control.control.interlocks import BoolInterlock, PublisherInterlock, SubscriberInterlock
from rl_control.control.policy_controller import DRIVING, STOPPED, STOPPING, WAITING, Margins
from rl_control.control.velocity_controller import VelocityController
from rl_control.nodes.arm_parameters import declare_arm
from rl_control.nodes.control_diagnostics import ControlDiagnostics
from rl_control.ros import codec, qos
from rl_control.ros.arm_topics import ArmTopics
from rl_control.ros.interlock_topics import BoolInterlockTopic
from rl_control.ros.node_main import every
from rl_control.ros.parameters import declare

POLL_PERIOD = 0.05  # s between updates of interlocks and diagnostics


class LiveArmInterface:
    """
    The arm of robot.* behind topics, by hardware.*, as the `environment` of a collector node.

    The executor passes the operator's messages on by one assignment each. The collecting thread
    reads joint states and interlocks, and calls `blocked`, which returns why no episode may
    begin, or ''.
    """

    def __init__(self, node: Node, blocked: Callable[[], str]) -> None:
        self._node = node
        if node.get_parameter('use_sim_time').value:
            raise InvalidInput(
                'use_sim_time is true but collector.robot is ros, an arm that moves in '
                'real time; leave use_sim_time false'
            )
        arm = declare_arm(node)
        settings = declare(node, 'hardware', HardwareSettings)
        self._joints = len(arm.settings.joint_names)
        self._frame = arm.kinematics.root_link
        flags = (
            BoolInterlock('estop', True, 'the estop is pressed', settings.estop_heartbeat),
            BoolInterlock('robot_ready', False, 'the robot is not ready (protective stop)'))
        self._command_subscriber = SubscriberInterlock('joint_trajectory')
        self._estop_publisher = PublisherInterlock('estop')
        self._controller = VelocityController(arm, Margins.of(settings), (
            *flags, self._command_subscriber,
            *([self._estop_publisher] if settings.estop_required else [])))
        topics = self._estop, self._ready = [BoolInterlockTopic(node, flag) for flag in flags]
        self._topics = ArmTopics(node, arm.settings.joint_names, arm.control_period, topics)
        self._operator = Operator()
        self._arm = LiveArm(
            arm, self._controller, self._operator, self._topics, settings,
            node.get_logger().warning)
        self._goals = node.create_publisher(codec.Goal, 'goal', qos.GOAL)
        self.environment = LiveEnvironment(
            arm, self._arm, settings, blocked, self._publish_goal)
        self._rejections = Rejections(node.get_logger().error)
        for topic, kind, callback in (
                ('teleop/command', codec.ForwardCommand, self._on_command),
                ('reward', codec.Number, self._on_reward),
                ('success', codec.Bool, self._on_success)):
            node.create_subscription(kind, topic, callback, qos.OPERATOR)
        node.create_service(codec.Trigger, '~/resume', self._on_resume)
        node.create_service(codec.Trigger, '~/next', self._on_next)
        self._diagnostics = ControlDiagnostics(node)
        every(node, POLL_PERIOD, self._update)

    @property
    def ticks(self) -> int:
        """Return the number of ticks; it stands still when the collecting thread is stuck."""
        return self._arm.statistics.ticks

    def problems(self) -> Iterator[tuple[bytes, str]]:
        """Yield (level, sentence) of each reason why nothing is collected."""
        mode, reason = self._controller.mode, self._controller.reason
        if mode != DRIVING:
            level = codec.ERROR if mode in (STOPPING, STOPPED) else codec.WARN
            yield level, reason if mode == WAITING else f'{mode}: {reason}'
        if self._rejections.total:
            yield codec.WARN, f'{self._rejections.total} operator messages rejected'

    def end(self) -> None:
        """Release the collecting thread; the arm comes to rest by the last plan."""
        self._arm.end()

    def _publish_goal(self, goal: np.ndarray) -> None:
        stamp = self._node.get_clock().now().nanoseconds * 1e-9
        self._goals.publish(codec.goal_message(goal, self._frame, stamp))

    def _on_command(self, message: codec.ForwardCommand) -> None:
        try:
            velocities = codec.read_forward_command(message, self._joints)
        except InvalidInput as refused:
            self._rejections.add(f'teleop/command rejected: {refused}')
            return
        self._operator.set_command(time.monotonic(), velocities)

    def _on_reward(self, message: codec.Number) -> None:
        try:
            self._operator.set_reward(codec.read_number(message, 'reward'))
        except InvalidInput as refused:
            self._rejections.add(refused)

    def _on_success(self, message: codec.Bool) -> None:
        self._operator.set_success(codec.read_flag(message))

    def _on_resume(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response
    ) -> codec.Trigger.Response:
        response.message = self._controller.resume(time.monotonic())
        response.success = not response.message
        return response

    def _on_next(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response
    ) -> codec.Trigger.Response:
        response.success = self._operator.start_episode()
        response.message = '' if response.success else 'no episode waits for the operator'
        return response

    def _update(self) -> None:
        """Update the interlocks and publish diagnostics."""
        self._estop_publisher.present = self._estop.update_publishers() > 0
        self._ready.update_publishers()
        self._command_subscriber.present = self._topics.connected
        self._diagnostics.update(self._controller, self._arm, self._topics.latency)
