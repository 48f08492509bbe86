# SPDX-License-Identifier: Apache-2.0
"""Start a node graph, like `ros2 launch rl_control NAME.launch.py`."""

import argparse
import sys

from rl_control.bringup.graphs import GRAPHS, graph
from rl_control.bringup.run_graph import graph_environment, run_graph
from rl_control.bringup.run_record import save_run_record
from rl_control.common.errors import InvalidInput
from rl_control.common.signals import INTERRUPTED


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('name', help=f'one of {", ".join(GRAPHS)}')
    parser.add_argument('arguments', nargs='*', metavar='NAME:=VALUE')
    parser.add_argument('--show-args', action='store_true', help='print the arguments and exit')


def run(options: argparse.Namespace) -> int:
    """Run the graph until it ends or Ctrl-C."""
    chosen = graph(options.name)
    if options.show_args:
        print(chosen.doc)
        for argument in chosen.arguments:
            print(f"  {argument.name}:={argument.default or repr('')}\n      {argument.doc}")
        return 0
    given = parse(options.arguments)
    processes = chosen.processes(given)
    environment = graph_environment()
    print('to inspect it from another terminal: '
          f'export ROS_DOMAIN_ID={environment["ROS_DOMAIN_ID"]} '
          f'ROS_AUTOMATIC_DISCOVERY_RANGE={environment["ROS_AUTOMATIC_DISCOVERY_RANGE"]}',
          flush=True)
    save_run_record(options.name, given, processes)
    status = run_graph(processes, environment)
    if status not in (0, INTERRUPTED):
        print(f'rl-control: a process ended with {status}', file=sys.stderr)
    return status


def parse(arguments: list[str]) -> dict[str, str]:
    """Return NAME:=VALUE pairs; raise InvalidInput for anything else."""
    pairs = {}
    for argument in arguments:
        name, separator, value = argument.partition(':=')
        if not separator:
            raise InvalidInput(f'argument {argument!r} has no :=; write NAME:=VALUE')
        pairs[name] = value
    return pairs
