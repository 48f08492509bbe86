# SPDX-License-Identifier: Apache-2.0
"""For how long the machine itself stood still, so that a test blames no node for it."""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import time

import numpy as np

from rl_control.control.realtime_loop import RealtimeLoop

PERIOD = 0.01  # s between a witness' ticks
PRIORITY = 50  # of the test's own thread, below that of its clocks


@contextlib.contextmanager
def preferred() -> Iterator[None]:
    """
    Let this thread go before other processes where that is allowed, and not its children.

    It shares an interpreter with the arm's clock: the one that has it must not be kept waiting.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(
            0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


class Witness:
    """A clock beside what is judged: how late its own ticks were is the machine's doing."""

    def __init__(self, period: float = PERIOD) -> None:
        self._period = period
        self._ticks = [time.monotonic()]

    def tick(self) -> None:
        self._ticks.append(time.monotonic())

    def late(self, since: float) -> float:
        """Return the s that ticks lacked after `since`, each by more than half a period."""
        ticks = np.array([*self._ticks, time.monotonic()])
        gaps = np.diff(ticks)[ticks[1:] >= since] - self._period
        return float(gaps[gaps > 0.5 * self._period].sum())


@contextlib.contextmanager
def watching() -> Iterator[Witness]:
    """Let a witness tick on a thread of its own."""
    witness = Witness()
    loop = RealtimeLoop(
        PERIOD, lambda due: witness.tick(), real_time=True, log_warning=lambda _: None)
    loop.start()
    with preferred():
        yield witness
    loop.stop()
    loop.check()


def waited(pid: int) -> float:
    """Return the s that a process' threads were ready to run and did not (schedstat, proc(5))."""
    found = 0
    for file in Path(f'/proc/{pid}/task').glob('*/schedstat'):
        with contextlib.suppress(OSError):  # a thread that has just ended
            found += int(file.read_text().split()[1])
    return 1e-9 * found


class Stalls:
    """
    For how long the machine has not let processes run since this was made.

    That is what their threads waited for a core, which the kernel counts, and what the witness
    saw of a machine that stood still as a whole.
    """

    def __init__(self, witness: Witness, *pids: int) -> None:
        self._witness = witness
        self._waited = {pid: waited(pid) for pid in pids}
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        found = sum(max(0.0, waited(pid) - before) for pid, before in self._waited.items())
        return found + self._witness.late(self._since)
