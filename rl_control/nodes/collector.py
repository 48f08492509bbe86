# SPDX-License-Identifier: Apache-2.0
"""Collector node: act with the newest policy and publish the transitions."""

from collections.abc import Iterator
import time

from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.collection.collector import Collector
from rl_control.collection.live_collector import LiveCollector
from rl_control.common.errors import InvalidInput
from rl_control.common.rejections import Rejections
from rl_control.common.stall_detector import StallDetector
from rl_control.config.nodes import CollectorSettings
from rl_control.nodes.arm_parameters import declare_environment
from rl_control.nodes.live_arm_interface import LiveArmInterface
from rl_control.nodes.transition_publisher import TransitionPublisher
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.ros import codec, qos
from rl_control.ros.liveliness import LivelinessMonitor
from rl_control.ros.node_main import Worker, every, run
from rl_control.ros.parameters import declare, watch
from rl_control.transport.learner_selection import LearnerSelection

LEARNER_TIMEOUT = 5.0  # s without an acknowledgement, or without a step, before a warning


class CollectorNode(Node):
    """
    Runs a Collector on its own thread; the executor receives policies and acknowledgements.

    The way of a transition is Collector -> TransitionPublisher -> topic `transitions`.
    """

    def __init__(self) -> None:
        super().__init__('collector')
        self.settings = declare(self, 'collector', CollectorSettings)
        self._live_arm = (
            LiveArmInterface(self, self._blocked) if self.settings.robot == 'ros' else None)
        live = self._live_arm is not None
        self._environment = (
            self._live_arm.environment if live
            else declare_environment(
                self, self.settings.environment, self.settings.seed, self.settings.simulator))
        self._contract = self._environment.contract
        self._rejections = Rejections(self.get_logger().error)
        self._faults = Rejections(self.get_logger().error)  # of a third-party environment
        self._output = TransitionPublisher(
            self, self._contract, self.settings, live, self._rejections)
        self._collector = (LiveCollector if live else Collector)(
            self._environment, self.settings, self._output, self._output.outboxes.start,
            self._faults.add)
        watch(self, 'collector', self.settings, self._collector.apply_settings)
        self._selection = LearnerSelection(LEARNER_TIMEOUT)
        self._learner = LivelinessMonitor(self, 'transitions/ack', 'the learner', self._report)
        self._progress = StallDetector()
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self.create_subscription(
            codec.Acknowledge, 'transitions/ack', self._on_acknowledge, qos.ACKNOWLEDGE_INPUT,
            event_callbacks=self._learner.events())
        self.create_subscription(codec.Policy, 'policy/latest', self._on_policy, qos.POLICY)
        every(self, 1.0, self._report)
        self._policy_received = time.monotonic()
        self._worker = Worker(self._collector.run, 'collecting')

    def done(self) -> bool:
        """Return False; re-raise an exception of the collecting thread."""
        self._worker.check()
        return False

    def close(self, executor: Executor) -> None:
        """Stop acting and deliver the last transitions."""
        self._collector.stopped.set()
        self._output.stop()
        if self._live_arm is not None:
            self._live_arm.end()
        self._worker.join()
        self._output.close(executor)
        self._environment.close()

    def _blocked(self) -> str:
        """Return why no episode may begin on an arm, or ''; on the collecting thread."""
        return self._output.blocked(self._environment.length)

    def _on_acknowledge(self, message: codec.Acknowledge) -> None:
        try:
            learner, acknowledged = codec.read_acknowledge(codec.decode_table(message))
            policy = self._collector.policy
            if not self._selection.accept(
                    learner, time.monotonic(), policy.run if policy else ''):
                raise InvalidInput(
                    f'learner {learner} acknowledges but {self._selection.run} is followed; '
                    'stop one learner, or give it a namespace of its own')
        except InvalidInput as refused:
            self._rejections.add(f'acknowledgement rejected: {refused}')
            return
        self._output.acknowledge(acknowledged)

    def _on_policy(self, message: codec.Policy) -> None:
        """Validate a policy and use it from the next tick; keep the old one if it is rejected."""
        try:
            data, learner, version = codec.decode_policy(message)
            if not self._selection.accepts_policy(learner):
                raise InvalidInput(
                    f'it is of run {learner} but {self._selection.run} is followed; '
                    'stop one learner, or give it a namespace of its own'
                )
            current = self._collector.policy
            if current is not None and learner == current.run and version <= current.version:
                return  # a duplicate, an older version, or the latched message again
            policy = OnnxPolicy(data)
            if (policy.run, policy.version) != (learner, version):
                raise InvalidInput(
                    f'its file is version {policy.version} of {policy.run} but its '
                    f'message names {version} of {learner}; send it again')
            self._contract.require_equal(policy.contract, 'this collector', 'the policy')
        except InvalidInput as refused:
            self._rejections.add(f'policy rejected: {refused}')
            return
        self._collector.policy = policy
        self._policy_received = time.monotonic()

    def _problems(
        self, policy: OnnxPolicy | None, policy_age: float,
    ) -> Iterator[tuple[bytes, str]]:
        """Yield (level, sentence) of each problem that diagnostics should show."""
        now = time.monotonic()
        acting = f'acting with version {policy.version}' if policy else 'acting without a policy'
        if self._output.disk_error:
            yield codec.ERROR, self._output.disk_error
        steps = self._live_arm.ticks if self._live_arm else self._collector.steps
        still = self._progress.stalled_for(steps, now)
        if still > LEARNER_TIMEOUT and not self._output.waiting:
            yield codec.ERROR, f'no step for {still:.0f} s'
        if self._live_arm is not None:
            yield from self._live_arm.problems()
        if not self._learner.alive:
            yield codec.WARN, f'no learner for {now - self._learner.changed:.0f} s; {acting}'
        elif self._selection.run:
            age = now - self._selection.acknowledged_at
            if age > LEARNER_TIMEOUT:
                yield codec.WARN, f'no acknowledgement for {age:.0f} s; {acting}'
        if policy is None:
            yield codec.WARN, f'waiting for a policy for {policy_age:.0f} s'
        if self._rejections.total:
            yield codec.WARN, f'{self._rejections.total} messages rejected'
        if self._faults.total:
            yield codec.WARN, f'{self._faults.total} episodes left out: the environment failed'

    def _report(self) -> None:
        policy = self._collector.policy
        age = round(time.monotonic() - self._policy_received, 2)
        problems = list(self._problems(policy, age))
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: collecting',
            max((level for level, _ in problems), default=codec.OK),
            '; '.join(text for _, text in problems) or 'collecting',
            {**self._output.outboxes.account(), 'version': policy.version if policy else -1,
             'policy_age': age, 'learner': self._selection.run},
            self.get_clock().now().nanoseconds * 1e-9))


def main() -> int:
    """Run one collector."""
    return run(CollectorNode)


if __name__ == '__main__':
    raise SystemExit(main())
