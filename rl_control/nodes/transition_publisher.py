# SPDX-License-Identifier: Apache-2.0
"""
Transition publisher: from the collector to the outbox and on to the topic `transitions`.

    Collector -> send -> Outbox.append -> flush -> Outboxes.pending -> topic `transitions`
    topic `transitions/ack` -> acknowledge -> flush -> Outboxes.acknowledge -> credit for `send`
"""

from collections import deque
import math
from pathlib import Path
import threading
import time
import uuid

import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.collection.collector import EpisodeEnd
from rl_control.common.errors import InvalidInput
from rl_control.common.rejections import Rejections
from rl_control.common.types import Contract, Transition
from rl_control.config.nodes import CollectorSettings
from rl_control.ros import codec, qos
from rl_control.ros.liveliness import publisher_events
from rl_control.transport.outbox import BATCH
from rl_control.transport.outboxes import Outboxes
from rl_control.transport.spill_file import Identity

DRAIN_TIMEOUT = 1.3  # s to wait for the last acknowledgements
CREDIT_PERIOD = 0.05  # s between checks for credit


class TransitionPublisher:
    """
    TransitionOutput of a collector node: one outbox, one topic, exactly once.

    The collecting thread calls all methods but `acknowledge` and `stop`, which are thread-safe;
    after it has ended another thread may call `close`. With `live` a transition does not wait for
    credit, because an arm cannot wait in the middle of an episode.
    """

    def __init__(
        self, node: Node, contract: Contract, settings: CollectorSettings, live: bool,
        rejections: Rejections,
    ) -> None:
        self.run = f'{node.get_name()}-{uuid.uuid4().hex[:12]}'
        self.disk_error = ''  # why the spill file cannot be written
        self.waiting = False  # for credit
        self._node = node
        self._live = live
        self._flush_period = settings.flush_period
        self._rejections = rejections
        self._columns = codec.transition_columns(contract)
        self._identity = Identity(node.get_name(), self.run, contract.hash)
        self.outboxes = Outboxes(
            self._identity, len(self._columns), Path(settings.out) if settings.out else None,
            node.get_logger().error)
        self.outbox = self.outboxes.own
        self._transitions = node.create_publisher(
            codec.Transitions, 'transitions', qos.TRANSITIONS,
            event_callbacks=publisher_events(node, 'transitions'))
        self._episodes = node.create_publisher(codec.Episodes, 'episodes', qos.EPISODES)
        self._episode_count = 0
        # The newest acknowledgement, from the executor's thread to the collecting one.
        self._acknowledged: deque[dict[str, tuple[int, int]]] = deque(maxlen=1)
        self._credit = threading.Event()
        self._stopped = threading.Event()
        self._flushed = 0.0
        self._unflushed = 0  # rows since the last flush

    def send(self, transition: Transition) -> None:
        """
        Append a transition to the outbox and publish when due; wait for the learner's credit.

        A transition that still waits at `stop` is dropped, as if it had never been made. With
        `live` it does not wait: no episode begins without room for it, and rows that a full disk
        refuses are dropped.
        """
        row = codec.transition_row(transition)
        while not self._append(row):
            if self._live:
                return
            self.waiting = True
            if self._stopped.is_set():
                return
            self._credit.clear()
            self.flush(at_once=True)
            if self.disk_error or not self.outbox.credit:
                self._credit.wait(CREDIT_PERIOD)
        self.waiting = False
        self._unflushed += 1
        self.flush()

    def send_episode(self, end: EpisodeEnd) -> None:
        """Publish a finished episode."""
        episode, outcome = end.episode, end.outcome
        row = codec.EpisodeRow(
            episode.number, episode.reward_sum, episode.steps,
            math.nan if outcome.success is None else float(outcome.success),
            end.version, end.phase, outcome.stamp, *outcome.goal, outcome.error)
        origin = codec.Origin(
            self._identity.collector, self.run, self._identity.contract_hash,
            self._episode_count)
        self._episode_count += 1
        self._episodes.publish(codec.encode_table(codec.Table(
            codec.EPISODE_COLUMNS, row.to_row()[None], origin.to_header())))
        self.flush()

    def flush(self, *, at_once: bool = False) -> None:
        """Apply the newest acknowledgement; publish if a batch is full or the period is over."""
        now = time.monotonic()
        if self._acknowledged:
            try:
                self.outboxes.acknowledge(self._acknowledged.pop(), now)
            except InvalidInput as refused:
                self._rejections.add(f'acknowledgement rejected: {refused}')
        if (not at_once and self._unflushed < BATCH
                and now - self._flushed < self._flush_period):
            return
        self._flushed, self._unflushed = now, 0
        for sender, first, rows, oldest in self.outboxes.pending(now):
            origin = codec.Origin(
                sender.collector, sender.run, sender.contract_hash, first, oldest)
            self._transitions.publish(codec.encode_table(
                codec.Table(self._columns, rows, origin.to_header())))

    def acknowledge(self, acknowledged: dict[str, tuple[int, int]]) -> None:
        """Pass (acknowledged, granted) by run on to the collecting thread and wake it."""
        self._acknowledged.append(acknowledged)
        if self.run in acknowledged:
            self._credit.set()

    def blocked(self, rows: int) -> str:
        """Return why no episode of `rows` transitions may begin on an arm, or ''."""
        self.flush()
        if not self.outbox.backlog:
            self.disk_error = ''  # try again
        if self.disk_error:
            return self.disk_error
        if self.outbox.room < rows:
            return (f'waiting for the learner, which has not acknowledged '
                    f'{self.outbox.backlog} rows')
        return ''

    def stop(self) -> None:
        """Let `send` return without credit."""
        self._stopped.set()
        self._credit.set()

    def close(self, executor: Executor) -> None:
        """Publish the last transitions, wait for acknowledgements, and write the account."""
        self.outboxes.shorten_resend_period()
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while self.outboxes.backlog and time.monotonic() < deadline:
            self.flush(at_once=True)
            executor.spin_once(timeout_sec=0.02)
        self.flush(at_once=True)
        self.outboxes.close()
        self._node.destroy_publisher(self._transitions)  # so the learner stops waiting for it

    def _append(self, row: np.ndarray) -> bool:
        """Append a row if there is credit and room; return True if it was appended."""
        if not (self.outbox.room if self._live else self.outbox.credit):
            return False
        try:
            self.outbox.append(row)
        except OSError as error:
            if not self.disk_error:
                self.disk_error = f'the spill file is not written ({error.strerror})'
                self._node.get_logger().error(
                    f'{self.disk_error}; waiting for the learner or for space')
            return False
        self.disk_error = ''
        return True
