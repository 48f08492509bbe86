# SPDX-License-Identifier: Apache-2.0
"""Real-time loop: a thread that ticks at a fixed rate on an absolute steady clock."""

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

SPIN_TIME = 150e-6  # s before the due time from which the thread busy-waits
PRIORITY = 80  # of SCHED_FIFO: below the kernel's own threads at 99, above other work
PRIORITY_GAP = 20  # by which the priority of the middleware's threads is lower
NICE = -15  # of the main thread
FULL_GC_SLACK = 2e-3  # s to the next tick that allow collecting the older generations
YOUNG_GC_SLACK = 3e-4  # s to the next tick that allow collecting the youngest generation
SWITCH_INTERVAL = 5e-4  # s after which Python switches to another waiting thread
POLL_PERIOD = 1e-3  # s of real time between reads of a simulated clock
CLOCK_RESET = 2.5  # periods to the next tick; more means that the clock jumped back
HISTORY = 8192  # ticks in the statistics
BINS_PER_DECADE = 20  # of a histogram
MCL_CURRENT_FUTURE_ONFAULT = 7  # mlockall(2)
PR_SET_TIMERSLACK = 29  # prctl(2)


class Samples:
    """The newest HISTORY values of one quantity, in preallocated memory."""

    def __init__(self) -> None:
        self._values = np.zeros(HISTORY)
        self._count = 0

    def add(self, value: float) -> None:
        """Add a value in s; to be called from one thread."""
        self._values[self._count % HISTORY] = value
        self._count += 1

    def figures(self, name: str) -> dict[str, float]:
        """Return NAME_p50_ms, p99, p999 and max, empty without values. Thread-safe."""
        known = self._values[:self._count].copy()
        if not len(known):
            return {}
        return {
            f'{name}_{label}_ms': round(1e3 * float(np.percentile(known, percent)), 4)
            for label, percent in (('p50', 50.0), ('p99', 99.0), ('p999', 99.9), ('max', 100.0))
        }

    def histogram(self, about_median: bool = False) -> str:
        """
        Return 'edge:count ...' of the bins that are not empty. Thread-safe.

        `edge` is the lower edge in ms; BINS_PER_DECADE bins span a factor of ten. With
        `about_median` the values are absolute distances from their median.
        """
        known = self._values[:self._count]
        if about_median and len(known):
            known = np.abs(known - np.median(known))
        known = np.maximum(1e3 * known, 1e-6)
        bins, counts = np.unique(np.floor(BINS_PER_DECADE * np.log10(known)), return_counts=True)
        return ' '.join(f'{10.0 ** (one / BINS_PER_DECADE):.4g}:{count}'
                        for one, count in zip(bins, counts, strict=True))


class Statistics:
    """Statistics of a loop: period, lateness and duration of ticks, and their number."""

    def __init__(self) -> None:
        self.period, self.lateness, self.duration = Samples(), Samples(), Samples()
        self.ticks = 0
        self.overruns = 0
        self._last = math.nan

    def add(self, due: float, began: float, ended: float, missed: int) -> None:
        """Add one tick: when it was due, began and ended in s, and how many were skipped."""
        self.lateness.add(began - due)
        self.duration.add(ended - began)
        if self.ticks and began > self._last:  # else the clock jumped back
            self.period.add(began - self._last)
        self._last = began
        self.ticks += 1
        self.overruns += missed

    def figures(self) -> dict[str, float]:
        """Return the quantiles in ms and the counts."""
        return {
            'ticks': self.ticks, 'overruns': self.overruns, **self.period.figures('period'),
            **self.lateness.figures('lateness'), **self.duration.figures('duration'),
        }

    def histograms(self) -> dict[str, str]:
        """Return the histograms of lateness, duration, and of the period about its median."""
        return {'jitter_histogram': self.period.histogram(about_median=True),
                'lateness_histogram': self.lateness.histogram(),
                'duration_histogram': self.duration.histogram()}


class RealtimeLoop:
    """
    Call `tick(due)` every `period` s until stopped; `due` is on time.monotonic().

    If `tick` returns a number, the following ticks are delayed by as many s, at most half a
    period. A tick that is more than half a period late is skipped and counted, so ticks never come
    in a burst. The garbage collector runs only in the slack after a tick. With `real_time` the
    thread asks for real-time priority and locked memory; `log_warning` gets one line if the system
    refuses. An exception in `tick` ends the loop, and `check` re-raises it.
    """

    def __init__(
        self, period: float, tick: Callable[[float], float | None], name: str = 'loop',
        real_time: bool = False, log_warning: Callable[[str], None] = print,
    ) -> None:
        self.period = period
        self.statistics = Statistics()
        self._tick = tick
        self._real_time = real_time
        self._log_warning = log_warning
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run_guarded, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the running tick and wait for the thread."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def check(self) -> None:
        """Re-raise the exception that ended the loop, if there was one."""
        if self._error is not None:
            raise self._error

    def _run_guarded(self) -> None:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(min(interval, SWITCH_INTERVAL))
        if self._real_time and (refusal := request_real_time()):
            self._log_warning(refusal)
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
            if slack > FULL_GC_SLACK:
                gc.collect(1 if statistics.ticks % 64 else 2)
            elif slack > YOUNG_GC_SLACK:
                gc.collect(0)


class SimTimeLoop(RealtimeLoop):
    """
    RealtimeLoop on a simulated `clock`, which may run at any rate, stand still or jump.

    `due` is on that clock. Between ticks `poll` is called every POLL_PERIOD of real time. After a
    jump back the next tick comes at once, so that `tick` notices the jump.
    """

    def __init__(
        self, period: float, tick: Callable[[float], float | None], poll: Callable[[], None],
        clock: Callable[[], float], name: str = 'loop',
    ) -> None:
        super().__init__(period, tick, name)
        self._poll = poll
        self._clock = clock

    def _run(self) -> None:
        period, clock = self.period, self._clock
        due = clock() + period
        while not self._stopped.is_set():
            began = clock()
            if due - began > CLOCK_RESET * period:
                due = began
            elif began < due:
                self._poll()
                time.sleep(POLL_PERIOD)
                continue
            missed = round((began - due) / period)
            due += missed * period
            self._tick(due)
            self.statistics.add(due, began, max(began, clock()), missed)
            due += period


def wait_until(due: float) -> None:
    """Return at `due` on time.monotonic(): sleep until SPIN_TIME before, then busy-wait."""
    remaining = due - time.monotonic()
    if remaining > SPIN_TIME:
        time.sleep(remaining - SPIN_TIME)
    while time.monotonic() < due:
        pass


def request_real_time() -> str:
    """
    Request real-time priority for this thread and locked memory; return what was refused.

    The middleware's threads get a priority below this one; the main thread, which also has work
    that can wait, gets a better nice value than other processes.
    """
    refused = []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)
    try:
        for thread in map(int, os.listdir('/proc/self/task')):
            with contextlib.suppress(ProcessLookupError):  # the thread has just ended
                if thread == os.getpid():
                    os.setpriority(os.PRIO_PROCESS, thread, NICE)
                else:
                    os.sched_setscheduler(
                        thread, os.SCHED_FIFO, os.sched_param(PRIORITY - PRIORITY_GAP))
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        refused.append(f'real-time priority (rtprio {PRIORITY} and nice {NICE} in limits.conf)')
    # Pages are locked once touched; touching all mapped pages would need all stacks in memory.
    if libc.mlockall(MCL_CURRENT_FUTURE_ONFAULT) != 0:
        refused.append('locked memory (memlock unlimited in limits.conf)')
    if not refused:
        return ''
    return f'not allowed here: {" and ".join(refused)}; the loop runs without'
