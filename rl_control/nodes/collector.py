# SPDX-License-Identifier: Apache-2.0
"""The collector node: acts with the newest policy and publishes what happened."""

from collections import deque
from collections.abc import Iterator
import math
from pathlib import Path
import threading
import time
import uuid

import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.collection.collector import Collector, EpisodeEnd
from rl_control.collection.live_collector import LiveCollector
from rl_control.common.errors import EnvironmentFault, InvalidInput
from rl_control.common.rejections import Rejections
from rl_control.common.stall_detector import StallDetector
from rl_control.common.types import Transition
from rl_control.config.nodes import CollectorSettings
from rl_control.nodes.arm_parameters import declare_environment
from rl_control.nodes.live_arm_interface import LiveArmInterface
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.ros import codec, qos
from rl_control.ros.liveliness import LivelinessMonitor, publisher_events
from rl_control.ros.node_main import Worker, every, run
from rl_control.ros.parameters import declare, watch
from rl_control.transport.learner_selection import LearnerSelection
from rl_control.transport.outbox import BATCH
from rl_control.transport.outboxes import Outboxes
from rl_control.transport.spill_file import Identity

DRAIN_TIMEOUT = 1.3  # s to wait for the last acknowledgements
CREDIT_PERIOD = 0.05  # s between looks for credit
LEARNER_TIMEOUT = (
    5.0  # s without a word of a learner that is alive, or without a step, until it is told
)


class CollectorNode(Node):
    """Runs Collecting on a thread of its own; the executor brings policies and credit."""

    def __init__(self) -> None:
        super().__init__('collector')
        self.settings = declare(self, 'collector', CollectorSettings)
        self._attending = (
            LiveArmInterface(self, self._hindrance) if self.settings.robot == 'ros' else None)
        self._environment = (
            self._attending.environment if self._attending is not None
            else declare_environment(
                self, self.settings.environment, self.settings.seed, self.settings.simulator))
        self._contract = self._environment.contract
        self._contract_hash = self._contract.hash
        self._columns = codec.transition_columns(self._contract)
        self._run = f'{self.get_name()}-{uuid.uuid4().hex[:12]}'
        self._outboxes = Outboxes(
            Identity(self.get_name(), self._run, self._contract_hash), len(self._columns),
            Path(self.settings.out) if self.settings.out else None, self.get_logger().error)
        self._outbox = self._outboxes.own
        collecting = LiveCollector if self._attending is not None else Collector
        self._collecting = collecting(
            self._environment, self.settings, self._tell, self._tell_end, self._outboxes.start,
            self._tell_fault)
        watch(self, 'collector', self.settings, self._collecting.apply_settings)
        self._selection = LearnerSelection(LEARNER_TIMEOUT)
        self._learner = LivelinessMonitor(self, 'transitions/ack', 'the learner', self._report)
        # The newest acknowledgement, from the executor's thread to that which exchanges.
        self._acknowledged: deque[dict[str, tuple[int, int]]] = deque(maxlen=1)
        self._credit = threading.Event()
        self._flushed = 0.0
        self._fresh = 0
        self._disk = ''  # why the spill file takes nothing
        self._waiting = False  # for credit
        self._progress = StallDetector()
        self._refused = Rejections(self.get_logger().error)
        self._faults = Rejections(self.get_logger().error)  # of an environment of others
        self._transitions = self.create_publisher(
            codec.Transitions, 'transitions', qos.TRANSITIONS,
            event_callbacks=publisher_events(self, 'transitions'))
        self._episodes = self.create_publisher(codec.Episodes, 'episodes', qos.EPISODES)
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self.create_subscription(
            codec.Acknowledge, 'transitions/ack', self._on_acknowledge, qos.ACKNOWLEDGE_HEARD,
            event_callbacks=self._learner.events())
        self.create_subscription(codec.Policy, 'policy/latest', self._on_policy, qos.POLICY)
        every(self, 1.0, self._report)
        self._episode_count = 0
        self._received = time.monotonic()
        self._worker = Worker(self._collecting.run, 'collecting')

    def done(self) -> bool:
        """Never, but for an error of the collecting thread, which is raised here."""
        self._worker.check()
        return False

    def close(self, executor: Executor) -> None:
        """Stop acting, hand over the last transitions, and leave an account of them."""
        self._collecting.stopped.set()
        self._credit.set()
        if self._attending is not None:
            self._attending.end()
        self._worker.join()
        self._outboxes.shorten_resend_period()
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while self._outboxes.backlog and time.monotonic() < deadline:
            self._exchange(at_once=True)
            executor.spin_once(timeout_sec=0.02)
        self._exchange(at_once=True)
        self._outboxes.close()
        self.destroy_publisher(self._transitions)  # the learner waits for nothing more of it
        self._environment.close()

    def _tell(self, transition: Transition) -> None:
        """
        Queue a transition; wait for the learner's credit first, since it sets the pace.

        One that still waits at the end was never made: nobody has seen it. An arm does not wait:
        it begins no episode without room for it, and what a full disk does not take is left out.
        """
        row = codec.transition_row(transition)
        while not self._append(row):
            if self._attending is not None:
                return
            self._waiting = True
            if self._collecting.stopped.is_set():
                return
            self._credit.clear()
            self._exchange(at_once=True)
            if self._disk or not self._outbox.credit:
                self._credit.wait(CREDIT_PERIOD)
        self._waiting = False
        self._fresh += 1
        self._exchange()

    def _append(self, row: np.ndarray) -> bool:
        """Keep a row if there is credit for it, and room; say whether it is kept."""
        wanted = self._outbox.room if self._attending is not None else self._outbox.credit
        if not wanted:
            return False
        try:
            self._outbox.append(row)
        except OSError as error:
            if not self._disk:
                self._disk = f'the spill file is not written ({error.strerror})'
                self.get_logger().error(f'{self._disk}; waiting for the learner or for space')
            return False
        self._disk = ''
        return True

    def _hindrance(self) -> str:
        """Return why no episode may begin on an arm, or ''; on the collecting thread."""
        self._exchange()
        if not self._outbox.backlog:
            self._disk = ''  # which an arm does not try again before
        if self._disk:
            return self._disk
        if self._outbox.room < self._environment.length:
            return f'waiting for the learner, which has not taken {self._outbox.backlog} rows'
        return ''

    def _tell_end(self, end: EpisodeEnd) -> None:
        episode, outcome = end.episode, end.outcome
        row = codec.EpisodeRow(
            episode.number, episode.reward_sum, episode.steps,
            math.nan if outcome.success is None else float(outcome.success),
            end.version, end.phase, outcome.stamp, *outcome.goal, outcome.error)
        origin = codec.Origin(
            self.get_name(), self._run, self._contract_hash, self._episode_count)
        self._episode_count += 1
        self._episodes.publish(codec.encode_table(codec.Table(
            codec.EPISODE_COLUMNS, row.to_row()[None], origin.to_header())))
        self._exchange()

    def _tell_fault(self, fault: EnvironmentFault) -> None:
        self._faults.add(fault)

    def _exchange(self, *, at_once: bool = False) -> None:
        """Take the newest acknowledgement, and publish when a batch is full or has waited."""
        now = time.monotonic()
        if self._acknowledged:
            try:
                self._outboxes.acknowledge(self._acknowledged.pop(), now)
            except InvalidInput as refused:
                self._refused.add(f'acknowledgement not taken: {refused}')
        if (not at_once and self._fresh < BATCH
                and now - self._flushed < self.settings.flush_period):
            return
        self._flushed, self._fresh = now, 0
        for of, first, rows, oldest in self._outboxes.pending(now):
            origin = codec.Origin(of.collector, of.run, of.contract_hash, first, oldest)
            self._transitions.publish(codec.encode_table(
                codec.Table(self._columns, rows, origin.to_header())))

    def _on_acknowledge(self, message: codec.Acknowledge) -> None:
        try:
            learner, acknowledged = codec.read_acknowledge(codec.decode_table(message))
            policy = self._collecting.policy
            if not self._selection.accept(
                    learner, time.monotonic(), policy.run if policy else ''):
                raise InvalidInput(
                    f'learner {learner} acknowledges but {self._selection.run} is followed; '
                    'stop one learner, or give it a namespace of its own')
        except InvalidInput as refused:
            self._refused.add(f'acknowledgement not taken: {refused}')
            return
        self._acknowledged.append(acknowledged)
        if self._run in acknowledged:
            self._credit.set()

    def _on_policy(self, message: codec.Policy) -> None:
        """Check a policy and have it taken up at the next tick; keep the old one if refused."""
        try:
            data, learner, version = codec.decode_policy(message)
            if not self._selection.accepts_policy(learner):
                raise InvalidInput(
                    f'it is of run {learner} but {self._selection.run} is followed; '
                    'stop one learner, or give it a namespace of its own'
                )
            current = self._collecting.policy
            if current is not None and learner == current.run and version <= current.version:
                return  # doubled, overtaken, or latched once more
            policy = OnnxPolicy(data)
            if (policy.run, policy.version) != (learner, version):
                raise InvalidInput(f'its file is version {policy.version} of {policy.run} but its '
                              f'message says {version} of {learner}; send it again')
            self._contract.require_equal(policy.contract, 'this collector', 'the policy')
        except InvalidInput as refused:
            self._refused.add(f'policy not taken: {refused}')
            return
        self._collecting.policy = policy
        self._received = time.monotonic()

    def _problems(
        self, policy: OnnxPolicy | None, policy_age: float,
    ) -> Iterator[tuple[bytes, str]]:
        """Yield (level, sentence) of each problem that diagnostics should show."""
        now = time.monotonic()
        acting = f'acting with version {policy.version}' if policy else 'acting without a policy'
        if self._disk:
            yield codec.ERROR, self._disk
        steps = self._attending.ticks if self._attending else self._collecting.steps
        still = self._progress.stalled_for(steps, now)
        if still > LEARNER_TIMEOUT and not self._waiting:
            yield codec.ERROR, f'no step for {still:.0f} s'
        if self._attending is not None:
            yield from self._attending.problems()
        if not self._learner.alive:
            yield codec.WARN, f'no learner for {now - self._learner.changed:.0f} s; {acting}'
        elif self._selection.run:
            age = now - self._selection.acknowledged_at
            if age > LEARNER_TIMEOUT:
                yield codec.WARN, f'no acknowledgement for {age:.0f} s; {acting}'
        if policy is None:
            yield codec.WARN, f'waiting for a policy for {policy_age:.0f} s'
        if self._refused.total:
            yield codec.WARN, f'{self._refused.total} messages refused'
        if self._faults.total:
            yield codec.WARN, f'{self._faults.total} episodes left out: the environment failed'

    def _report(self) -> None:
        policy = self._collecting.policy
        age = round(time.monotonic() - self._received, 2)
        problems = list(self._problems(policy, age))
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: collecting',
            max((level for level, _ in problems), default=codec.OK),
            '; '.join(text for _, text in problems) or 'collecting',
            {**self._outboxes.account(), 'version': policy.version if policy else -1,
             'policy_age': age, 'learner': self._selection.run},
            self.get_clock().now().nanoseconds * 1e-9))


def main() -> int:
    """Run one collector."""
    return run(CollectorNode)


if __name__ == '__main__':
    raise SystemExit(main())
