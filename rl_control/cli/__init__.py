# SPDX-License-Identifier: Apache-2.0
"""`rl-control`: the graphs and the tools, for a machine with or without `ros2`."""

import argparse
import importlib
import json
import sys
from typing import Any

from rl_control import __version__
from rl_control.common.errors import InvalidInput

COMMANDS = {
    'demo': 'train an arm to reach over ROS 2 topics, then run the policy through ONNX',
    'launch': 'start a node graph',
    'offline': 'train from a bag or a dataset alone',
    'evaluate': 'evaluate a policy in simulation',
    'watch': 'show the live graph in the terminal',
    'play': 'watch a policy in simulation, in a window or as a GIF',
    'plot': 'compare trainings in one picture',
    'report': 'make the page of a training that has ended',
    'inspect': 'say what a policy file is',
    'check': 'say what an arm would refuse of a policy, before going to it',
    'export': "export a checkpoint's policy to ONNX",
    'bag': 'look into rosbags, and turn them into transitions to train from',
    'parameters': 'print every parameter with its meaning and range',
    'doctor': 'say what is installed, what is missing and how to get it',
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, 1 where something is wrong, 2 for bad input, 130 for Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog='rl-control', description=__doc__)
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about)
        if name in given[:1]:  # the others may need what is not installed
            module = importlib.import_module(f'rl_control.cli.{name}')
            command.description = module.__doc__
            module.configure(command)
            command.set_defaults(run=module.run)
    chosen = parser.parse_args(given)
    try:
        return chosen.run(chosen)
    except InvalidInput as refused:
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
