# SPDX-License-Identifier: Apache-2.0
"""Learning curves of one or several runs from their files."""

from collections.abc import Mapping, Sequence
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

from matplotlib.figure import Figure
import matplotlib.pyplot as plt
import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.metrics_log import read_metrics
from rl_control.common.statistics import bootstrap_interval, interquartile_mean

AXIS_COLUMNS = {'transitions': 'transitions', 'updates': 'version', 'seconds': 'began'}


def evaluations_of(run: Path, over: str) -> list[dict[str, Any]]:
    """Return the finished evaluations of a run, with `at`, the value on the axis `over`."""
    path = run / 'training.json'
    if not path.is_file():
        raise InvalidInput(
            f'run {run} has no training.json yet, which the monitor writes after the '
            'first evaluation; wait for it, or give --metric NAME'
        )
    evaluations = json.loads(path.read_text(encoding='utf-8'))['evaluations']
    return [{**evaluation, 'at': evaluation[AXIS_COLUMNS[over]]} for evaluation in evaluations]


def metric_of(run: Path, metric: str, over: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Return a run's name, and one of its metrics (n,) over the axis `over` (n,)."""
    lines = read_metrics(run)
    known = sorted({name for line in lines for name in line} - {'time'})
    if metric not in known:
        raise InvalidInput(
            f'run {run} has no metric {metric!r}; it has {", ".join(known) or "none"}'
        )
    kept = [line for line in lines if line.get(metric) is not None]
    at = [line['time'] - lines[0]['time'] if over == 'seconds' else line[over] for line in kept]
    return run.name, np.array(at), np.array([line[metric] for line in kept])


def draw_evaluations(
    runs: Mapping[Path, Sequence[Mapping[str, Any]]], over: str, out: Path,
) -> None:
    """Draw success rate with its 95 % interval, and return, of each run."""
    figure = evaluation_figure({run.name: rows for run, rows in runs.items()}, over)
    _save(figure, figure.axes, out)


def evaluation_figure(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], over: str = 'transitions',
) -> Figure:
    """Return a figure of success rate with its 95 % interval, and return, of each run by name."""
    figure = Figure(figsize=(7.0, 5.5))
    above, below = figure.subplots(2, 1, sharex=True)
    for run, evaluations in runs.items():
        at = [evaluation.get('at', evaluation[AXIS_COLUMNS[over]]) for evaluation in evaluations]
        rate = np.array([one['success_rate'] for one in evaluations], dtype=float)
        known = ~np.isnan(rate)  # which an environment may leave open
        intervals = np.array([one['interval'] for one in evaluations]).reshape(-1, 2)
        above.fill_between(at, intervals[:, 0], intervals[:, 1], where=known, alpha=0.2, lw=0)
        above.plot(at, rate, marker='o', markersize=3)
        below.plot(at, [one['mean_return'] for one in evaluations], marker='o', markersize=3,
                   label=run)
    above.set_ylabel('success rate, with 95 % interval')
    above.set_ylim(-0.02, 1.02)
    below.set_ylabel('mean return')
    below.set_xlabel(over)
    if len(runs) > 1:
        below.legend()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    return figure


def interval_figure(
    settings: Mapping[str, tuple[np.ndarray, np.ndarray]], what: str,
) -> Figure:
    """
    Return a figure of interquartile means with 95 % bootstrap intervals over runs.

    `settings` maps a name to transitions (e,) and the scores (n, e) of its n runs.
    """
    figure = Figure(figsize=(7.0, 4.0))
    axes = figure.subplots()
    for name, (transitions, scores) in settings.items():
        low, high = bootstrap_interval(scores)
        axes.fill_between(transitions, low, high, alpha=0.2, lw=0)
        axes.plot(transitions, interquartile_mean(scores), marker='o', markersize=3,
                  label=f'{name} ({len(scores)} runs)'.strip())
    axes.set_xlabel('transitions')
    axes.set_ylabel(f'{what}: interquartile mean, 95 % interval')
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    return figure


def draw_metric(
    runs: Sequence[tuple[str, np.ndarray, np.ndarray]], metric: str, over: str, out: Path,
) -> None:
    """Draw one metric of each run."""
    figure, axes = plt.subplots(figsize=(7.0, 4.0))
    for name, at, values in runs:
        axes.plot(at, values, label=name)
    axes.set_xlabel(over)
    axes.set_ylabel(metric)
    axes.legend()
    _save(figure, (axes,), out)


def _save(figure: Any, every: Sequence[Any], out: Path) -> None:
    for axes in every:
        axes.grid(alpha=0.3)
    figure.tight_layout()
    try:
        figure.savefig(out, dpi=110)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f'image {out} cannot be written ({error}); give -o FILE.png'
        ) from error
    finally:
        plt.close(figure)


def metric_curves(curve: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the metrics of a training over its updates, one plot a name."""
    names = [name for name in dict.fromkeys(name for row in curve for name in row)
             if name not in ('time', 'updates')]
    figure, axes = plt.subplots(
        max(1, len(names)), 1, sharex=True, squeeze=False, figsize=(7.0, 1.0 + 1.6 * len(names)))
    for name, one in zip(names, axes[:, 0], strict=False):
        rows = [row for row in curve if name in row]
        one.plot([row['updates'] for row in rows], [row[name] for row in rows], lw=1.0)
        one.set_ylabel(name.replace('_', ' '))
        one.grid(alpha=0.3)
    axes[-1, 0].set_xlabel('updates')
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def value_intervals(estimates: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw estimates `value` with intervals from `low` to `high`, one below another."""
    figure, axes = plt.subplots(figsize=(7.0, 1.0 + 0.6 * len(estimates)))
    for place, estimate in enumerate(estimates.values()):
        axes.plot([estimate['low'], estimate['high']], [place, place], lw=3.0, alpha=0.4)
        axes.plot([estimate['value']], [place], marker='o', color='black')
    axes.set_yticks(range(len(estimates)), list(estimates))
    axes.set_ylim(-0.5, len(estimates) - 0.5)
    axes.set_xlabel('value by fitted Q evaluation, with 95 % interval')
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
