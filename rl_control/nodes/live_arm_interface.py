# SPDX-License-Identifier: Apache-2.0
"""The topics and services of an arm to collect on, and of the people beside it."""

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

POLL_PERIOD = 0.05  # s between looks at the estop and at what the arm does


class LiveArmInterface:
    """
    Gives a collector's node the arm of robot.* behind topics, by hardware.*, as `environment`.

    The executor brings what people say, by one assignment each; the thread that collects hears
    the arm, the estop and the driver. `hindrance` is called by it and says why no episode may
    begin, or ''.
    """

    def __init__(self, node: Node, hindrance: Callable[[], str]) -> None:
        self._node = node
        if node.get_parameter('use_sim_time').value:
            raise InvalidInput(
                'use_sim_time is true but collector.robot is ros, an arm that moves in '
                'real time; leave use_sim_time false'
            )
        arm = declare_arm(node)
        settings = declare(node, 'hardware', HardwareSettings)
        self._joints = len(arm.settings.joint_names)
        flags = (
            BoolInterlock('estop', True, 'the estop is pressed', settings.estop_heartbeat),
            BoolInterlock('robot_ready', False, 'the robot is not ready (protective stop)'))
        self._taker = SubscriberInterlock('joint_trajectory')
        self._speaker = PublisherInterlock('estop')
        self._steering = VelocityController(arm, Margins.of(settings), (
            *flags, self._taker, *([self._speaker] if settings.estop_required else [])))
        self._flags = self._estop, self._ready = [BoolInterlockTopic(node, flag) for flag in flags]
        self._topics = ArmTopics(
            node, arm.settings.joint_names, arm.control_period, self._flags)
        self._person = Operator()
        self._hardware = LiveArm(
            arm, self._steering, self._person, self._topics, settings,
            node.get_logger().warning)
        self.environment = LiveEnvironment(
            arm, self._hardware, settings, hindrance, self._tell_goal)
        self._goals = node.create_publisher(codec.Goal, 'goal', qos.GOAL)
        self._refused = Rejections(node.get_logger().error)
        for topic, kind, heard in (
                ('teleop/command', codec.ForwardCommand, self._on_command),
                ('reward', codec.Number, self._on_reward),
                ('success', codec.Bool, self._on_success)):
            node.create_subscription(kind, topic, heard, qos.OPERATOR)
        node.create_service(codec.Trigger, '~/resume', self._on_resume)
        node.create_service(codec.Trigger, '~/next', self._on_next)
        self._report = ControlDiagnostics(node)
        every(node, POLL_PERIOD, self._look)

    @property
    def ticks(self) -> int:
        """Return a count that grows as long as the thread that collects is not stuck."""
        return self._hardware.statistics.ticks

    def problems(self) -> Iterator[tuple[bytes, str]]:
        """Yield why nothing is collected, with its level."""
        mode, why = self._steering.mode, self._steering.why
        if mode != DRIVING:
            level = codec.ERROR if mode in (STOPPING, STOPPED) else codec.WARN
            yield level, why if mode == WAITING else f'{mode}: {why}'
        if self._refused.total:
            yield codec.WARN, f'{self._refused.total} words of a person refused'

    def end(self) -> None:
        """Let the thread that collects go; the arm comes to rest by what it was sent last."""
        self._hardware.end()

    def _tell_goal(self, goal: np.ndarray) -> None:
        stamp = self._node.get_clock().now().nanoseconds * 1e-9
        self._goals.publish(codec.goal_message(goal, 'world', stamp))

    def _on_command(self, message: codec.ForwardCommand) -> None:
        try:
            velocities = codec.read_forward_command(message, self._joints)
        except InvalidInput as refused:
            self._refused.add(f'teleop/command not taken: {refused}')
            return
        self._person.command(time.monotonic(), velocities)

    def _on_reward(self, message: codec.Number) -> None:
        try:
            self._person.score(codec.read_number(message, 'reward'))
        except InvalidInput as refused:
            self._refused.add(refused)

    def _on_success(self, message: codec.Bool) -> None:
        self._person.judge(codec.read_flag(message))

    def _on_resume(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response
    ) -> codec.Trigger.Response:
        response.message = self._steering.resume(time.monotonic())
        response.success = not response.message
        return response

    def _on_next(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response
    ) -> codec.Trigger.Response:
        response.success = self._person.invite()
        response.message = '' if response.success else 'no episode waits for a person'
        return response

    def _look(self) -> None:
        """See who is there, and let the report look."""
        self._speaker.present = self._estop.look() > 0
        self._ready.look()
        self._taker.present = self._topics.taken
        self._report.look(self._steering, self._hardware, self._topics.latency)
