# SPDX-License-Identifier: Apache-2.0
"""Learner node: journal and acknowledge transitions, train, publish candidates."""

from collections.abc import Iterator
from pathlib import Path
import time
from typing import NoReturn

import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_json
from rl_control.common.metrics_log import MetricsLog
from rl_control.common.rejections import Rejections
from rl_control.common.stall_detector import StallDetector
from rl_control.config.nodes import LearnerSettings
from rl_control.learning import checkpoint
from rl_control.learning.algorithms import settings_of, values_of
from rl_control.learning.divergence import ROLLBACK_LIMIT
from rl_control.learning.run_identity import run_of
from rl_control.learning.trainer import Trainer
from rl_control.nodes.arm_parameters import declare_arm, declare_contract
from rl_control.offline.load_dataset import load_transitions
from rl_control.offline.warm_start import start_from
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import subscribe_drained
from rl_control.ros.journal import Journal
from rl_control.ros.journal_reader import read_history, to_transition_batch
from rl_control.ros.liveliness import LivelinessMonitor, publisher_events
from rl_control.ros.metrics import Metrics
from rl_control.ros.node_main import Worker, every, leave, run
from rl_control.ros.parameters import declare, given_values, watch
from rl_control.transport.inbox import Inbox
from rl_control.transport.outbox import WINDOW

ACTIVE_PERIOD = 5.0  # s since its last message in which a run gets a share of the credit
DRAIN_TIMEOUT = 1.5  # s to receive the last transitions; longer than collectors try
IDLE_TIMEOUT = 0.9  # s without a message after which no more are expected
HEARTBEAT = 1.0  # s between acknowledgements at most, so that collectors notice a hang
EARLY_ACK_ROWS = WINDOW // 4  # transitions acknowledged at once; fast senders need not wait
STALL_TIMEOUT = 5.0  # s without progress of the training thread
LAST_SAVE_TIMEOUT = 1.0  # s for the last checkpoint; the previous one and the journal are complete


class Learner(Node):
    """Receive messages on the executor's thread; train on another."""

    def __init__(self) -> None:
        super().__init__('learner')
        settings = declare(self, 'learner', LearnerSettings)
        kind = settings_of(settings.algorithm)
        algorithm = declare(self, 'algorithm', settings_of(settings.algorithm), values_of(
            settings.algorithm, given_values(self, 'algorithm', kind)))
        arm = None if settings.environment else declare_arm(self)
        self._contract = (
            arm.contract() if arm else declare_contract(self, settings.environment))
        self._contract_hash = self._contract.hash
        self._columns = codec.transition_columns(self._contract)
        self._out = Path(settings.out)
        self._journal = Journal(self._out / 'journal')
        for topic, profile in (('transitions', qos.TRANSITIONS), ('episodes', qos.EPISODES)):
            self._journal.offer(self.resolve_topic_name(topic), [qos.to_metadata(profile)])
        self._run = run_of(self._out, self.get_name(), settings.algorithm, self._contract)
        self._logbook = MetricsLog(self._out, settings.tensorboard)
        self._inbox = Inbox()
        self._received: dict[str, float] = {}
        self._rejections = Rejections(
            lambda reason: self.get_logger().error(f'transitions rejected: {reason}'))
        self._acknowledged: tuple[list[str], np.ndarray] = [], np.zeros((0, 2))  # the last one
        self._unacknowledged = 0  # transitions since the last acknowledgement
        self._began = time.monotonic()
        self._acknowledged_at = 0.0
        self._progress = StallDetector()
        self._disk_error = ''  # why the journal cannot be written
        self._candidate = self.create_publisher(codec.Policy, 'policy/candidate', qos.POLICY)
        self._acknowledge = self.create_publisher(
            codec.Acknowledge, 'transitions/ack', qos.ACKNOWLEDGE,
            event_callbacks=publisher_events(self, 'transitions/ack'))
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self._collectors = LivelinessMonitor(self, 'transitions', 'a collector', self._report)
        self._metrics = Metrics(self)
        start, offline = None, settings.offline
        if settings.start:
            begun = start_from(settings.start, settings.algorithm, algorithm, self._contract)
            start, algorithm, offline = begun.tensors, begun.settings, offline or begun.data
        self._trainer = Trainer(
            self._contract, settings.algorithm, algorithm, settings, self._run, self._publish,
            arm.task if arm else None,
            load_transitions(offline, self._contract) if offline else None, start)
        self._resume()
        watch(self, 'learner', settings, self._trainer.apply_settings)
        subscribe_drained(
            self, codec.Transitions, 'transitions', self._on_transitions, qos.TRANSITIONS_INPUT,
            event_callbacks=self._collectors.events())
        self.create_subscription(
            codec.Episodes, 'episodes', self._on_episodes, qos.EPISODES, raw=True)
        every(self, settings.journal_period, self._flush)
        every(self, 1.0, self._report)
        self._worker = Worker(self._trainer.run, 'training')
        self.get_logger().info(
            f'training {settings.algorithm} as run {self._run} from {self._trainer.updates} '
            f'updates and {self._trainer.transitions} transitions')

    def done(self) -> bool:
        """Return False; re-raise an exception of the training thread."""
        self._worker.check()
        return False

    def close(self, executor: Executor) -> None:
        """Receive the last rows of collectors, save a checkpoint, close the journal."""
        began = now = time.monotonic()
        while now < began + DRAIN_TIMEOUT and (
                self._collectors.alive
                or now < max([began, *self._received.values()]) + IDLE_TIMEOUT):
            executor.spin_once(timeout_sec=0.02)
            now = time.monotonic()
        self._trainer.stopped.set()
        self._worker.join(LAST_SAVE_TIMEOUT)
        self._flush()
        try:
            self._journal.close()
            write_json(self._out / 'learner.json', {
                'run': self._run,
                'updates': self._trainer.updates,
                'transitions': self._trainer.transitions,
                'policy_versions': self._trainer.versions,
                'parity_max_abs_error': self._trainer.parity,
                'collectors': self._inbox.to_state(),
                'refused': self._rejections.counts,
                'taken_back': self._trainer.recovery.count,
            })
        except OSError as error:
            self.get_logger().error(f'journal not finished: {error.strerror}')

    def _resume(self) -> None:
        """Resume from what an earlier start with this directory left."""
        self._trainer.resume(checkpoint.latest(self._out / 'checkpoints'), read_history(
            self._out / 'journal', self.resolve_topic_name('transitions'), self._contract,
            self._inbox, lambda path, reason: self.get_logger().warning(
                f'journal {path} is truncated; read up to its end ({reason})')))

    def _on_transitions(self, messages: list[bytes]) -> None:
        """Journal new rows and pass them on; count rejected ones by reason."""
        received, runs = [], []
        for raw in messages:
            if self._journal.full:
                break  # not acknowledged, so it is sent again
            try:
                table = codec.decode_table_cdr(raw, self._columns)
                origin = codec.Origin.from_header(table.header, self._contract_hash)
                if origin.run not in self._received and len(self._received) >= codec.RUN_LIMIT:
                    raise InvalidInput(f'collector run {origin.run} exceeds the limit of '
                                  f'{codec.RUN_LIMIT} runs; restart the learner')
                new = self._inbox.accept(
                    origin.collector, origin.run, origin.first_sequence, table.rows,
                    origin.oldest)
            except InvalidInput as refused:
                self._rejections.add(refused)
                continue
            self._received[origin.run] = time.monotonic()
            if len(new):
                self._write('transitions', codec.Transitions, raw)
                received.append(new)
                runs.append(origin.run)
        if not received:
            return
        steps, reasons = to_transition_batch(received, runs, self._contract, self._inbox)
        for reason, count in reasons.items():
            self._rejections.add(reason, count)
        self._trainer.put(steps)
        self._unacknowledged += len(steps)
        if self._unacknowledged >= EARLY_ACK_ROWS:
            self._flush()

    def _on_episodes(self, raw: bytes) -> None:
        if not self._journal.full:
            self._write('episodes', codec.Episodes, raw)

    def _write(self, topic: str, message: type, raw: bytes) -> None:
        resolved = self.resolve_topic_name(topic)
        self._journal.write(resolved, codec.type_name(message), raw, time.time_ns())

    def _flush(self) -> None:
        """Flush the journal, then acknowledge its rows and grant credit."""
        now = time.monotonic()
        acknowledgement, self._unacknowledged = self._acknowledged, 0
        try:
            self._journal.flush()
        except OSError as error:
            # Without acknowledgements collectors keep their rows and slow down.
            if not self._disk_error:
                self.get_logger().error(
                    f'journal is not written ({error.strerror}); make space, training continues')
            self._disk_error = f'journal is not written ({error.strerror})'
        else:
            if self._disk_error:
                self.get_logger().info('journal is written again')
            self._disk_error = ''
            active = {run for run, at in self._received.items() if now - at < ACTIVE_PERIOD}
            share = max(0, self._trainer.allowance - self._inbox.stored) // max(1, len(active))
            acknowledgement = self._inbox.acknowledge_all({
                run: share if run in active else 0 for run in self._received})
        if (now - self._acknowledged_at >= HEARTBEAT or acknowledgement[0] != self._acknowledged[0]
                or not np.array_equal(acknowledgement[1], self._acknowledged[1])):
            self._acknowledged, self._acknowledged_at = acknowledgement, now
            self._acknowledge.publish(
                codec.encode_table(codec.acknowledge_table(*acknowledgement, self._run)))

    def _publish(self, data: bytes, version: int) -> None:
        """Publish a candidate; called on the training thread."""
        self._candidate.publish(codec.encode_policy(data, self._run, version))

    def _problems(self) -> Iterator[tuple[bytes, str]]:
        """Yield (level, sentence) of each problem that diagnostics should show."""
        for error in filter(None, (self._disk_error, self._trainer.error, self._logbook.error)):
            yield codec.ERROR, error
        recovery = self._trainer.recovery
        if recovery.count:
            yield (codec.ERROR if recovery.consecutive >= ROLLBACK_LIMIT else codec.WARN,
                   f'{recovery.count} updates were not finite and rolled back')
        now, turns = time.monotonic(), self._trainer.turns
        if (stuck := self._progress.stalled_for(turns, now)) > STALL_TIMEOUT and turns:
            yield codec.ERROR, f'training makes no progress for {stuck:.0f} s'
        if self._collectors.dead:
            yield codec.WARN, f'collectors that died: {self._collectors.dead}'
        if self._rejections.total:
            yield codec.WARN, f'{self._rejections.total} transitions rejected'
        if not self._received:
            yield codec.WARN, f'waiting for collectors for {now - self._began:.0f} s'

    def _report(self) -> None:
        metrics = self._trainer.metrics
        self._logbook.write(metrics)
        self._metrics.publish(metrics)
        runs = self._inbox.runs.values()
        status = 'learning' if metrics else 'waiting for transitions'
        problems = list(self._problems())
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: learning',
            max((level for level, _ in problems), default=codec.OK),
            '; '.join(text for _, text in problems) or status, {
                'run': self._run,
                'updates': self._trainer.updates,
                'transitions': self._trainer.transitions,
                'collectors': len(self._inbox.runs),
                'gaps': sum(known.gaps for known in runs),
                'duplicates': sum(known.duplicates for known in runs),
                'lost': sum(known.lost for known in runs),
                'missing': sum(known.published - known.received for known in runs),
                'refused': self._rejections.total,
                'taken_back': self._trainer.recovery.count,
            },
            self.get_clock().now().nanoseconds * 1e-9))


def main() -> NoReturn:
    """Run the learner."""
    leave(run(Learner))


if __name__ == '__main__':
    main()
