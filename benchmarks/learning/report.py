# SPDX-License-Identifier: Apache-2.0
"""Report: final scores as a Markdown table, and learning curves as a plot."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
import numpy as np

from benchmarks.learning.cells import OURS, PEER, Cell, Run
from benchmarks.learning.results import Result
from rl_control.common.statistics import bootstrap_interval, interquartile_mean

NAMES = {OURS: 'rl_control', PEER: 'Stable-Baselines3'}
WIDTH = 3  # panels side by side


def runs_of(
    cell: Cell, libraries: Iterable[str], labels: Iterable[str] | None, seeds: Iterable[int]
) -> list[Run]:
    """Return all runs of a cell, seed by seed."""
    return [
        Run(cell, library, label, seed) for seed in seeds for library in libraries
        for label, entry in cell.entries.items()
        if (labels is None or label in labels) and (library == OURS or entry.peer)]


def finished(
    cell: Cell, library: str, label: str, results: Mapping[tuple, Result], seeds: Iterable[int]
) -> list[Result]:
    """Return the finished results of one entry, by seed."""
    keys = (Run(cell, library, label, seed).key for seed in seeds)
    return [results[key] for key in keys if key in results]


def table(
    cells: Iterable[Cell], results: Mapping[tuple, Result], seeds: Mapping[str, Iterable[int]],
) -> str:
    """Return the final scores of cells in Markdown, a row for each entry; '' without results."""
    columns = [(library, what) for what in ('success', 'return') for library in (OURS, PEER)]
    head = ['environment', 'algorithm',
            *(f'{NAMES[library]}, {what}' for library, what in columns), 'seeds', 's a run']
    lines = [f'| {" | ".join(head)} |', '|' + '---|' * len(head)]
    for cell in cells:
        for label, entry in cell.entries.items():
            found = {library: finished(cell, library, label, results, seeds[cell.name])
                     for library in (OURS, PEER)}
            there = [runs for runs in found.values() if runs]
            if there:
                lines.append('| ' + ' | '.join([
                    f'{cell.title}, {cell.steps:,} steps', label,
                    *('' if what == 'success' != cell.score else
                      _score(found[library], what) if library == OURS or entry.peer else 'none'
                      for library, what in columns),
                    ' / '.join(str(len(runs)) for runs in there),
                    ' / '.join(f'{median(run.seconds for run in runs):.0f}' for runs in there),
                ]) + ' |')
    return '\n'.join(lines) if len(lines) > 2 else ''


def draw(path: Path, cells: Iterable[Cell], results: Mapping[tuple, Result],
         seeds: Mapping[str, Iterable[int]]) -> None:
    """Draw the learning curves of cells: interquartile mean and interval of each evaluation."""
    panels = [(cell, [
        (library, label, found) for label in cell.entries for library in (OURS, PEER)
        if (found := finished(cell, library, label, results, seeds[cell.name]))])
        for cell in cells]
    panels = [(cell, curves) for cell, curves in panels if curves]
    if not panels:
        return
    columns = min(WIDTH, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.0 * columns, 3.8 * rows), layout='constrained')
    for place, (cell, curves) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, place + 1)
        labels = list(cell.entries)
        for library, label, found in curves:
            scores = np.array([result.values(cell.score) for result in found])
            step = found[0].step
            color = f'C{labels.index(label)}'
            peer = library == PEER
            axes.plot(step, interquartile_mean(scores), '--' if peer else '-', color=color,
                      label=f'{label}{" (Stable-Baselines3)" if peer else ""}')
            axes.fill_between(
                step, *bootstrap_interval(scores), color=color, alpha=0.08 if peer else 0.18,
                linewidth=0.0)
        axes.set(title=cell.title, xlabel='environment steps', ylabel=cell.score)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def _score(found: list[Result], what: str) -> str:
    if not found:
        return 'not run'
    last = np.array([result.values(what)[-1] for result in found])
    digits = 2 if what == 'success' else 1
    mean = f'{interquartile_mean(last):.{digits}f}'
    if len(last) == 1:
        return mean
    low, high = bootstrap_interval(last)
    return f'{mean} ({low:.{digits}f} to {high:.{digits}f})'
