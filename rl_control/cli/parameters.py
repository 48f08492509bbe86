# SPDX-License-Identifier: Apache-2.0
"""Print every parameter with its type, default, range and meaning, in Markdown."""

import argparse

from rl_control.algorithms import ALGORITHMS, settings_of
from rl_control.config.reference import reference


def configure(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def run(options: argparse.Namespace) -> int:
    """Print the document."""
    print(reference({name: settings_of(name) for name in ALGORITHMS}), end='')
    return 0
