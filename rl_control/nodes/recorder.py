# SPDX-License-Identifier: Apache-2.0
"""
Recorder node: every topic of the domain into a bag that opens without repair after a kill.

As `ros2 bag record --all`, on a machine with or without ROS installed. It requests no more QoS
than publishers offer, and drains its subscriptions at intervals, so no publisher waits for it.
"""

from operator import itemgetter
from pathlib import Path
import time

from rclpy.exceptions import NameValidationException
from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import RecorderSettings
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription
from rl_control.ros.journal import Journal
from rl_control.ros.node_main import every, run
from rl_control.ros.parameters import declare

POLL_PERIOD = 0.2  # s between queries for new topics
DEPTH = 1000  # messages in the queue of a subscription
LARGE_DEPTH = 10  # of policies
NAMES_SHOWN = 10  # unrecorded topics named in diagnostics
DRAIN_TIMEOUT = 1.5  # s in which other nodes publish their last messages
IDLE_TIMEOUT = 0.4  # s without a message after which no more are expected


class Recorder(Node):
    """Write the messages since the last time, in order of receipt, and flush; on one thread."""

    def __init__(self) -> None:
        super().__init__('recorder')
        self._settings = declare(self, 'recorder', RecorderSettings)
        self._journal = Journal(Path(self._settings.out), 'recording')
        self._recorded: dict[str, tuple[str, DrainedSubscription]] = {}
        self._unknown: set[str] = set()
        self._disk_error = ''  # why nothing is recorded
        self._missed = 0  # messages lost because the disk was full
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        # Subscribed before discovery, since the first transitions are published once.
        for topic, kind, profile in (
                ('transitions', codec.Transitions, qos.TRANSITIONS),
                ('episodes', codec.Episodes, qos.EPISODES)):
            self._subscribe(self.resolve_topic_name(topic), codec.type_name(kind), [profile])
        every(self, POLL_PERIOD, self._discover)
        every(self, self._settings.period, self._record)
        every(self, 1.0, self._report)

    def done(self) -> bool:
        """Return False: it runs until a signal."""
        return False

    def close(self, executor: Executor) -> None:
        """Receive the last messages of other nodes, and finish the bag."""
        received = began = time.monotonic()
        while time.monotonic() < min(began + DRAIN_TIMEOUT, received + IDLE_TIMEOUT):
            time.sleep(self._settings.period)
            if self._record():
                received = time.monotonic()
        try:
            self._journal.close()
        except OSError as error:
            self.get_logger().error(f'recording not finished: {error.strerror}')

    def _discover(self) -> None:
        """Subscribe to new topics."""
        for topic, types in self.get_topic_names_and_types():
            if topic in self._recorded or topic in self._unknown or self._excluded(topic):
                continue
            if offered := self.get_publishers_info_by_topic(topic):
                self._subscribe(topic, types[0], [info.qos_profile for info in offered])

    def _excluded(self, topic: str) -> bool:
        return any(topic == end or topic.endswith(f'/{end}') for end in self._settings.exclude)

    def _subscribe(self, topic: str, kind: str, offered: list[qos.QoSProfile]) -> None:
        try:
            message = codec.message_class(kind)
            self._journal.offer(topic, [qos.to_metadata(profile) for profile in offered])
            depth = LARGE_DEPTH if message is codec.Policy else DEPTH
            self._recorded[topic] = kind, DrainedSubscription(
                self, message, topic, qos.matching(offered, depth), raw=True)
        except (InvalidInput, NameValidationException) as error:
            self._unknown.add(topic)
            self.get_logger().error(f'{topic} is not recorded: {error}')

    def _record(self) -> int:
        """Write received messages to the bag; return how many there were."""
        messages = [(info['received_timestamp'], topic, kind, message)
                for topic, (kind, subscription) in self._recorded.items()
                for message, _, info in subscription.take_with_info()]
        messages.sort(key=itemgetter(0))
        for receipt, topic, kind, message in messages:
            if self._journal.full:
                self._missed += 1
            else:
                self._journal.write(topic, kind, message, receipt)
        try:
            self._journal.flush()
        except OSError as error:
            if not self._disk_error:
                self.get_logger().error(f'recording stops ({error.strerror}); make space')
            self._disk_error = f'nothing is recorded ({error.strerror})'
        else:
            if self._disk_error:
                self.get_logger().info('recording continues')
            self._disk_error = ''
        return len(messages)

    def _report(self) -> None:
        level, message = codec.OK, 'recording'
        if self._disk_error:
            level, message = codec.ERROR, self._disk_error
        elif self._unknown or self._missed:
            level = codec.WARN
            message = (f'{self._missed} messages not recorded; topics not recorded: '
                       f'{", ".join(sorted(self._unknown)[:NAMES_SHOWN]) or "none"}')
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: recording', level, message,
            {'messages': self._journal.message_count, 'missed': self._missed,
             'topics': len(self._recorded), 'file': self._journal.path},
            self.get_clock().now().nanoseconds * 1e-9))


def main() -> int:
    """Run the recorder."""
    return run(Recorder)


if __name__ == '__main__':
    raise SystemExit(main())
