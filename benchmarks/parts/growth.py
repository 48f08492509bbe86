# SPDX-License-Identifier: Apache-2.0
"""
Growth of cost: updates by width and batch, actions by width, transitions by collectors.

`draw` plots the comparisons of `measure`: one panel each, both axes logarithmic.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Scale, compare
from benchmarks.parts.fixtures import contract, per_call
from benchmarks.parts.inference import by_width
from benchmarks.parts.learner import FLOOR, PLAIN, by_turns
from benchmarks.parts.transport import journaled_rate
from rl_control.common.types import Contract

WIDTHS, BATCHES = (64, 128, 256, 512, 1024), (64, 256, 1024, 4096)
ROWS, COLLECTORS = (1, 4, 16, 64, 256, 1024), (1, 2, 4, 8, 16)


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield one comparison per dimension; the names of contenders end with the size."""
    few = Scale(min(scale.rounds, 3), scale.quick)
    if not scale.quick:
        yield _updates('width of two hidden layers, batch 256', 'width', few)
        yield _updates('batch, 256 x 256', 'batch', few)
    yield by_width(WIDTHS[:scale.size(len(WIDTHS), 1)], few)
    yield compare(
        'transitions through encoding, CDR and decoding, by rows of a message', 'transitions/s', [
            Contender(f'{OURS} {rows}', partial(_coded, contract(), rows, scale.size(50, 1)))
            for rows in ROWS], few.rounds, more=True)
    if not scale.quick:
        yield compare(
            'transitions journaled and acknowledged, by collectors', 'transitions/s', [
                Contender(f'{OURS} {number}', lambda number=number: partial(
                    journaled_rate, number, 3.0)) for number in COLLECTORS], 1, more=True)


def _updates(what: str, grows: str, scale: Scale) -> Comparison:
    sizes = WIDTHS if grows == 'width' else BATCHES
    return by_turns(f'updates of SAC on one thread, by {what}', scale, (), {
        f'{who} {size}': (kind, 'sac', *((size, 256) if grows == 'width' else (256, size)), 1)
        for who, kind in ((PLAIN, 'plain'), (FLOOR, 'floor')) for size in sizes})


def _coded(made: Contract, rows: int, calls: int) -> Callable[[], Figures]:
    """Return a function that times a message of `rows` transitions, from rows to rows."""
    from rclpy.serialization import deserialize_message, serialize_message

    from rl_control.ros import codec

    columns = codec.transition_columns(made)
    values = np.zeros((rows, len(columns)))
    header = codec.Origin('bench', 'bench', made.hash, 0).to_header()

    def once() -> None:
        data = serialize_message(codec.encode_table(codec.Table(columns, values, header)))
        codec.decode_table(deserialize_message(data, codec.Transitions))

    once()  # the first call loads the serializers
    return lambda: {'rate': rows / per_call(once, calls, 1.0)}


def draw(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Draw medians over sizes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0 * len(comparisons), 3.2), layout='constrained')
    for axes, found in zip(figure.subplots(1, len(comparisons), squeeze=False)[0], comparisons,
                           strict=True):
        curves: dict[str, list[tuple[int, float]]] = {}
        for name, figures in found.values.items():
            who, _, size = name.rpartition(' ')
            first = next(iter(figures))
            curves.setdefault(who, []).append((int(size), found.median(name, first)))
        for who, points in curves.items():
            axes.loglog(*zip(*points, strict=True), 'o-', label=who)
        sizes = [size for size, _ in next(iter(curves.values()))]
        axes.set(title=found.what.replace(', ', ',\n', 1), ylabel=found.unit, xticks=sizes,
                 xticklabels=sizes)
        low, high = axes.get_ylim()
        axes.set_ylim(low / 3.0, 3.0 * high)  # so that a labelled power of ten is visible
        axes.title.set_size('small')
        axes.minorticks_off()
        axes.legend(fontsize='small')
    figure.savefig(path, dpi=110)
