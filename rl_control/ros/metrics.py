# SPDX-License-Identifier: Apache-2.0
"""Numbers for any plot of ROS: each on the topic metrics/NAME."""

from collections.abc import Mapping
import contextlib
from functools import partial

from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.publisher import Publisher

from rl_control.common.errors import InvalidInput
from rl_control.ros import codec, qos
from rl_control.ros.node_status import NAMES


class Metrics:
    """Publishes numbers by name; a name's topic is there from its first number on."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers: dict[str, Publisher] = {}

    def publish(self, values: Mapping[str, float]) -> None:
        """Publish each value on its topic."""
        for name, value in values.items():
            if name not in self._publishers:
                self._publishers[name] = self._node.create_publisher(
                    codec.Number, f'metrics/{name}', qos.METRICS)
            self._publishers[name].publish(codec.number(value))


class MetricsHeard:
    """The finite numbers that anybody publishes so: `values`, the newest by name."""

    def __init__(self, node: Node) -> None:
        self.values: dict[str, float] = {}
        self._node = node
        self._prefix = node.resolve_topic_name('metrics') + '/'
        self._known: set[str] = set()

    def look(self) -> None:
        """Listen to metrics that have come up."""
        for topic, types in self._node.get_topic_names_and_types():
            if (not topic.startswith(self._prefix) or topic in self._known
                    or codec.type_name(codec.Number) not in types or len(self._known) >= NAMES):
                continue
            self._known.add(topic)
            with contextlib.suppress(NameValidationException):  # who is no ROS may have any name
                self._node.create_subscription(
                    codec.Number, topic, partial(self._hear, topic.removeprefix(self._prefix)),
                    qos.METRICS)

    def _hear(self, name: str, message: codec.Number) -> None:
        with contextlib.suppress(InvalidInput):
            self.values[name] = codec.read_number(message, name)
