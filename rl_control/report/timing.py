# SPDX-License-Identifier: Apache-2.0
"""Timing plots of a deployment: histograms of jitter, lateness, duration and latency."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from rl_control.control.realtime_loop import BINS_PER_DECADE

matplotlib.use('Agg')

import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

QUANTITIES = {'jitter': 'jitter: deviation of the period from its median',
              'lateness': 'lateness: start of a tick after its due time',
              'duration': 'duration of a tick', 'latency': 'latency: joint state to command'}
QUANTILES = {'p50': ':', 'p99': '--', 'max': '-'}


def draw_timing(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the histogram of each quantity in ms, with its quantiles."""
    figure, grid = plt.subplots(2, 2, figsize=(9.0, 5.0), layout='constrained')
    for axes, (quantity, words) in zip(grid.flat, QUANTITIES.items(), strict=True):
        bins = [pair.split(':') for pair in figures.get(f'{quantity}_histogram', '').split()]
        edges = np.array([float(edge) for edge, _ in bins])
        widths = edges * (10.0 ** (1 / BINS_PER_DECADE) - 1.0)
        axes.bar(edges, [int(count) for _, count in bins], widths,
                 align='edge', log=True)
        for name, line in QUANTILES.items():
            if (value := figures.get(f'{quantity}_{name}_ms')) is not None:
                axes.axvline(max(value, edges.min(initial=value)), color='black', linestyle=line,
                             linewidth=1.0, label=f'{name} {value:.3g} ms')
        axes.set_xscale('log')
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(words, fontsize=10)
        axes.set_xlabel('ms')
        axes.set_ylabel('ticks')
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)
