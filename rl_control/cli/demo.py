# SPDX-License-Identifier: Apache-2.0
"""Train an arm over ROS 2 topics, then deploy the confirmed policy in simulation."""

import argparse
from datetime import datetime
from pathlib import Path
import shutil
import sys
from typing import Any

from rl_control.bringup.graphs import graph
from rl_control.bringup.run_graph import graph_environment, run_graph
from rl_control.bringup.run_record import save_run_record
from rl_control.cli._simulator import add_simulator, announce
from rl_control.common.errors import InvalidInput
from rl_control.common.signals import INTERRUPTED
from rl_control.environments.make import GYMNASIUM_PREFIX
from rl_control.robots.engines import resolve


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('--robot', default='iiwa', help='name or path; default iiwa')
    parser.add_argument('--task', default='reach', help='name or path; default reach')
    parser.add_argument('--algorithm', default='sac', help='default sac')
    add_simulator(parser)
    parser.add_argument('--collectors', type=int, default=2, help='default 2')
    parser.add_argument('--seed', type=int, default=0, help='default 0')
    parser.add_argument(
        '--time-limit', type=float, default=600.0, help='longest training in s; default 600')
    parser.add_argument(
        '--goals', type=int, default=40, help='goals of the deployment; default 40')
    parser.add_argument('--out', type=Path, help='default runs/<stamp>')


def run(options: argparse.Namespace) -> int:
    """Run the demo; return 0 if a version was confirmed, 1 if the time was up before."""
    out = options.out or Path('runs') / datetime.now().strftime('%Y-%m-%d_%H-%M-%S')
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InvalidInput(f'{out} is not an empty directory; give --out a new one')
    print(f'everything goes to {out}', flush=True)
    simulator = options.simulator
    if not options.robot.startswith(GYMNASIUM_PREFIX):
        simulator = resolve(simulator)
        announce(simulator)
    report = run_demo(
        out, robot=options.robot, task=options.task, algorithm=options.algorithm,
        simulator=simulator, collectors=options.collectors, seed=options.seed,
        time_limit=options.time_limit, goals=options.goals)
    if report is None:
        return 130
    width = shutil.get_terminal_size().columns
    print('-' * min(width, 72))
    for name in sorted(path.name for path in out.iterdir()):
        print(f'  {out / name}')
    if not report['confirmed']:
        print('no version was confirmed in time', file=sys.stderr)
    return 0 if report['confirmed'] else 1


def run_demo(
    out: Path, *, robot: str, task: str, algorithm: str, simulator: str, collectors: int,
    seed: int, time_limit: float, goals: int,
) -> dict[str, Any] | None:
    """Train and deploy; return the report, also written to `out`; None after Ctrl-C."""
    environment = graph_environment()
    given = {
        'robot': robot, 'task': task, 'algorithm': algorithm, 'simulator': simulator,
        'collectors': str(collectors), 'out': str(out), 'seed': str(seed),
        'time_limit': str(time_limit),
    }
    processes = graph('train_sim').processes(given)
    save_run_record('train_sim', given, processes)
    status = run_graph(processes, environment, out / 'logs')
    if status == INTERRUPTED:
        return None
    if not (out / 'training.json').is_file():
        raise InvalidInput(f'training ended with status {status}; see {out / "logs"}')
    if not (out / 'best.onnx').is_file():
        raise InvalidInput('no version was evaluated in time; give --time-limit more of it')
    from rl_control.report.run import make, settle  # matplotlib: a second

    settle(out)
    if goals and not robot.startswith(GYMNASIUM_PREFIX):
        print(f'deploying: {goals} goals over topics, in real time', flush=True)
        status = run_graph(graph('deploy').processes({
            'policy': str(out / 'policy.onnx'), 'robot': robot, 'task': task,
            'simulate': simulator, 'goals': str(goals), 'seed': str(1000 + seed),
            'out': str(out / 'deploy.json'),
        }), environment, out / 'logs')
        if status == INTERRUPTED:
            return None
        if not (out / 'deploy.json').is_file():
            raise InvalidInput(f'deployment ended with status {status}; see {out / "logs"}')
    return make(out)
