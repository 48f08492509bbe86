# SPDX-License-Identifier: Apache-2.0
"""Subprocesses: measure in a separate process where one is needed."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

import rl_control
from rl_control.bringup.run_graph import graph_environment
from rl_control.common.signals import end_with_parent


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a contender's processes, with a ROS domain of its own."""
    root = str(Path(rl_control.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get('PYTHONPATH')])]
    return {**graph_environment(), 'PYTHONPATH': os.pathsep.join(paths), **more}


def start(module: str, *arguments: object, **more: str) -> subprocess.Popen:
    """Start `python -m module` with its arguments as JSON; it is killed with this process."""
    return subprocess.Popen(
        [sys.executable, '-m', module, json.dumps(arguments)], env=environment(**more),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=end_with_parent(signal.SIGKILL))


def run_module(module: str, *arguments: object, **more: str) -> Any:
    """Run `python -m module` to its end; return the last line of its output, parsed as JSON."""
    with start(module, *arguments, **more) as process:
        output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f'{module} {arguments} ended with status {process.returncode}')
    return json.loads(output.splitlines()[-1])


def processor_time(pid: int) -> float:
    """Return the processor time in s that a process has used so far."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf('SC_CLK_TCK')
