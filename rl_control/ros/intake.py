# SPDX-License-Identifier: Apache-2.0
"""Messages taken by the thread that needs them, without an executor in between."""

import time
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile


class Intake:
    """A subscription that its owner empties, with the steady time of each receipt."""

    def __init__(self, node: Node, kind: type, topic: str, profile: QoSProfile) -> None:
        """Subscribe; no executor will touch the messages."""
        self._kind = kind
        self._group = _Apart()
        self._subscription = node.create_subscription(
            kind, topic, lambda _: None, profile, callback_group=self._group)
        self._taken = time.monotonic()

    def take(self) -> list[tuple[Any, float]]:
        """
        Return (message, receipt on time.monotonic()) of all that came since the last call.

        The middleware notes receipts on the system's clock, which may jump: what it says is
        believed only between the last call and now.
        """
        now, wall = time.monotonic(), time.time()
        taken = []
        handle = self._subscription.handle
        with handle:
            while (found := handle.take_message(self._kind, False)) is not None:
                message, info = found
                receipt = now - (wall - info['received_timestamp'] * 1e-9)
                taken.append((message, min(max(receipt, self._taken), now)))
        self._taken = now
        return taken


    def take_raw(self) -> list[tuple[int, bytes]]:
        """Return (receipt in ns of the system's clock, serialized message) of all that came."""
        taken = []
        handle = self._subscription.handle
        with handle:
            while (found := handle.take_message(self._kind, True)) is not None:
                message, info = found
                taken.append((info['received_timestamp'], message))
        return taken


class _Apart(CallbackGroup):
    """Keeps its entities out of every executor's wait set."""

    def can_execute(self, entity: object) -> bool:
        return False

    def beginning_execution(self, entity: object) -> bool:
        return False

    def ending_execution(self, entity: object) -> None:
        """Nothing was begun."""
