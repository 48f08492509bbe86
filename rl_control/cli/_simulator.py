# SPDX-License-Identifier: Apache-2.0
"""Option --simulator of the commands that simulate an arm."""

import argparse
import sys

from rl_control.config.simulators import AUTO, SIMULATORS


def add_simulator(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        '--simulator', default=AUTO, choices=SIMULATORS,
        help='physics engine; default auto, the first that is installed')


def announce(engine: str) -> None:
    """Print the engine to standard error, which leaves standard output to the figures."""
    print(f'simulating in {engine}', file=sys.stderr, flush=True)
