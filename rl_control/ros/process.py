# SPDX-License-Identifier: Apache-2.0
"""How a node's process begins and ends: one sentence on bad input, work saved on a signal."""

from collections.abc import Callable
import signal
import sys
from types import FrameType
from typing import Protocol

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from rl_control.errors import Refused

SPIN_PERIOD = 0.05  # s; bounds how late a signal is seen


class Process(Protocol):
    """A node with an end of its own; `close` still may publish and must return within 2 s."""

    def done(self) -> bool:
        """Say whether the work is finished by itself."""

    def close(self) -> None:
        """Save what must be saved; the executor no longer spins."""


def run(make: Callable[[], Node], args: list[str] | None = None) -> int:
    """
    Spin the node that `make` returns until it is done or SIGINT or SIGTERM comes.

    rclpy's own signal handlers would shut the context down before anything could be published,
    so they are not installed. Returns the exit status: 0, or 2 after Refused.
    """
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    node = None
    try:
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not (stopped or node.done()):
            executor.spin_once(timeout_sec=SPIN_PERIOD)
        node.close(executor)
    except Refused as refused:
        print(f'{sys.argv[0].rsplit("/", 1)[-1]}: {refused}', file=sys.stderr)
        return 2
    except ExternalShutdownException:
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
