# SPDX-License-Identifier: Apache-2.0
"""Show the running graph in the terminal: nodes, rates, ages, versions, losses, success."""

import argparse
import os

from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.run_graph import run_graph
from rl_control.common.errors import InvalidInput


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('--namespace', default='', help='namespace of the graph; default: none')
    parser.add_argument(
        '--seconds', type=float, default=0.0, help='end after this time; default: Ctrl-C')


def run(options: argparse.Namespace) -> int:
    """Run the watcher until the time is up or Ctrl-C."""
    if options.seconds < 0.0:
        raise InvalidInput(f'--seconds is {options.seconds}; give 0 or more')
    os.environ.setdefault('ROS_DOMAIN_ID', '0')  # as ros2 does: the domain of other nodes
    return run_graph([NodeProcess(
        'watcher', 'watcher', (), {'watcher.time_limit': options.seconds}, ends_graph=True,
        namespace=options.namespace.strip('/'))])
