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
SHUTDOWN_TIMEOUT = 0.7  # s for the middleware to shut down


class Worker:
    """A thread whose exception is re-raised by `check` on the main thread."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        """Start `work` on a daemon thread."""
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Re-raise the exception that ended the thread, if there was one."""
        if self._error is not None:
            raise self._error

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread to end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error


class _Interrupted(BaseException):
    """A signal arrived before the node was constructed."""


def leave(status: int) -> NoReturn:
    """
    Exit at once with `status`, after everything is saved.

    Python's own exit unloads its modules, which takes seconds for torch.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(make: Callable[[], Node], args: list[str] | None = None) -> int:
    """
    Spin the node that `make` returns until it is `done()` or SIGINT or SIGTERM arrives.

    Then its `close(executor)` saves its work; it may spin and publish, for 2 s at most. rclpy's
    own signal handlers are not installed, because they shut the context down before `close` could
    publish. Return the exit status: 0, or that of the InvalidInput.
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
            raise _Interrupted  # nothing is to be saved yet

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
        # All is saved. The middleware hangs in about one of a hundred shutdowns; then the process
        # prints where, and exits.
        faulthandler.dump_traceback_later(SHUTDOWN_TIMEOUT, exit=True)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        faulthandler.cancel_dump_traceback_later()
    return 0


def _constructed(make: Callable[[], Node]) -> Node:
    """
    Return the node of `make`.

    Raise InvalidInput if its constructor fails by an error of code, not of the system: starting
    it again would change nothing.
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
    """Call `call` on the executor every `period` s of the steady clock."""
    node.create_timer(period, call, clock=Clock(clock_type=ClockType.STEADY_TIME))
