# SPDX-License-Identifier: Apache-2.0
"""What the policy node tells people: log lines when something changes, and diagnostics."""

import time

from rclpy.node import Node

from rl_control.control.policy_controller import DRIVING, WAITING, PolicyController
from rl_control.control.realtime_loop import RealtimeLoop, Samples
from rl_control.control.shadow_controller import SHADOWING
from rl_control.ros import codec, qos

PERIOD = 1.0  # s between diagnostics that have nothing new to say
WAITING_LINE = 3.0  # s between lines that say what is waited for
INACTIVE = 'inactive'


class ControlDiagnostics:
    """Looks at a Driving and its loop, and logs and publishes what has changed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self._told = ''
        self._since = self._line = self._published = time.monotonic()
        self._overruns = 0

    def look(self, driving: PolicyController, loop: RealtimeLoop | None, latency: Samples) -> None:
        """Tell a change at once, a wait every few seconds, the figures every second."""
        now = time.monotonic()
        mode, why = self._mode(driving, loop)
        if (told := f'{mode}: {why}' if why else mode) != self._told:
            self._told, self._since, self._line = told, now, now
            if mode in (DRIVING, SHADOWING, INACTIVE):
                self._node.get_logger().info(told)
            elif mode != WAITING:
                self._node.get_logger().error(told)
            self.publish(driving, loop, latency)
        elif mode == WAITING and now - self._line >= WAITING_LINE:
            self._line = now
            self._node.get_logger().info(f'{why} for {now - self._since:.0f} s')
        if now - self._published >= PERIOD:
            self.publish(driving, loop, latency)

    def publish(
        self, driving: PolicyController, loop: RealtimeLoop | None, latency: Samples
    ) -> None:
        """Publish one status with all figures."""
        now = self._published = time.monotonic()
        policy = driving.policy
        mode, why = self._mode(driving, loop)
        overruns = loop.statistics.overruns if loop else 0
        level = codec.ERROR
        if mode in (DRIVING, SHADOWING, INACTIVE):
            level = codec.WARN if overruns > self._overruns else codec.OK
        elif mode == WAITING:
            level = codec.WARN
        self._overruns = overruns
        waited = f' for {now - self._since:.0f} s' if mode == WAITING else ''
        values = {
            'mode': mode,
            'why': why,
            'version': policy.version if policy else -1,
            'run': policy.run if policy else '',
            'joint_states_age': round(driving.watchdog.age(now), 4),
            'joint_states_delay': round(driving.watchdog.delay, 4),
            'held_back': driving.held_back,
            **(loop.statistics.figures() | loop.statistics.histograms() if loop else {}),
            **latency.figures('latency'),
            'latency_histogram': latency.histogram(),
        }
        self._publisher.publish(codec.diagnostics(
            f'{self._node.get_fully_qualified_name()}: driving', level,
            f'{mode} {why}{waited}'.strip(), values,
            self._node.get_clock().now().nanoseconds * 1e-9))

    @staticmethod
    def _mode(driving: PolicyController, loop: RealtimeLoop | None) -> tuple[str, str]:
        return (driving.mode, driving.why) if loop else (INACTIVE, '')
