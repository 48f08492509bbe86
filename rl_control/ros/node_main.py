# SPDX-License-Identifier: Apache-2.0
"""Node main: run a node's process, print bad input in one sentence, save work on a signal."""


from collections.abc import Callable
import faulthandler
import os
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import NoReturn

import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from rl_control.common import memory
from rl_control.common.errors import InvalidInput
from rl_control.ros.parameter_files import rewritten

SPIN_PERIOD = 0.05  # s; bounds how late a signal is seen
DEPARTURE = 0.7  # s that the middleware gets to be taken apart


class Worker:
    """A thread whose exception ends the process instead of dying unseen."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        """Start `work` on a daemon thread."""
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._error is not None:
            raise self._error

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error


class _Interrupted(BaseException):
    """A signal came before the node was made."""


def leave(status: int) -> NoReturn:
    """
    End the process at once with `status`, when all that must be saved is.

    Python takes its modules apart before it ends, which for torch lasts seconds.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(make: Callable[[], Node], args: list[str] | None = None) -> int:
    """
    Spin the node that `make` returns until it is `done()` or SIGINT or SIGTERM comes.

    Then its `close(executor)` saves what must be saved; it may spin and publish, for 2 s at most.
    rclpy's own signal handlers would shut the context down before anything could be published,
    so they are not installed. Returns the exit status: 0, or that of what was refused.
    """
    memory.tune_malloc()
    try:
        with rewritten(sys.argv if args is None else args) as arguments:
            rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except InvalidInput as refused:
        return _say(refused)
    stopped = False
    node = None

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if node is None:
            raise _Interrupted  # nothing is there yet that must be saved

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        node = _constructed(make)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not (stopped or node.done()):
            executor.spin_once(timeout_sec=SPIN_PERIOD)
        node.close(executor)
    except InvalidInput as refused:
        return _say(refused)
    except _Interrupted:
        return 0
    except ExternalShutdownException:
        return 1
    finally:
        # All is saved. The middleware was seen to hang while it is taken apart, once in some
        # hundred ends; where it does, the process says where, and ends.
        faulthandler.dump_traceback_later(DEPARTURE, exit=True)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        faulthandler.cancel_dump_traceback_later()
    return 0


def _constructed(make: Callable[[], Node]) -> Node:
    """
    Return the node of `make`.

    Raise InvalidInput where its constructor fails by an error of code, not of the system: to
    start it again would change nothing.
    """
    try:
        return make()
    except (InvalidInput, OSError, RuntimeError):  # rclpy's own are RuntimeErrors
        raise
    except Exception as error:
        traceback.print_exc()
        raise InvalidInput(
            f'the node cannot be made ({type(error).__name__}: {" ".join(str(error).split())}); '
            'please report the traceback above') from error


def _say(refused: InvalidInput) -> int:
    """Print the sentence with the name of the program; return the exit status."""
    print(f'{sys.argv[0].rsplit("/", 1)[-1]}: {refused}', file=sys.stderr)
    return refused.status


def every(node: Node, period: float, call: Callable[[], None]) -> None:
    """Let the executor call `call` every `period` s of the steady clock."""
    node.create_timer(period, call, clock=Clock(clock_type=ClockType.STEADY_TIME))
