# SPDX-License-Identifier: Apache-2.0
"""The collector node: acts with the newest policy and publishes what happened."""

from pathlib import Path
import threading
import time
import uuid

from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.collecting import Collecting, EpisodeEnd
from rl_control.config.nodes import CollectorSettings
from rl_control.delivery import BATCH, Outbox
from rl_control.errors import Refused
from rl_control.files import write_json
from rl_control.nodes.world import declare_environment
from rl_control.policy import OnnxPolicy
from rl_control.ros import codec, qos
from rl_control.ros.parameters import declare
from rl_control.ros.process import Worker, run
from rl_control.types import Transition

FAREWELL = 1.0  # s to wait for the last acknowledgements
CREDIT_PERIOD = 0.05  # s between looks for credit


class Collector(Node):
    """Runs Collecting on a thread of its own; the executor brings policies and credit."""

    def __init__(self) -> None:
        super().__init__('collector')
        self.settings = declare(self, 'collector', CollectorSettings)
        self._environment = declare_environment(self, self.settings.environment)
        self._contract = self._environment.contract
        self._columns = codec.transition_columns(self._contract)
        self._run = f'{self.get_name()}-{uuid.uuid4().hex[:12]}'
        out = Path(self.settings.out) if self.settings.out else None
        self._outbox = Outbox(
            len(self._columns), spill=out and out / 'spill' / f'{self._run}.rows')
        self._account = out and out / 'collectors' / f'{self._run}.json'
        self._collecting = Collecting(
            self._environment, self.settings, self._tell, self._tell_end)
        self._acknowledgement: tuple[int, int] | None = None
        self._credit = threading.Event()
        self._flushed = 0.0
        self._fresh = 0
        self._transitions = self.create_publisher(
            codec.Transitions, 'transitions', qos.TRANSITIONS)
        self._episodes = self.create_publisher(codec.Episodes, 'episodes', qos.EPISODES)
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self.create_subscription(
            codec.Acknowledge, 'transitions/ack', self._on_acknowledge, qos.ACKNOWLEDGE)
        self.create_subscription(codec.Policy, 'policy/latest', self._on_policy, qos.POLICY)
        self.create_timer(1.0, self._report)
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
        self._worker.join()
        deadline = time.monotonic() + FAREWELL
        while self._outbox.backlog and time.monotonic() < deadline:
            self._exchange(at_once=True)
            executor.spin_once(timeout_sec=0.02)
        self._exchange(at_once=True)
        if self._account is not None:
            write_json(self._account, self._figures())
        self._outbox.close()
        self._environment.close()

    def _tell(self, transition: Transition) -> None:
        """Queue a transition; wait for the learner's credit first, since it sets the pace."""
        while not self._outbox.credit and not self._collecting.stopped.is_set():
            self._credit.clear()
            self._exchange(at_once=True)
            if not self._outbox.credit:
                self._credit.wait(CREDIT_PERIOD)
        if self._outbox.full:
            return
        self._outbox.append(codec.transition_row(transition))
        self._fresh += 1
        self._exchange()

    def _tell_end(self, end: EpisodeEnd) -> None:
        episode, outcome = end.episode, end.outcome
        row = codec.EpisodeRow(
            episode.number, episode.reward_sum, episode.steps, float(outcome.success),
            end.version, end.phase, outcome.stamp, *outcome.goal, outcome.error)
        origin = codec.Origin(
            self.get_name(), self._run, self._contract.hash, self._episode_count)
        self._episode_count += 1
        self._episodes.publish(codec.encode_table(codec.Table(
            codec.EPISODE_COLUMNS, row.to_row()[None], origin.to_header())))
        self._exchange()

    def _exchange(self, *, at_once: bool = False) -> None:
        """Take the newest acknowledgement, and publish when a batch is full or has waited."""
        now = time.monotonic()
        acknowledgement, self._acknowledgement = self._acknowledgement, None
        if acknowledgement is not None:
            self._outbox.acknowledge(*acknowledgement, now)
        if (not at_once and self._fresh < BATCH
                and now - self._flushed < self.settings.flush_period):
            return
        self._flushed, self._fresh = now, 0
        while (pending := self._outbox.pending(now)) is not None:
            first, rows = pending
            origin = codec.Origin(
                self.get_name(), self._run, self._contract.hash, first, self._outbox.oldest)
            self._transitions.publish(codec.encode_table(
                codec.Table(self._columns, rows, origin.to_header())))

    def _on_acknowledge(self, message: codec.Acknowledge) -> None:
        acknowledged = codec.read_acknowledge(codec.decode_table(message))
        if self._run in acknowledged:
            self._acknowledgement = acknowledged[self._run]
            self._credit.set()

    def _on_policy(self, message: codec.Policy) -> None:
        """Check a policy and have it taken up at the next tick; keep the old one if refused."""
        try:
            data, _, _ = codec.decode_policy(message)
            policy = OnnxPolicy(data)
            self._contract.require_equal(policy.contract, 'this collector', 'the policy')
        except Refused as refused:
            self.get_logger().error(f'policy not taken: {refused}')
            return
        self._collecting.policy = policy
        self._received = time.monotonic()

    def _figures(self) -> dict[str, str | int]:
        return {
            'collector': self.get_name(),
            'run': self._run,
            'produced': self._outbox.produced,
            'acknowledged': self._outbox.oldest,
            'lost': self._outbox.lost,
            'resends': self._outbox.resends,
        }

    def _report(self) -> None:
        policy = self._collecting.policy
        age = round(time.monotonic() - self._received, 2)
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: collecting',
            codec.OK if policy else codec.WARN,
            'collecting' if policy else f'waiting for a policy for {age:.0f} s',
            {**self._figures(), 'version': policy.version if policy else -1, 'policy_age': age},
            self.get_clock().now().nanoseconds * 1e-9))


def main() -> int:
    """Run one collector."""
    return run(Collector)


if __name__ == '__main__':
    raise SystemExit(main())
