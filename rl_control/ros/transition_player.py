# SPDX-License-Identifier: Apache-2.0
"""Transition player: send the transitions of a bag to a running learner."""

from collections.abc import Callable, Iterator
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from rl_control.bags.bag_reader import Bag
from rl_control.bags.recorded_transitions import InOrder, own_topics
from rl_control.common.errors import InvalidInput
from rl_control.ros import codec, qos
from rl_control.transport.learner_selection import LearnerSelection
from rl_control.transport.outbox import BATCH
from rl_control.transport.replayed_run import ReplayedRun
from rl_control.transport.table import decode_table_cdr

LEARNER_TIMEOUT = 5.0  # s without an acknowledgement
FLUSH_PERIOD = 0.05  # s until an incomplete batch is sent
PROGRESS_PERIOD = 2.0  # s between two progress lines


def play_with_own_node(
    bag: Bag, rate: float, namespace: str, log: Callable[[str], None],
) -> dict[str, Any]:
    """As `play`, with a temporary node."""
    rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
    try:
        return play(rclpy.create_node('bag_player', namespace=namespace), bag, rate, log)
    finally:
        rclpy.try_shutdown()


def play(node: Node, bag: Bag, rate: float, log: Callable[[str], None]) -> dict[str, Any]:
    """
    Play until the learner has all rows; return how many of each run were sent.

    `rate` is times the recorded speed, 0 for as fast as the learner takes them; `log` gets
    progress lines. It waits as long as there is no learner. Raise InvalidInput for a bag
    without transitions, or that the learner rejects.
    """
    topics = own_topics(bag, 'transitions')
    if not topics:
        raise InvalidInput(
            f'bag {bag.path} has no topic transitions; play a bag that was recorded of a training'
        )
    player, order = _Player(node, log), InOrder()
    first: int | None = None
    began = time.monotonic()
    for raw in bag.messages(topics):
        first = raw.receipt if first is None else first
        player.wait_until(began + (raw.receipt - first) * 1e-9 / rate if rate else 0.0)
        try:
            table = decode_table_cdr(raw.data)
            origin = codec.Origin.from_header(table.header)
            ready = list(order.take(origin, table.rows))
        except InvalidInput as refused:
            bag.losses.count(raw.topic.name, str(refused))
            continue
        player.announce(origin, table.columns)
        player.send(ready)
    player.send(order.finish())
    player.finish()
    return {run: {'transitions': playback.appended, 'not_recorded': playback.missing,
                  'out_of_order': playback.late}
            for run, playback in player.runs.items()}


class _Player:
    """Node that sends rows; the methods that wait for the learner spin it."""

    def __init__(self, node: Node, log: Callable[[str], None]) -> None:
        self.runs: dict[str, ReplayedRun] = {}
        self._log = log
        self._selection = LearnerSelection(LEARNER_TIMEOUT)
        self._unflushed = 0
        self._flushed = self._shown = time.monotonic()
        self._publisher = node.create_publisher(
            codec.Transitions, 'transitions', qos.TRANSITIONS)
        node.create_subscription(
            codec.Acknowledge, 'transitions/ack', self._on_acknowledge, qos.ACKNOWLEDGE_INPUT)
        self._connected = False  # True if a learner subscribes
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)

    def announce(self, origin: codec.Origin, columns: tuple[str, ...]) -> None:
        """Begin a new run."""
        if origin.run not in self.runs:
            self.runs[origin.run] = ReplayedRun(origin, columns)
            if self._connected:
                self.runs[origin.run].connect(time.monotonic())

    def wait_until(self, due: float) -> None:
        """Send and receive until `due`."""
        while (left := due - time.monotonic()) > 0.0:
            self._exchange(min(left, FLUSH_PERIOD))

    def send(self, batches: Iterator[tuple[str, int, Any]]) -> None:
        """Send rows to the learner within its credit."""
        for run, first, rows in batches:
            playback = self.runs[run]
            for number, row in enumerate(rows, first):
                while not playback.put(number, row):
                    self._exchange(FLUSH_PERIOD)
                self._unflushed += 1
                if self._unflushed >= BATCH:
                    self._exchange(0.0)

    def finish(self) -> None:
        """Wait until the learner has acknowledged all rows."""
        while any(playback.backlog for playback in self.runs.values()):
            self._exchange(FLUSH_PERIOD)

    def _exchange(self, timeout: float) -> None:
        """Send due rows and receive acknowledgements, for `timeout` s at most."""
        now = time.monotonic()
        connected, self._connected = self._connected, self._publisher.get_subscription_count() > 0
        if self._connected and not connected:
            for playback in self.runs.values():
                playback.connect(now)
        if self._unflushed >= BATCH or now - self._flushed >= FLUSH_PERIOD or timeout:
            self._flushed, self._unflushed = now, 0
            for playback in self.runs.values():
                while (table := playback.pending(now)) is not None:
                    self._publisher.publish(codec.encode_table(table))
        if now - self._shown >= PROGRESS_PERIOD:
            self._shown = now
            waiting = now - self._selection.acknowledged_at > LEARNER_TIMEOUT
            count = sum(playback.appended for playback in self.runs.values())
            self._log('waiting for a learner' if waiting else f'{count} transitions sent')
        self._executor.spin_once(timeout_sec=timeout)

    def _on_acknowledge(self, message: codec.Acknowledge) -> None:
        try:
            learner, acknowledged = codec.read_acknowledge(codec.decode_table(message))
        except InvalidInput as refused:
            self._log(f'acknowledgement rejected: {refused}')
            return
        now = time.monotonic()
        if self._selection.accept(learner, now):
            for run, playback in self.runs.items():
                playback.acknowledge(acknowledged.get(run), now)
