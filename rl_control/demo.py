# SPDX-License-Identifier: Apache-2.0
"""Train, collect the figures, deploy, report: what `make demo` does after installation."""

from pathlib import Path
from typing import Any

from rl_control.environments.make import GYMNASIUM
from rl_control.errors import Refused
from rl_control.graphs import graph
from rl_control.running import graph_environment, run_graph
from rl_control.signals import INTERRUPTED
from rl_control.started import leave_started


def run_demo(
    out: Path, *, robot: str, task: str, algorithm: str, collectors: int, seed: int,
    time_limit: float, goals: int,
) -> dict[str, Any] | None:
    """Return the report, which also lies in `out`, or None when the user interrupted."""
    environment = graph_environment()
    given = {
        'robot': robot, 'task': task, 'algorithm': algorithm, 'collectors': str(collectors),
        'out': str(out), 'seed': str(seed), 'time_limit': str(time_limit),
    }
    processes = graph('train_sim').processes(given)
    leave_started('train_sim', given, processes)
    status = run_graph(processes, environment, out / 'logs')
    if status == INTERRUPTED:
        return None
    if not (out / 'training.json').is_file():
        raise Refused(f'training ended with status {status}; see {out / "logs"}')
    if not (out / 'best.onnx').is_file():
        raise Refused('no version was evaluated in time; give --time-limit more of it')
    from rl_control.report.run import make, settle  # matplotlib: a second

    settle(out)
    if goals and not robot.startswith(GYMNASIUM):
        print(f'deploying: {goals} goals over topics, in real time', flush=True)
        status = run_graph(graph('deploy').processes({
            'policy': str(out / 'policy.onnx'), 'robot': robot, 'task': task,
            'goals': str(goals),
            'seed': str(1000 + seed), 'out': str(out / 'deploy.json'),
        }), environment, out / 'logs')
        if status == INTERRUPTED:
            return None
        if not (out / 'deploy.json').is_file():
            raise Refused(f'deployment ended with status {status}; see {out / "logs"}')
    return make(out)
