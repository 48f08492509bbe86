# SPDX-License-Identifier: Apache-2.0
"""Start a graph's processes on a machine without `ros2 launch`, and end every one of them."""

from collections.abc import Callable, Iterable, Mapping
import ctypes
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

from rl_control.graph import NodeProcess, Parameter

PATIENCE = 3.0  # s from the first signal until what still runs is killed
PR_SET_PDEATHSIG = 1  # prctl(2)


def command_line(process: NodeProcess) -> list[str]:
    """Return the command that starts one node, in `ros2 run`'s own syntax."""
    line = [sys.executable, '-m', f'rl_control.nodes.{process.executable}', '--ros-args',
            '-r', f'__node:={process.name}']
    for path in process.parameter_files:
        line += ['--params-file', str(path)]
    for name, value in process.parameters.items():
        line += ['-p', f'{name}:={_yaml(value)}']
    return line


class Supervisor:
    """
    The running processes of one graph.

    Each is a session of its own, so that Ctrl-C reaches them once, through here; and each is
    ended by the kernel should this process be killed.
    """

    def __init__(
        self, processes: Iterable[NodeProcess], environment: Mapping[str, str] | None = None,
        logs: Path | None = None,
    ) -> None:
        self._running: list[tuple[NodeProcess, subprocess.Popen[bytes]]] = []
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
        try:
            for process in processes:
                output = None
                if logs is not None and not process.ends_graph:
                    output = (logs / f'{process.name}.log').open('ab')
                self._running.append((process, subprocess.Popen(
                    command_line(process), env=environment, start_new_session=True,
                    preexec_fn=_end_with_parent, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT if output else None)))
        except BaseException:
            self.stop()
            raise

    def wait(self, stopped: Callable[[], bool]) -> int:
        """
        Wait until a process that ends the graph exits, any fails, or `stopped` says so.

        Then stop the rest and return the exit status of the one that decided, 0 when told.
        """
        status = 0
        while not stopped():
            ended = [(process, child) for process, child in self._running
                     if child.poll() is not None]
            deciding = [child.returncode for process, child in ended
                        if process.ends_graph or child.returncode != 0]
            if deciding:
                status = deciding[0]
                break
            time.sleep(0.05)
        self.stop()
        return status

    def stop(self) -> None:
        """Interrupt every process, and after PATIENCE kill what still runs."""
        for _, child in self._running:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        for process, child in self._running:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f'{process.name} did not end within {PATIENCE} s and is killed',
                      file=sys.stderr)
                child.kill()
                child.wait()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _yaml(value: Parameter) -> str:
    """Return `value` as the YAML that rcl's parameter parser reads with the same type."""
    return json.dumps(value)

