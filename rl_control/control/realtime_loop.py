# SPDX-License-Identifier: Apache-2.0
"""A thread that ticks at a fixed rate on an absolute steady clock, and what keeps it on time."""

from collections.abc import Callable
import contextlib
import ctypes
import gc
import math
import os
import sys
import threading
import time

import numpy as np

SPIN = 150e-6  # s before the due time from which on the thread waits awake
PRIORITY = 80  # of SCHED_FIFO: below the kernel's own threads at 99, above other work
BELOW = 20  # by which the priority of the threads that bring messages in is lower
NICE = -15  # of the main thread
LONG, SHORT = 2e-3, 3e-4  # s left before the next tick: collect older rubbish, the newest
SWITCH_INTERVAL = 5e-4  # s another thread of Python keeps the interpreter when this one is due
POLL = 1e-3  # s of real time between looks at a clock that is not the steady one
BACKWARDS = 2.5  # periods to the next tick, more than which are a clock that jumped back
HISTORY = 8192  # ticks that the statistics are of
BINS = 20  # of a histogram, to a factor of ten
MCL_CURRENT_FUTURE_ONFAULT = 7  # mlockall(2)
PR_SET_TIMERSLACK = 29  # prctl(2)


class Samples:
    """The newest HISTORY values of one quantity, in memory that is there from the start."""

    def __init__(self) -> None:
        self._values = np.zeros(HISTORY)
        self._count = 0

    def add(self, value: float) -> None:
        """Note a value in s; called by one thread."""
        self._values[self._count % HISTORY] = value
        self._count += 1

    def figures(self, name: str) -> dict[str, float]:
        """Return NAME_p50_ms, p99, p999 and max, empty without values; for any thread."""
        known = self._values[:self._count].copy()
        if not len(known):
            return {}
        return {
            f'{name}_{label}_ms': round(1e3 * float(np.percentile(known, share)), 4)
            for label, share in (('p50', 50.0), ('p99', 99.0), ('p999', 99.9), ('max', 100.0))
        }

    def histogram(self, typical: bool = False) -> str:
        """
        Return 'edge:count ...', the bins that are not empty, for any thread.

        `edge` is a bin's lower end in ms, the upper is a twentieth of a factor of ten above. With
        `typical` it is of how far values are from their median.
        """
        known = self._values[:self._count]
        if typical and len(known):
            known = np.abs(known - np.median(known))
        known = np.maximum(1e3 * known, 1e-6)
        bins, counts = np.unique(np.floor(BINS * np.log10(known)), return_counts=True)
        return ' '.join(f'{10.0 ** (one / BINS):.4g}:{count}'
                        for one, count in zip(bins, counts, strict=True))


class Statistics:
    """What a loop's ticks were like: time between two, lateness, duration, and how many."""

    def __init__(self) -> None:
        self.period, self.lateness, self.duration = Samples(), Samples(), Samples()
        self.ticks = 0
        self.overruns = 0
        self._last = math.nan

    def add(self, due: float, began: float, ended: float, missed: int) -> None:
        """Note one tick: when it was due, began and ended in s, and how many were skipped."""
        self.lateness.add(began - due)
        self.duration.add(ended - began)
        if self.ticks and began > self._last:  # else the clock jumped back
            self.period.add(began - self._last)
        self._last = began
        self.ticks += 1
        self.overruns += missed

    def figures(self) -> dict[str, float]:
        """Return the quantiles of each in ms, and the counts."""
        return {
            'ticks': self.ticks, 'overruns': self.overruns, **self.period.figures('period'),
            **self.lateness.figures('lateness'), **self.duration.figures('duration'),
        }

    def histograms(self) -> dict[str, str]:
        """Return the distributions: of lateness, duration, and of the period about its median."""
        return {'jitter_histogram': self.period.histogram(typical=True),
                'lateness_histogram': self.lateness.histogram(),
                'duration_histogram': self.duration.histogram()}


class RealtimeLoop:
    """
    Call `tick(due)` every `period` s until stopped; `due` is on time.monotonic().

    What `tick` returns, if anything, moves the ticks after it by as many s, half a period at most.
    A tick that comes more than half a period late is skipped and counted, so that none follow in
    a burst. While it runs the garbage collector is off but for the slack after a tick. Where the
    system allows it the thread has real-time priority and the memory stays in place; `notice`
    gets one line where not. An exception of `tick` ends the loop, and `check` raises it.
    """

    def __init__(
        self, period: float, tick: Callable[[float], float | None], name: str = 'loop',
        real_time: bool = False, notice: Callable[[str], None] = print,
    ) -> None:
        self.period = period
        self.statistics = Statistics()
        self._tick = tick
        self._real_time = real_time
        self._notice = notice
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self) -> None:
        """End after the running tick, and wait for it."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def check(self) -> None:
        """Raise what ended the loop, if anything did."""
        if self._error is not None:
            raise self._error

    def _guarded(self) -> None:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(min(interval, SWITCH_INTERVAL))
        if self._real_time and (hindrance := prefer()):
            self._notice(hindrance)
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._run()
        except BaseException as error:
            self._error = error
        finally:
            gc.enable()
            gc.unfreeze()
            sys.setswitchinterval(interval)

    def _run(self) -> None:
        period, statistics, stopped = self.period, self.statistics, self._stopped
        due = time.monotonic() + period
        missed = 0
        while not stopped.is_set():
            wait_until(due)
            began = time.monotonic()
            if began - due > 0.5 * period:
                late = round((began - due) / period)
                missed += late
                due += late * period
                if began < due:
                    continue
            shift = self._tick(due)
            ended = time.monotonic()
            statistics.add(due, began, ended, missed)
            missed = 0
            due += period + (shift or 0.0)
            slack = due - ended
            if slack > LONG:
                gc.collect(1 if statistics.ticks % 64 else 2)
            elif slack > SHORT:
                gc.collect(0)


class SimTimeLoop(RealtimeLoop):
    """
    As Loop, on a `clock` that may run at any pace, stand still and jump: simulated time.

    `due` is on that clock. Between ticks `look` is called in real time, whatever the clock does.
    When it jumps back the next tick comes at once, and whoever ticks sees the jump.
    """

    def __init__(
        self, period: float, tick: Callable[[float], float | None], look: Callable[[], None],
        clock: Callable[[], float], name: str = 'loop',
    ) -> None:
        super().__init__(period, tick, name)
        self._look = look
        self._clock = clock

    def _run(self) -> None:
        period, clock = self.period, self._clock
        due = clock() + period
        while not self._stopped.is_set():
            began = clock()
            if due - began > BACKWARDS * period:
                due = began
            elif began < due:
                self._look()
                time.sleep(POLL)
                continue
            missed = round((began - due) / period)
            due += missed * period
            self._tick(due)
            self.statistics.add(due, began, max(began, clock()), missed)
            due += period


def wait_until(due: float) -> None:
    """Return at `due` on time.monotonic(): asleep until shortly before, then awake."""
    remaining = due - time.monotonic()
    if remaining > SPIN:
        time.sleep(remaining - SPIN)
    while time.monotonic() < due:
        pass


def prefer() -> str:
    """
    Give this thread real-time priority and locked memory; return what was not allowed.

    The other threads of the process follow: those that bring messages in just below it, the main
    one, which also does what has time, before other processes.
    """
    refused = []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)
    try:
        for thread in map(int, os.listdir('/proc/self/task')):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                if thread == os.getpid():
                    os.setpriority(os.PRIO_PROCESS, thread, NICE)
                else:
                    os.sched_setscheduler(
                        thread, os.SCHED_FIFO, os.sched_param(PRIORITY - BELOW))
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        refused.append(f'real-time priority (rtprio {PRIORITY} and nice {NICE} in limits.conf)')
    # Pages stay once they were touched; to touch all that is mapped would take the stacks' sum.
    if libc.mlockall(MCL_CURRENT_FUTURE_ONFAULT) != 0:
        refused.append('locked memory (memlock unlimited in limits.conf)')
    if not refused:
        return ''
    return f'not allowed here: {" and ".join(refused)}; the loop runs without'
