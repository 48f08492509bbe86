# SPDX-License-Identifier: Apache-2.0
"""Supervisor: start, restart and stop the processes of a graph without `ros2 launch`."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

from rl_control.bringup.processes import NodeProcess, Parameter
from rl_control.common.errors import InvalidInput, Unavailable
from rl_control.common.signals import end_with_parent

FIRST_BACKOFF, MAX_BACKOFF = 0.5, 10.0  # s; each backoff is twice the one before
STABLE_TIME = 30.0  # s alive after which the count of deaths starts again
MAX_DEATHS = 8  # in a row, each before STABLE_TIME


class Restarts:
    """Restart policy of one process: exponential backoff, bounded deaths in a row."""

    def __init__(self, limit: int = MAX_DEATHS) -> None:
        self.limit = limit
        self.deaths = 0  # in a row

    def wait(self, alive: float, unavailable: bool = False) -> float | None:
        """
        Return the backoff in s after a death `alive` s after the start, None to give up.

        An exit because a resource is `unavailable` is no death; at the first start give up.
        """
        if unavailable:
            return MAX_BACKOFF if self.deaths else None
        self.deaths = 1 if alive >= STABLE_TIME else self.deaths + 1
        if self.deaths > self.limit:
            return None
        return min(FIRST_BACKOFF * 2.0 ** (self.deaths - 1), MAX_BACKOFF)


KILL_TIMEOUT = 2.7  # s from SIGINT to SIGKILL: 3 s with the rest of the shutdown
POLL_PERIOD = 0.05  # s between polls of running processes
EXIT_POLL_PERIOD = 0.01  # s between polls of stopping processes


def command_line(process: NodeProcess) -> list[str]:
    """Return the command that starts one node, in the syntax of `ros2 run`."""
    line = [sys.executable, '-m', f'rl_control.nodes.{process.executable}', '--ros-args',
            '-r', f'__node:={process.name}']
    if process.namespace:
        line += ['-r', f'__ns:=/{process.namespace}']
    for topic, other in process.remappings.items():
        line += ['-r', f'{topic}:={other}']
    for path in process.parameter_files:
        line += ['--params-file', str(path)]
    for name, value in process.parameters.items():
        line += ['-p', f'{name}:={_yaml(value)}']
    return line


class Supervisor:
    """
    The running processes of one graph.

    Each has its own session, so that Ctrl-C reaches it once, through the supervisor; the kernel
    ends each if the supervisor is killed. A process with `respawn` that dies is restarted with
    backoff; `deaths_limit` deaths in a row end the graph. Invalid input ends the graph at once: a
    restart changes nothing. An unavailable resource ends it at the first start of a process; at a
    later one the start is repeated.
    """

    def __init__(
        self, processes: Iterable[NodeProcess], environment: Mapping[str, str] | None = None,
        logs: Path | None = None, deaths_limit: int = MAX_DEATHS,
    ) -> None:
        self._children = [_Child(process, Restarts(deaths_limit)) for process in processes]
        self._environment = environment
        self._logs = logs
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
        try:
            for child in self._children:
                self._start(child)
        except BaseException:
            self.stop()
            raise

    @property
    def pids(self) -> dict[str, int]:
        """Return the process id of each running node."""
        return {child.process.name: child.popen.pid for child in self._children
                if child.popen is not None and child.popen.poll() is None}

    def wait(self, stopped: Callable[[], bool]) -> int:
        """
        Wait until a process ends the graph, one fails for good, or `stopped` returns True.

        Then stop the rest; return the exit status of that process, 0 after `stopped`.
        """
        status = None
        while status is None and not stopped():
            status = self.poll()
            time.sleep(POLL_PERIOD)
        self.stop()
        return status or 0

    def poll(self) -> int | None:
        """Restart dead processes that are due; return the status that ends the graph, or None."""
        for child in self._children:
            if child.popen is None:
                if time.monotonic() >= child.due:
                    self._start(child)
                continue
            status = child.popen.poll()
            if status is None or (status == 0 and not child.process.ends_graph):
                continue
            if not child.process.respawn or status in (0, InvalidInput.status):
                return _shell_status(status)
            alive, unavailable = time.monotonic() - child.began, status == Unavailable.status
            if (wait := child.restarts.wait(alive, unavailable)) is None:
                if unavailable:
                    return status
                print(f'{child.process.name} died {child.restarts.deaths} times in a row within '
                      f'{STABLE_TIME:.0f} s of its start, at last {_cause(status)}; it is not '
                      'restarted, see its last output', file=sys.stderr, flush=True)
                return _shell_status(status)
            print(f'{child.process.name} died {_cause(status)} and restarts in {wait} s',
                  file=sys.stderr, flush=True)
            child.popen, child.due = None, time.monotonic() + wait
        return None

    def stop(self) -> None:
        """Interrupt every process; after KILL_TIMEOUT kill those that still run."""
        running = [child for child in self._children
                   if child.popen is not None and child.popen.poll() is None]
        for child in running:
            child.popen.send_signal(signal.SIGINT)
        last, remaining = time.monotonic(), KILL_TIMEOUT
        while remaining > 0.0 and any(child.popen.poll() is None for child in running):
            time.sleep(EXIT_POLL_PERIOD)
            now = time.monotonic()
            remaining -= min(now - last, POLL_PERIOD)  # a stall of the machine does not count
            last = now
        for child in running:
            if child.popen.poll() is None:
                print(f'{child.process.name} did not end within {KILL_TIMEOUT} s and is killed',
                      file=sys.stderr, flush=True)
                child.popen.kill()
                child.popen.wait()

    def _start(self, child: '_Child') -> None:
        output = None
        if self._logs is not None and not child.process.ends_graph:
            with suppress(OSError):  # without a log the process runs all the same
                output = (self._logs / f'{child.process.name}.log').open('ab')
        try:
            child.popen = subprocess.Popen(
                command_line(child.process), env=self._environment, start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGTERM), stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None)
        finally:
            if output is not None:
                output.close()
        child.began = time.monotonic()


class _Child:
    """One process, running or waiting for its restart."""

    def __init__(self, process: NodeProcess, restarts: Restarts) -> None:
        self.process = process
        self.restarts = restarts
        self.popen: subprocess.Popen[bytes] | None = None
        self.began = self.due = 0.0


def _cause(status: int) -> str:
    if status < 0:
        return f'by {signal.Signals(-status).name}'
    return f'with exit status {status}'


def _shell_status(status: int) -> int:
    """Return the exit status as a shell reports it: 128 + number for a signal."""
    return 128 - status if status < 0 else status


def _yaml(value: Parameter) -> str:
    """Return `value` as the YAML that rcl's parameter parser reads with the same type."""
    return json.dumps(value)
