# SPDX-License-Identifier: Apache-2.0
"""
Run the demo with several seeds and print the figures of each and of all.

Resumable: a seed with a report.json is not run again.
Usage: python benchmarks/demo_seeds.py [--robot iiwa] [--seeds 5] [--out benchmarks/out/demo]
"""

import argparse
import json
from pathlib import Path
import shutil
import statistics
import subprocess
import sys
import time

from rl_control.common.statistics import wilson_interval


def run_seed(robot: str, seed: int, out: Path) -> dict:
    """Return the report of one demo, with the wall-clock seconds of the whole command."""
    report = out / 'report.json'
    if not report.is_file():
        shutil.rmtree(out, ignore_errors=True)
        began = time.monotonic()
        # Status 1, no version confirmed in time, is a result.
        status = subprocess.run([
            sys.executable, '-m', 'rl_control', 'demo', '--robot', robot, '--seed', str(seed),
            '--out', str(out)]).returncode
        if status not in (0, 1) or not report.is_file():
            sys.exit(f'demo of {robot} with seed {seed} ended with {status}')
        (out / 'wall.json').write_text(json.dumps(time.monotonic() - began))
    return json.loads(report.read_text()) | {
        'seed': seed, 'wall_seconds': json.loads((out / 'wall.json').read_text())}


def main() -> None:
    """Run what is missing and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--robot', default='iiwa')
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--out', type=Path, default=Path('benchmarks/out/demo'))
    options = parser.parse_args()
    reports = [
        run_seed(options.robot, seed, options.out / f'{options.robot}_{seed}')
        for seed in range(options.seeds)]
    print('\n| seed | confirmed | success of 100 | training s | whole demo s | transitions '
          '| updates | lost | parity | over topics | period p50 / p99 ms |')
    print('|---|---|---|---|---|---|---|---|---|---|---|')
    for r in reports:
        low, high = r['success_interval'] or (0.0, 1.0)
        rate = 'none' if r['success_rate'] is None else f'{r["success_rate"]:.2f}'
        deploy = r['deploy']
        print(f'| {r["seed"]} | {r["confirmed"]} | {rate} ({low:.2f} to {high:.2f}) '
              f'| {r["train_seconds"]:.0f} | {r["wall_seconds"]:.0f} | {r["transitions"]} '
              f'| {r["updates"]} | {r["transitions_lost"]} | {r["parity_max_abs_error"]:.1e} '
              f'| {deploy["successes"]} of {deploy["goals"]} '
              f'| {deploy["period_p50_ms"]:.1f} / {deploy["period_p99_ms"]:.1f} |')
    seconds = [report['train_seconds'] for report in reports]
    confirmed = [report for report in reports if report['confirmed']]
    successes = sum(round(100 * report['success_rate']) for report in confirmed)
    low, high = wilson_interval(successes, 100 * len(confirmed))
    reached = sum(report['deploy']['successes'] for report in reports)
    goals = sum(report['deploy']['goals'] for report in reports)
    deploy_low, deploy_high = wilson_interval(reached, goals)
    print(f'\n{len(confirmed)} of {len(reports)} confirmed; training {min(seconds):.0f} to '
          f'{max(seconds):.0f} s, median {statistics.median(seconds):.0f} s; success '
          f'{successes} of {100 * len(confirmed)} ({low:.3f} to {high:.3f}); over topics '
          f'{reached} of {goals} ({deploy_low:.3f} to {deploy_high:.3f})')


if __name__ == '__main__':
    main()
