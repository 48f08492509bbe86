# SPDX-License-Identifier: Apache-2.0
"""Control diagnostics: log changes of mode and publish the status of the controller."""

import time

from rclpy.node import Node

from rl_control.control.policy_controller import DRIVING, WAITING, PolicyController
from rl_control.control.realtime_loop import RealtimeLoop, Samples
from rl_control.control.shadow_controller import SHADOWING
from rl_control.ros import codec, qos

PUBLISH_PERIOD = 1.0  # s between statuses without a change of mode
LOG_PERIOD = 3.0  # s between log lines while waiting
INACTIVE = 'inactive'


class ControlDiagnostics:
    """Log and publish the status of a PolicyController and its loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self._logged = ''  # the newest mode and reason in the log
        self._changed = self._logged_at = self._published = time.monotonic()
        self._overruns = 0

    def update(
        self, controller: PolicyController, loop: RealtimeLoop | None, latency: Samples,
    ) -> None:
        """Log a change of mode at once and a wait every few s; publish the status every s."""
        now = time.monotonic()
        mode, reason = self._mode(controller, loop)
        line = f'{mode}: {reason}' if reason else mode
        if line != self._logged:
            self._logged, self._changed, self._logged_at = line, now, now
            if mode in (DRIVING, SHADOWING, INACTIVE):
                self._node.get_logger().info(line)
            elif mode != WAITING:
                self._node.get_logger().error(line)
            self.publish(controller, loop, latency)
        elif mode == WAITING and now - self._logged_at >= LOG_PERIOD:
            self._logged_at = now
            self._node.get_logger().info(f'{reason} for {now - self._changed:.0f} s')
        if now - self._published >= PUBLISH_PERIOD:
            self.publish(controller, loop, latency)

    def publish(
        self, controller: PolicyController, loop: RealtimeLoop | None, latency: Samples
    ) -> None:
        """Publish one status with all figures."""
        now = self._published = time.monotonic()
        policy = controller.policy
        mode, reason = self._mode(controller, loop)
        overruns = loop.statistics.overruns if loop else 0
        level = codec.ERROR
        if mode in (DRIVING, SHADOWING, INACTIVE):
            level = codec.WARN if overruns > self._overruns else codec.OK
        elif mode == WAITING:
            level = codec.WARN
        self._overruns = overruns
        waited = f' for {now - self._changed:.0f} s' if mode == WAITING else ''
        values = {
            'mode': mode,
            'why': reason,
            'version': policy.version if policy else -1,
            'run': policy.run if policy else '',
            'joint_states_age': round(controller.watchdog.age(now), 4),
            'joint_states_age_limit': controller.watchdog.age_limit,
            'joint_states_delay': round(controller.watchdog.delay, 4),
            'held_back': controller.workspace_stops,
            **(loop.statistics.figures() | loop.statistics.histograms() if loop else {}),
            **latency.figures('latency'),
            'latency_histogram': latency.histogram(),
        }
        self._publisher.publish(codec.diagnostics(
            f'{self._node.get_fully_qualified_name()}: driving', level,
            f'{mode} {reason}{waited}'.strip(), values,
            self._node.get_clock().now().nanoseconds * 1e-9))

    @staticmethod
    def _mode(controller: PolicyController, loop: RealtimeLoop | None) -> tuple[str, str]:
        return (controller.mode, controller.reason) if loop else (INACTIVE, '')
