# SPDX-License-Identifier: Apache-2.0
"""Drained subscription: read all waiting messages at once, from the thread that needs them."""

from collections import deque
from collections.abc import Callable, Mapping
import threading
import time
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

from rl_control.ros.rclpy_internals import TakenSubscription, missing_names, take_more

MAX_MESSAGES_PER_TAKE = 64  # messages in one callback, so that timers get their turn


def subscribe_drained(
    node: Node, kind: type, topic: str, callback: Callable[[list[bytes]], None],
    profile: QoSProfile, **options: Any,
) -> None:
    """
    Call `callback` with the serialized messages that wait, oldest first.

    There are MAX_MESSAGES_PER_TAKE at most. An executor alone takes one message per turn, and the
    turn costs several times as much as taking the message.
    """
    def on_message(raw: bytes) -> None:
        callback([raw, *take_more(subscription, kind, MAX_MESSAGES_PER_TAKE - 1)])

    subscription = node.create_subscription(
        kind, topic, on_message, profile, raw=True, **options)


class DrainedSubscription:
    """
    A subscription that one thread at a time reads, with the steady time of each receipt.

    With `raw` its messages are serialized bytes. It needs no executor, unless rclpy lacks a
    private name: then the executor of `node` must spin.
    """

    def __init__(
        self, node: Node, kind: type, topic: str, profile: QoSProfile, raw: bool = False,
        **options: Any,
    ) -> None:
        make = QueuedSubscription if missing_names() else TakenSubscription
        self._subscription = make(node, kind, topic, profile, raw, **options)
        self._taken = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep until a message is there, `seconds` at most."""
        self._subscription.wait(seconds)

    def take(self) -> list[tuple[Any, float]]:
        """Return (message, receipt on time.monotonic()) of all messages since the last call."""
        return [(message, receipt) for message, receipt, _ in self.take_with_info()]

    def take_with_info(self) -> list[tuple[Any, float, Mapping[str, Any]]]:
        """
        Return (message, receipt on time.monotonic(), message info) as `take` does.

        The middleware notes receipts on the system's clock, which may jump; a receipt is therefore
        clipped to the time between the last call and now.
        """
        now, wall = time.monotonic(), time.time()
        taken = []
        for message, info in self._subscription.drain():
            receipt = now - (wall - info['received_timestamp'] * 1e-9)
            taken.append((message, min(max(receipt, self._taken), now), info))
        self._taken = now
        return taken


class QueuedSubscription:
    """TakenSubscription by rclpy's public API: the node's executor fills a queue."""

    def __init__(
        self, node: Node, kind: type, topic: str, profile: QoSProfile, raw: bool, **options: Any,
    ) -> None:
        self._queue: deque[tuple[Any, Any]] = deque(maxlen=profile.depth)
        self._arrived = threading.Event()
        node.create_subscription(kind, topic, self._on_message, profile, raw=raw, **options)

    def _on_message(self, message: Any, info: Any) -> None:
        self._queue.append((message, info))
        self._arrived.set()

    def wait(self, seconds: float) -> None:
        """Sleep until a message is there, `seconds` at most."""
        self._arrived.clear()
        if not self._queue:
            self._arrived.wait(seconds)

    def drain(self) -> list[tuple[Any, Any]]:
        """Return (message, message info) of all messages in the queue."""
        return [self._queue.popleft() for _ in range(len(self._queue))]
