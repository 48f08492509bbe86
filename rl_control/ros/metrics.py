# SPDX-License-Identifier: Apache-2.0
"""Numbers for any plot of ROS: each on the topic metrics/NAME."""

from collections.abc import Mapping

from rclpy.node import Node
from rclpy.publisher import Publisher

from rl_control.ros import codec, qos


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
