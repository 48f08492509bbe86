# SPDX-License-Identifier: Apache-2.0
"""The whole loop: train an arm to reach over ROS 2 topics, then run the policy through ONNX."""

import argparse
from datetime import datetime
from pathlib import Path
import shutil
import sys

from rl_control.demo import run_demo
from rl_control.errors import Refused


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('--robot', default='iiwa', help='name or path; default iiwa')
    parser.add_argument('--task', default='reach', help='name or path; default reach')
    parser.add_argument('--algorithm', default='sac', help='default sac')
    parser.add_argument('--collectors', type=int, default=2, help='default 2')
    parser.add_argument('--seed', type=int, default=0, help='default 0')
    parser.add_argument(
        '--time-limit', type=float, default=600.0, help='longest training in s; default 600')
    parser.add_argument('--goals', type=int, default=40, help='goals over topics; default 40')
    parser.add_argument('--out', type=Path, help='default runs/<stamp>')


def run(options: argparse.Namespace) -> int:
    """Run the demo; 0 when a version was confirmed, 1 when time was up before."""
    out = options.out or Path('runs') / datetime.now().strftime('%Y-%m-%d_%H-%M-%S')
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise Refused(f'{out} is not an empty directory; give --out a new one')
    print(f'everything goes to {out}', flush=True)
    report = run_demo(
        out, robot=options.robot, task=options.task, algorithm=options.algorithm,
        collectors=options.collectors, seed=options.seed, time_limit=options.time_limit,
        goals=options.goals)
    if report is None:
        return 130
    width = shutil.get_terminal_size().columns
    print('-' * min(width, 72))
    for name in sorted(path.name for path in out.iterdir()):
        print(f'  {out / name}')
    if not report['confirmed']:
        print('no version was confirmed in time', file=sys.stderr)
    return 0 if report['confirmed'] else 1
