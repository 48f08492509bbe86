# SPDX-License-Identifier: Apache-2.0
"""Print every parameter with its type, default, range and meaning, in Markdown."""

import argparse
from collections.abc import Mapping

from rl_control.bringup.graphs import GRAPHS
from rl_control.config.reference import reference
from rl_control.learning.algorithms import ALGORITHMS, settings_of

BEGINNING = '''# Commands and graphs

Made by `rl-control parameters --commands`; a test compares.

## Commands

`rl-control COMMAND --help` says what each takes. They end with 0 when it went well, 1 when
something is wrong, 2 for bad input, 130 after Ctrl-C, and `launch` with the status of the process
that ended it.
'''
GRAPHS_BEGIN = '''## Graphs

`rl-control launch NAME ARGUMENT:=VALUE ...`, and where ROS 2 is installed the same by `ros2 launch
rl_control NAME.launch.py ARGUMENT:=VALUE ...`. `--show-args` says what is below.
'''


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        '--commands', action='store_true',
        help='print the commands, and the graphs with their arguments, instead')


def run(options: argparse.Namespace) -> int:
    """Print the document."""
    if options.commands:
        from rl_control.cli import COMMANDS  # which imports the commands

        print(commands_page(COMMANDS), end='')
    else:
        print(reference({name: settings_of(name) for name in ALGORITHMS}), end='')
    return 0


def commands_page(commands: Mapping[str, str]) -> str:
    """Return the page of `commands`, each with what it does, and of all graphs."""
    parts = [BEGINNING, _table(('command', 'what it does'), commands), GRAPHS_BEGIN]
    for name, graph in GRAPHS.items():
        parts += [f'### {name}', graph.doc, _table(('argument', 'default', 'meaning'), {
            one.name: f'{f"`{one.default}`" if one.default else "empty"} | {one.doc}'
            for one in graph.arguments})]
    return '\n\n'.join(part.strip() for part in parts) + '\n'


def _table(head: tuple[str, ...], rows: Mapping[str, str]) -> str:
    return '\n'.join([
        f'| {" | ".join(head)} |', f'|{"---|" * len(head)}',
        *(f'| `{name}` | {rest} |' for name, rest in rows.items())])
