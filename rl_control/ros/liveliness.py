# SPDX-License-Identifier: Apache-2.0
"""Liveliness: detect dead publishers by their lease, and incompatible QoS."""

from collections.abc import Callable
import time
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind


class LivelinessMonitor:
    """
    The publishers of one topic with a liveliness lease, called `what` in the log.

    A publisher whose process died is detected when its lease ends; one that ended well just
    leaves. A process that hangs looks alive: check its progress as well. `on_death`
    is called when a lease ended.
    """

    def __init__(
        self, node: Node, topic: str, what: str, on_death: Callable[[], None],
    ) -> None:
        self.alive = 0
        self.dead = 0  # leases that ended; the middleware drops them after some time
        self.changed = time.monotonic()  # when `alive` last changed
        self._node, self._topic, self._what = node, topic, what
        self._on_death = on_death

    def events(self) -> SubscriptionEventCallbacks:
        """Return the event callbacks for the subscription."""
        return SubscriptionEventCallbacks(
            liveliness=self._on_liveliness,
            incompatible_qos=lambda event: log_incompatible(
                self._node, self._topic, 'publisher', event))

    def _on_liveliness(self, event: Any) -> None:
        if event.alive_count != self.alive:
            self.changed = time.monotonic()
        self.alive, self.dead = event.alive_count, event.not_alive_count
        if event.not_alive_count_change > 0:
            self._node.get_logger().warning(
                f'{self._what} on {self._topic} is gone; {self.alive} are alive')
            self._on_death()


def publisher_events(node: Node, topic: str) -> PublisherEventCallbacks:
    """Return event callbacks that log subscriptions with incompatible QoS."""
    return PublisherEventCallbacks(
        incompatible_qos=lambda event: log_incompatible(node, topic, 'subscription', event))


def log_incompatible(node: Node, topic: str, what: str, event: Any) -> None:
    """Log the QoS policy by which a `what` and this node are incompatible."""
    policy = qos_policy_name_from_kind(event.last_policy_kind)
    node.get_logger().error(
        f'a {what} on {topic} has an incompatible {policy}, so no message passes; give it the '
        'QoS that docs/topics.md lists')
