# SPDX-License-Identifier: Apache-2.0
"""
Private names of rclpy that this package uses, all in one place.

`take_message` and `WaitSet` let a thread read a subscription without an executor, at 5 us a
message. `_parameter_overrides` lists the parameters that files and arguments set, declared or
not. Where a name is missing, callers use the public API: see DrainedSubscription and
`parameters.given_values`.
"""

from typing import Any

import rclpy
from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

OVERRIDES = '_parameter_overrides'


def missing_names() -> list[str]:
    """Return the private names of subscriptions that the installed rclpy lacks."""
    names = {
        'Subscription.handle': hasattr(Subscription, 'handle'),
        'Context.handle': hasattr(rclpy.Context, 'handle'),
        'rclpy_implementation.Subscription.take_message': hasattr(
            getattr(_rclpy, 'Subscription', None), 'take_message'),
        'rclpy_implementation.WaitSet': hasattr(_rclpy, 'WaitSet'),
    }
    return [name for name, found in names.items() if not found]


def take_more(subscription: Subscription, kind: type, count: int) -> list[bytes]:
    """Return up to `count` serialized messages of `kind` that wait in a subscription."""
    if missing_names():
        return []
    messages = []
    handle = subscription.handle
    with handle:
        while len(messages) < count and (found := handle.take_message(kind, True)):
            messages.append(found[0])
    return messages


class TakenSubscription:
    """A subscription that is read by `take_message`; no executor touches it."""

    def __init__(
        self, node: Node, kind: type, topic: str, profile: QoSProfile, raw: bool, **options: Any,
    ) -> None:
        self._kind, self._raw = kind, raw
        self._group = _WithoutExecutor()
        self._subscription = node.create_subscription(
            kind, topic, lambda _: None, profile, callback_group=self._group, **options)
        self._context = node.context
        self._wait_set: Any = None

    def wait(self, seconds: float) -> None:
        """Sleep until a message is there, `seconds` at most."""
        if self._wait_set is None:
            with self._context.handle:
                self._wait_set = _rclpy.WaitSet(1, 0, 0, 0, 0, 0, self._context.handle)
        with self._wait_set, self._subscription.handle:
            self._wait_set.clear_entities()
            self._wait_set.add_subscription(self._subscription.handle)
            self._wait_set.wait(round(seconds * 1e9))

    def drain(self) -> list[tuple[Any, Any]]:
        """Return (message, message info) of all messages that wait."""
        taken = []
        handle = self._subscription.handle
        with handle:
            while (found := handle.take_message(self._kind, self._raw)) is not None:
                taken.append(found)
        return taken


class _WithoutExecutor(CallbackGroup):
    """A callback group whose entities are in no executor's wait set."""

    def can_execute(self, entity: object) -> bool:
        return False

    def beginning_execution(self, entity: object) -> bool:
        return False

    def ending_execution(self, entity: object) -> None:
        """Do nothing: `beginning_execution` starts nothing."""


def parameter_overrides(node: Node, prefix: str) -> dict[str, Any] | None:
    """
    Return the values that files, arguments and launch set below `prefix.`, by field.

    Return None where rclpy lacks the private name.
    """
    if not hasattr(node, OVERRIDES):
        return None
    start = f'{prefix}.'
    return {
        name.removeprefix(start): parameter.value
        for name, parameter in getattr(node, OVERRIDES).items() if name.startswith(start)
    }
