# SPDX-License-Identifier: Apache-2.0
"""How punctual a deployment was: the quantiles that the policy node told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt

QUANTITIES = ('period', 'lateness', 'duration', 'latency')
QUANTILES = {'p50': 'half', 'p99': '99 %', 'p999': '99.9 %', 'max': 'all'}
LEAST = 1e-3  # ms, the left end of the axis


def draw_timing(figures: Mapping[str, Any], path: Path) -> None:
    """Draw, of each quantity, within how many ms which share of the ticks was."""
    figure, axes = plt.subplots(figsize=(7.0, 2.8), layout='constrained')
    for row, quantity in enumerate(QUANTITIES):
        known = {words: figures[f'{quantity}_{name}_ms'] for name, words in QUANTILES.items()
                 if f'{quantity}_{name}_ms' in figures}
        at = [max(LEAST, value) for value in known.values()]
        axes.plot(at, [row] * len(at), marker='|', markersize=14)
        for place, words in zip(at, known, strict=True):
            axes.annotate(words, (place, row), (0, 9), textcoords='offset points', fontsize=7,
                          ha='center')
    axes.set_xscale('log')
    axes.set_yticks(range(len(QUANTITIES)), QUANTITIES)
    axes.set_ylim(-0.5, len(QUANTITIES) - 0.3)
    axes.set_xlabel('ms')
    axes.grid(alpha=0.3, axis='x')
    figure.savefig(path, dpi=110)
    plt.close(figure)
