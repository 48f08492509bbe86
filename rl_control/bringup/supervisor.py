# SPDX-License-Identifier: Apache-2.0
"""Start a graph's processes on a machine without `ros2 launch`, and end every one of them."""


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

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # s; each wait is twice the one before
STABLE = 30.0  # s alive after which a death is a new one
LIMIT = 8  # deaths in a row, each before STABLE, that are too many


class Restarts:
    """Counts the deaths of one process."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.deaths = 0  # in a row

    def wait(self, alive: float, unavailable: bool = False) -> float | None:
        """
        Return how many s to wait after a death `alive` s after the start, None for ever.

        A start that finds something `unavailable` is no death; the first one should have had it.
        """
        if unavailable:
            return LONGEST_WAIT if self.deaths else None
        self.deaths = 1 if alive >= STABLE else self.deaths + 1
        if self.deaths > self.limit:
            return None
        return min(FIRST_WAIT * 2.0 ** (self.deaths - 1), LONGEST_WAIT)


KILL_TIMEOUT = (
    2.7  # s from the first signal until what still runs is killed: 3 s with all the rest
)
POLL_PERIOD = 0.05  # s between looks
EXIT_POLL_PERIOD = 0.01  # s between looks for the end


def command_line(process: NodeProcess) -> list[str]:
    """Return the command that starts one node, in `ros2 run`'s own syntax."""
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

    Each is a session of its own, so that Ctrl-C reaches them once, through here; and each is
    ended by the kernel should this process be killed. One that is to `respawn` and dies is
    started again, after waits that grow; `deaths_limit` of them in a row end the graph. Bad
    input ends it at once: starting again changes nothing. What is not to be had ends it at a
    process's first start, and is waited for at a later one.
    """

    def __init__(
        self, processes: Iterable[NodeProcess], environment: Mapping[str, str] | None = None,
        logs: Path | None = None, deaths_limit: int = LIMIT,
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
        """Return the process id of each node that runs."""
        return {child.process.name: child.popen.pid for child in self._children
                if child.popen is not None and child.popen.poll() is None}

    def wait(self, stopped: Callable[[], bool]) -> int:
        """
        Wait until a process that ends the graph exits, one fails for good, or `stopped` says so.

        Then stop the rest and return the exit status of the one that decided, 0 when told.
        """
        status = None
        while status is None and not stopped():
            status = self.look()
            time.sleep(POLL_PERIOD)
        self.stop()
        return status or 0

    def look(self) -> int | None:
        """Start again what died and is due; return the exit status that ends the graph, if any."""
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
                      f'{STABLE:.0f} s of its start, at last {_cause(status)}; it is given up, '
                      'see what it said last', file=sys.stderr, flush=True)
                return _shell_status(status)
            print(f'{child.process.name} died {_cause(status)} and is started again in {wait} s',
                  file=sys.stderr, flush=True)
            child.popen, child.due = None, time.monotonic() + wait
        return None

    def stop(self) -> None:
        """Interrupt every process, and after KILL_TIMEOUT kill what still runs."""
        running = [child for child in self._children
                   if child.popen is not None and child.popen.poll() is None]
        for child in running:
            child.popen.send_signal(signal.SIGINT)
        last, patience = time.monotonic(), KILL_TIMEOUT
        while patience > 0.0 and any(child.popen.poll() is None for child in running):
            time.sleep(EXIT_POLL_PERIOD)
            now = time.monotonic()
            patience -= min(
                now - last, POLL_PERIOD
            )  # a machine that stands still is nobody's fault
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
            with suppress(OSError):  # a log that cannot be written stops nobody
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
    """One process, or the wait for its next start."""

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
    """Return what a shell would say: 128 and more for a signal."""
    return 128 - status if status < 0 else status


def _yaml(value: Parameter) -> str:
    """Return `value` as the YAML that rcl's parameter parser reads with the same type."""
    return json.dumps(value)
