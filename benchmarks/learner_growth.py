# SPDX-License-Identifier: Apache-2.0
"""
Updates/s of SAC by width and by batch, beside the arithmetic alone, as figures and a picture.

`python benchmarks/learner_growth.py [--rounds 3] [--picture docs/images/learner_growth.png]`
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from rl_control.bench.comparison import OURS, Comparison, Scale
from rl_control.bench.learner import BATCHES, FLOOR, PLAIN, WIDTHS, growth

SIZES = {'width': WIDTHS, 'batch': BATCHES}
LABELS = {'width': 'width of both hidden layers, batch 256', 'batch': 'batch, layers 256 wide'}


def rates(found: Comparison, who: str) -> list[float]:
    """Return the medians of one contender, in the order of the sizes."""
    return [found.median(name, 'rate') for name in found.values if name.startswith(f'{who} ')]


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--picture', type=Path, default=Path('docs/images/learner_growth.png'))
    options = parser.parse_args()
    figure = Figure(figsize=(8.0, 3.2), layout='constrained')
    for axes, found, (what, sizes) in zip(
            figure.subplots(1, 2), growth(Scale(options.rounds)), SIZES.items(), strict=True):
        print('\n'.join(found.lines()), flush=True)
        for who, label in ((PLAIN, f'{OURS}, plain'), (FLOOR, 'products alone')):
            axes.loglog(sizes, rates(found, who), 'o-', label=label)
        axes.set(xlabel=LABELS[what], ylabel='updates/s', xticks=sizes, xticklabels=sizes)
        axes.minorticks_off()
        axes.legend()
    figure.savefig(options.picture, dpi=120)


if __name__ == '__main__':
    main()
