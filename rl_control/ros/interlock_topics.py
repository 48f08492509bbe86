# SPDX-License-Identifier: Apache-2.0
"""Interlock topics: feed a BoolInterlock from a std_msgs/Bool topic, latched or not."""

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from rl_control.control.interlocks import UNKNOWN_PUBLISHER, BoolInterlock
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription


class BoolInterlockTopic:
    """
    Subscribe to the topic of a BoolInterlock, read from the thread that drives the arm.

    There are two subscriptions: a best-effort, volatile one matches every publisher, and a latched
    one receives what was published before this node started.
    """

    def __init__(self, node: Node, interlock: BoolInterlock) -> None:
        self._node = node
        self._interlock = interlock
        # A publisher that is compatible with only one of the two is no error.
        self._subscriptions = [
            DrainedSubscription(
                node, codec.Bool, interlock.name, profile,
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))
            for profile in (qos.ESTOP, qos.ESTOP_LATCHED)]

    def update(self, fault: Callable[[str], None]) -> None:
        """Apply the received messages in order; call `fault` for each that stops the arm."""
        received = [message for subscription in self._subscriptions
                    for message in subscription.take_with_info()]
        for message, receipt, info in sorted(received, key=lambda one: one[1]):
            reason = self._interlock.receive(receipt, publisher(info), codec.read_flag(message))
            if reason:
                fault(reason)

    def update_publishers(self) -> int:
        """Forget publishers that have gone; return how many there are. Thread-safe."""
        known = self._interlock.publishers  # read first: one may publish during the next line
        present = self._node.get_publishers_info_by_topic(self._interlock.name)
        self._interlock.forget_absent({bytes(one.endpoint_gid) for one in present}, known)
        return len(present)


def publisher(info: Mapping[str, Any]) -> bytes:
    """Return the publisher's gid; UNKNOWN_PUBLISHER where rclpy has none, as in Jazzy."""
    gid = info.get('publisher_gid')
    return bytes(gid['data']) if gid else UNKNOWN_PUBLISHER
