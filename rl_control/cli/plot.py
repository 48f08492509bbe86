# SPDX-License-Identifier: Apache-2.0
"""Plot learning curves of several runs: success rate and return, or any metric."""

import argparse
from pathlib import Path

from rl_control.common.errors import InvalidInput


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('runs', nargs='+', metavar='RUN', help='directory of a training')
    parser.add_argument('-o', '--out', default='runs.png', help='image file; default runs.png')
    parser.add_argument(
        '--metric', default='', help='a metric such as critic_loss; default: success and return')
    parser.add_argument(
        '--over', default='transitions', choices=('transitions', 'updates', 'seconds'),
        help='the horizontal axis; default transitions')


def run(options: argparse.Namespace) -> int:
    """Draw the plot and print its path."""
    from rl_control.report import curves  # matplotlib: a second

    runs = [Path(name) for name in options.runs]
    for path in runs:
        if not path.is_dir():
            raise InvalidInput(
                f'run {path} is no directory; give the directory (out) of a training'
            )
    if options.metric:
        read = [curves.metric_of(path, options.metric, options.over) for path in runs]
        curves.draw_metric(read, options.metric, options.over, Path(options.out))
    else:
        evaluations = {path: curves.evaluations_of(path, options.over) for path in runs}
        curves.draw_evaluations(evaluations, options.over, Path(options.out))
    print(options.out)
    return 0
