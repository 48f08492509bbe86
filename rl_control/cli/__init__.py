# SPDX-License-Identifier: Apache-2.0
"""Train, deploy and inspect policies of robot arms, with or without the command `ros2`."""

import argparse
import importlib
import json
import sys
from typing import Any

from rl_control import __version__
from rl_control.common.errors import InvalidInput

COMMANDS = {
    'demo': 'train an arm over ROS 2 topics, then deploy the policy in simulation',
    'launch': 'start a node graph',
    'offline': 'train from a bag or a dataset, without a robot',
    'evaluate': 'evaluate a policy in simulation',
    'watch': 'show the running graph in the terminal',
    'play': 'show a policy in simulation, in a window or as a GIF',
    'plot': 'plot learning curves of several trainings',
    'report': 'write the report of a finished training',
    'inspect': "print a policy's contract",
    'check': 'validate a policy against a robot configuration',
    'export': "export a checkpoint's policy to ONNX",
    'bag': 'inspect rosbags, convert them to datasets, replay transitions',
    'parameters': 'print all parameters with type, default, range and meaning',
    'doctor': 'check the installation; delete stale files and shared memory of dead processes',
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, 1 for a problem found, 2 for invalid input, 130 for Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog='rl-control', description=__doc__)
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about)
        if name in given[:1]:  # other commands may need missing packages
            module = importlib.import_module(f'rl_control.cli.{name}')
            command.description = module.__doc__
            module.configure(command)
            command.set_defaults(run=module.run)
    chosen = parser.parse_args(given)
    try:
        return chosen.run(chosen)
    except InvalidInput as error:
        print(f'rl-control: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def print_facts(facts: dict[str, Any], as_json: bool) -> None:
    """Print `facts` as JSON, or one per line, '-' for what is unknown."""
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        print(f'{name}: {"-" if value is None else value}')
