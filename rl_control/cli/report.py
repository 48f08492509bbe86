# SPDX-License-Identifier: Apache-2.0
"""Make report.html of a training that has ended, and its pictures, in the training's directory."""

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        'directory', type=Path, metavar='RUN', help='directory of a training, its out')


def run(options: argparse.Namespace) -> int:
    """Make the page and say where it is."""
    from rl_control.report.run import make  # matplotlib: a second

    make(options.directory)
    print(options.directory / 'report.html')
    return 0
