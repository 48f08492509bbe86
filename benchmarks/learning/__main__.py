# SPDX-License-Identifier: Apache-2.0
"""
Learning curves beside Stable-Baselines3: run missing trainings, plot and print the results.

Finished runs are kept, so that the same command resumes; another one may run at the same time with
other cells. Needs `make bench-env` for the peer.

Usage: .venv-bench/bin/python -m benchmarks.learning [--cells pendulum reach] [--jobs 2]
"""

import argparse
from dataclasses import replace
from pathlib import Path
import sys
import time

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
import yaml

from benchmarks.learning.cells import CELLS, OURS, PEER, Run, with_settings
from benchmarks.learning.report import draw, runs_of, table
from benchmarks.learning.results import Result, load, save
from benchmarks.learning.running import train_all
from benchmarks.parts.page import replace_part

LIBRARIES = {'ours': OURS, 'peer': PEER}


def main() -> None:
    """Run missing trainings; print tables and plot curves."""
    options = _options()
    cells = [CELLS[name] for name in options.cells]
    if options.steps:
        cells = [replace(cell, steps=options.steps, interval=max(1, options.steps // 4),
                         episodes=1, final_episodes=2) for cell in cells]
    cells = [with_settings(cell, options.set) for cell in cells]
    seeds = {cell.name: range(options.first_seed, options.first_seed + (
        options.seeds or cell.seeds)) for cell in cells}
    done = load(options.results)
    missing = [
        run for cell in cells
        for run in runs_of(cell, [LIBRARIES[name] for name in options.libraries],
                           options.algorithms, seeds[cell.name])
        if run.key not in done]
    if missing and not options.draw:
        _train(missing, options.jobs, options.results, done)
    draw(options.picture, cells, done, seeds)
    text = table(cells, done, seeds)
    print(f'\n{text}')
    if options.page:
        replace_part(options.page, 'learning', text)


def _train(
    runs: list[Run], jobs: int, directory: Path, done: dict[tuple, Result]
) -> None:
    """Train all runs; save their results and add them to `done`."""
    with Progress(TextColumn('{task.description}'), BarColumn(), TextColumn(
            '{task.percentage:.0f} %'), TimeRemainingColumn()) as progress:
        whole = progress.add_task(f'{len(runs)} runs', total=sum(run.cell.steps for run in runs))
        bars: dict[tuple, TaskID] = {}
        known = dict.fromkeys((run.key for run in runs), 0)

        def report(run: Run, step: int) -> None:
            if run.key not in bars:
                bars[run.key] = progress.add_task(run.name, total=run.cell.steps)
            progress.update(bars[run.key], completed=step)
            progress.advance(whole, step - known[run.key])
            known[run.key] = step

        for run, result in train_all(runs, jobs, report):
            save(directory, run, result)
            done[run.key] = result
            report(run, run.cell.steps)
            progress.remove_task(bars.pop(run.key))
            progress.console.print(
                f'{time.strftime("%H:%M:%S")} {run.name}: return {result.returns[-1]:.1f}, '
                f'success {result.successes[-1]:.2f}, {result.seconds:.0f} s', highlight=False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.learning', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cells', nargs='+', choices=CELLS, default=list(CELLS))
    parser.add_argument('--libraries', nargs='+', choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument('--algorithms', nargs='+', help='labels of entries; all without it')
    parser.add_argument('--seeds', type=int, help="number of seeds; default: the cell's")
    parser.add_argument('--first-seed', type=int, default=0, help='100 and more are for tuning')
    parser.add_argument('--jobs', type=int, default=1, help='runs side by side')
    parser.add_argument('--steps', type=int, help='another budget, for a short trial')
    parser.add_argument('--set', nargs='+', type=_setting, default=[], metavar='NAME=VALUE',
                        help='settings over those of every entry')
    parser.add_argument('--draw', action='store_true', help='run nothing; plot finished runs')
    parser.add_argument('--results', type=Path, default=Path('benchmarks/results/learning'))
    parser.add_argument('--picture', type=Path, default=Path('docs/images/learning_beside.png'))
    parser.add_argument('--page', type=Path, help='write the tables into this page')
    options = parser.parse_args()
    options.set = dict(options.set)
    return options


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition('=')
    return name, yaml.safe_load(value)


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        print('interrupted; the same command resumes', file=sys.stderr)
        sys.exit(130)
