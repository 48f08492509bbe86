# SPDX-License-Identifier: Apache-2.0
"""Write report.html and its plots into the directory of a finished training."""

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        'directory', type=Path, metavar='RUN', help='directory of a training, its out')


def run(options: argparse.Namespace) -> int:
    """Write the report and print its path."""
    from rl_control.report.run import make  # matplotlib: a second

    make(options.directory)
    print(options.directory / 'report.html')
    return 0
