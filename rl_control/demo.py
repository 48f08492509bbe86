# SPDX-License-Identifier: Apache-2.0
"""Train, collect the figures, deploy, report: what `make demo` does after installation."""

from itertools import product
import json
from pathlib import Path
from typing import Any

import yaml

from rl_control.config.files import read_parameter_file
from rl_control.environments.make import GYMNASIUM
from rl_control.errors import Refused
from rl_control.files import write_json
from rl_control.graph import graph
from rl_control.policy import load
from rl_control.processes import NodeProcess
from rl_control.report.account import account
from rl_control.running import graph_environment, run_graph
from rl_control.signals import INTERRUPTED

PREFIXES = ('robot', 'task', 'algorithm')  # of what parameter files in config/ hold


def run_demo(
    out: Path, *, robot: str, task: str, algorithm: str, collectors: int, seed: int,
    time_limit: float, goals: int,
) -> dict[str, Any] | None:
    """Return the report, which also lies in `out`, or None when the user interrupted."""
    environment = graph_environment()
    processes = graph('train_sim').processes({
        'robot': robot, 'task': task, 'algorithm': algorithm, 'collectors': str(collectors),
        'out': str(out), 'seed': str(seed), 'time_limit': str(time_limit),
    })
    out.mkdir(parents=True, exist_ok=True)
    _write_parameters(processes, out / 'parameters.yaml')
    status = run_graph(processes, environment, out / 'logs')
    if status == INTERRUPTED:
        return None
    if not (out / 'training.json').is_file():
        raise Refused(f'training ended with status {status}; see {out / "logs"}')
    report = _training_figures(out)
    if not (out / 'best.onnx').is_file():
        raise Refused(f'no version was evaluated in {report["train_seconds"]:.0f} s; '
                      'give --time-limit more time')
    load(_chosen(out, report)).save(out / 'policy.onnx')
    from rl_control.report import training  # matplotlib: a second

    training.draw(out, robot, task, seed)
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
        report['deploy'] = json.loads((out / 'deploy.json').read_text())
    write_json(out / 'report.json', report)
    training.write(out, report, robot, task, algorithm, seed)
    return report


def _chosen(out: Path, report: dict[str, Any]) -> Path:
    """Return the version that was confirmed, else the best: luck may rank another higher."""
    confirmed = out / 'versions' / f'{report["version"]}.onnx'
    return confirmed if confirmed.is_file() else out / 'best.onnx'


def _write_parameters(processes: list[NodeProcess], path: Path) -> None:
    """Leave what each process was started with in one file of ROS 2 parameters."""
    merged: dict[str, Any] = {}
    for process in processes:
        values: dict[str, Any] = {}
        for source, prefix in product(process.parameter_files, PREFIXES):
            if found := read_parameter_file(source, prefix):
                values[prefix] = {**values.get(prefix, {}), **found}
        for name, value in process.parameters.items():
            prefix, _, key = name.partition('.')
            values[prefix] = {**values.get(prefix, {}), key: value}
        merged[f'/{process.name}'] = {'ros__parameters': values}
    path.write_text(yaml.safe_dump(merged, sort_keys=False))


def _training_figures(out: Path) -> dict[str, Any]:
    training = json.loads((out / 'training.json').read_text())
    learner = json.loads((out / 'learner.json').read_text())
    confirmation = training['confirmation']
    found = account(out)
    return {
        'confirmed': confirmation is not None,
        'confirmation_episodes': confirmation and confirmation['episodes'],
        'success_rate': confirmation and confirmation['success_rate'],
        'success_interval': confirmation and confirmation['interval'],
        'version': confirmation and confirmation['version'],
        'train_seconds': training['train_seconds'],
        'transitions': sum(run['received'] for run in learner['collectors'].values()),
        'updates': learner['updates'],
        'policy_versions': learner['policy_versions'],
        'transitions_lost': found.lost,
        'transitions_waiting': found.waiting,
        'parity_max_abs_error': learner['parity_max_abs_error'],
    }
