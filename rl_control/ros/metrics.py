# SPDX-License-Identifier: Apache-2.0
"""Metrics topics: publish and subscribe to numbers as metrics/NAME."""

from collections.abc import Mapping
import contextlib
from functools import partial

from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.publisher import Publisher

from rl_control.common.errors import InvalidInput
from rl_control.ros import codec, qos
from rl_control.ros.node_status import NAME_LIMIT


class Metrics:
    """Publish numbers by name; the topic of a name is created with its first number."""

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


class MetricsSubscriber:
    """Subscribe to all metrics in the graph: `values` has the newest finite one by name."""

    def __init__(self, node: Node) -> None:
        self.values: dict[str, float] = {}
        self._node = node
        self._prefix = node.resolve_topic_name('metrics') + '/'
        self._known: set[str] = set()

    def discover(self) -> None:
        """Subscribe to metrics that are new in the graph."""
        for topic, types in self._node.get_topic_names_and_types():
            if (not topic.startswith(self._prefix) or topic in self._known
                    or codec.type_name(codec.Number) not in types
                    or len(self._known) >= NAME_LIMIT):
                continue
            self._known.add(topic)
            name = topic.removeprefix(self._prefix)
            with contextlib.suppress(NameValidationException):  # DDS without ROS allows any name
                self._node.create_subscription(
                    codec.Number, topic, partial(self._on_number, name), qos.METRICS)

    def _on_number(self, name: str, message: codec.Number) -> None:
        with contextlib.suppress(InvalidInput):
            self.values[name] = codec.read_number(message, name)
