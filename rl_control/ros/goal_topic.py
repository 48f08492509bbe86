# SPDX-License-Identifier: Apache-2.0
"""Goal topic: subscribe to goals of latched publishers and of others."""

from collections.abc import Callable

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from rl_control.ros import codec, qos


def subscribe_goal(node: Node, callback: Callable[[codec.Goal], None]) -> None:
    """
    Call `callback` with each goal, which may come twice.

    A latched subscription receives what was published before this node started; a best-effort,
    volatile one matches every publisher, such as RViz and `ros2 topic pub` without options.
    """
    # A publisher that is compatible with only one of the two is no error.
    quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
    node.create_subscription(codec.Goal, 'goal', callback, qos.GOAL, event_callbacks=quiet)
    node.create_subscription(
        codec.Goal, 'goal', callback, qos.GOAL_VOLATILE, event_callbacks=quiet)
