# SPDX-License-Identifier: Apache-2.0
"""Topics that may forbid the arm to move, heard both as they come and as they were left."""

from collections.abc import Callable, Mapping
import time
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from rl_control.guards import Flag
from rl_control.ros import codec, qos


class FlagTopic:
    """
    A std_msgs/Bool topic that feeds a Flag.

    It has two subscriptions: best effort and volatile matches every publisher, and the latched
    one is given what was said before it came. `on_fault` is called at once with what is wrong.
    """

    def __init__(self, node: Node, flag: Flag, on_fault: Callable[[str], None]) -> None:
        self._node = node
        self._flag = flag
        self._on_fault = on_fault
        for profile in (qos.ESTOP, qos.ESTOP_LATCHED):
            # One of the two may not match a publisher, which is as it should be.
            node.create_subscription(
                codec.Flag, flag.name, self._on_message, profile,
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))

    def look(self) -> int:
        """Forget the publishers that are gone; return how many are there."""
        known = self._node.get_publishers_info_by_topic(self._flag.name)
        self._flag.keep([bytes(publisher.endpoint_gid) for publisher in known])
        return len(known)

    def _on_message(self, message: codec.Flag, info: Mapping[str, Any]) -> None:
        publisher = bytes(info['publisher_gid']['data'])
        if why := self._flag.receive(time.monotonic(), publisher, codec.read_flag(message)):
            self._on_fault(why)
