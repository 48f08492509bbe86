# SPDX-License-Identifier: Apache-2.0
"""Timers that go on when the simulated clock stands still."""

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node


def every(node: Node, period: float, call: Callable[[], None]) -> None:
    """Let the executor call `call` every `period` s of the steady clock."""
    node.create_timer(period, call, clock=Clock(clock_type=ClockType.STEADY_TIME))
