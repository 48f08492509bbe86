# SPDX-License-Identifier: Apache-2.0
"""Messages taken by the thread that needs them, rather than one a turn of an executor."""

from collections.abc import Callable, Mapping
from functools import cached_property
import time
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSProfile

WaitSet = rclpy_implementation.WaitSet  # as rclpy.executors and rclpy.wait_for_message have it
MAX_MESSAGES_PER_TAKE = 64  # messages, so that timers get their turn too


def subscribe_drained(
    node: Node, kind: type, topic: str, callback: Callable[[list[bytes]], None],
    profile: QoSProfile, **options: Any,
) -> None:
    """
    Call `callback` with the serialized messages that are there, oldest first, AT_ONCE at most.

    An executor takes one message a turn, and the turn costs several times what taking does.
    """
    def on_message(raw: bytes) -> None:
        messages = [raw]
        handle = subscription.handle
        with handle:
            while len(messages) < MAX_MESSAGES_PER_TAKE and (
                found := handle.take_message(kind, True)
            ):
                messages.append(found[0])
        callback(messages)

    subscription = node.create_subscription(
        kind, topic, on_message, profile, raw=True, **options)


class DrainedSubscription:
    """
    A subscription that one thread at a time empties, with the steady time of each receipt.

    With `raw` its messages are bytes, serialized as they came.
    """

    def __init__(
        self, node: Node, kind: type, topic: str, profile: QoSProfile, raw: bool = False,
        **options: Any,
    ) -> None:
        """Subscribe; no executor will touch the messages."""
        self._kind, self._raw = kind, raw
        self._group = _Apart()
        self._subscription = node.create_subscription(
            kind, topic, lambda _: None, profile, callback_group=self._group, **options)
        self._taken = time.monotonic()
        self._context = node.context

    @cached_property  # of those who wait
    def _waiting(self) -> Any:
        with self._context.handle:
            return WaitSet(1, 0, 0, 0, 0, 0, self._context.handle)

    def wait(self, seconds: float) -> None:
        """Sleep until a message is there, `seconds` at most."""
        with self._waiting, self._subscription.handle:
            self._waiting.clear_entities()
            self._waiting.add_subscription(self._subscription.handle)
            self._waiting.wait(round(seconds * 1e9))

    def take(self) -> list[tuple[Any, float]]:
        """Return (message, receipt on time.monotonic()) of all that came since the last call."""
        return [(message, receipt) for message, receipt, _ in self.take_described()]

    def take_described(self) -> list[tuple[Any, float, Mapping[str, Any]]]:
        """
        Return (message, receipt on time.monotonic(), what the middleware says of it), as `take`.

        The middleware notes receipts on the system's clock, which may jump: what it says is
        believed only between the last call and now.
        """
        now, wall = time.monotonic(), time.time()
        taken = []
        handle = self._subscription.handle
        with handle:
            while (found := handle.take_message(self._kind, self._raw)) is not None:
                message, info = found
                receipt = now - (wall - info['received_timestamp'] * 1e-9)
                taken.append((message, min(max(receipt, self._taken), now), info))
        self._taken = now
        return taken


class _Apart(CallbackGroup):
    """Keeps its entities out of every executor's wait set."""

    def can_execute(self, entity: object) -> bool:
        return False

    def beginning_execution(self, entity: object) -> bool:
        return False

    def ending_execution(self, entity: object) -> None:
        """Nothing was begun."""
