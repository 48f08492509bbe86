# SPDX-License-Identifier: Apache-2.0
"""`rl-control`: the graphs and the tools, for a machine with or without `ros2`."""

import argparse
import importlib
import json
import sys
from typing import Any

from rl_control import __version__
from rl_control.errors import Refused

COMMANDS = ('demo', 'launch', 'evaluate', 'inspect', 'export', 'doctor')


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, 1 where it found something wrong, 2 for bad input."""
    parser = argparse.ArgumentParser(prog='rl-control', description=__doc__)
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for name in COMMANDS:
        module = importlib.import_module(f'rl_control.cli.{name}')
        about = (module.__doc__ or '').strip()
        command = commands.add_parser(
            name, help=about.splitlines()[0], description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        module.configure(command)
        command.set_defaults(run=module.run)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except Refused as refused:
        print(f'rl-control: {refused}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def tell(facts: dict[str, Any], as_json: bool) -> None:
    """Print facts as JSON, or one a line."""
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        print(f'{name}: {value}')
