# SPDX-License-Identifier: Apache-2.0
"""Graph arguments: NAME:=VALUE on the command line, with their validation."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
import math
import re

from rl_control.common.errors import InvalidInput
from rl_control.config.simulators import AUTO, ENGINES, SIMULATORS
from rl_control.learning.algorithms import ALGORITHMS


@dataclass(frozen=True)
class Argument:
    """One argument of a graph, as `NAME:=VALUE` on the command line."""

    name: str
    default: str
    doc: str


CONTROLLERS = ('trajectory', 'forward_position', 'forward_velocity')
SOURCES = ('computed', 'topic')  # of rewards and successes
ROBOT = Argument(
    'robot', 'iiwa', 'name in config/robots, path of such a file, or '
    'gymnasium:ID?NAME=VALUE&NAME=VALUE, the ID perhaps with its module, MODULE:ID')
TASK = Argument('task', 'reach', 'name in config/tasks, or path of such a file')
RANDOMIZATION = Argument(
    'randomization', '', 'name in config/randomization, or path of such a file, for '
    'simulated arms; empty: none')
SIMULATOR = Argument(
    'simulator', AUTO, f'physics engine, one of {", ".join(SIMULATORS)}; auto: the first that is '
    'installed')
OUT = Argument('out', 'runs/latest', 'directory of all files of the run')
SEED = Argument('seed', '0', 'seed of weights, goals and exploration')
ARM = Argument('robot', 'iiwa', 'name in config/robots, or path of such a file')
ALGORITHM = Argument('algorithm', 'sac', f'one of {", ".join(ALGORITHMS)}')
CONTROLLER = Argument(
    'controller', 'trajectory', f'controller of the arm: one of {", ".join(CONTROLLERS)}; '
    'forward ones through the command gate')
ARM_TOPICS = (
    Argument('joint_states', 'joint_states', 'topic of the measured joints'),
    Argument('joint_trajectory', 'joint_trajectory', 'topic of the trajectory controller, such '
             'as joint_trajectory_controller/joint_trajectory'),
    Argument('forward_command', 'forward_command', 'topic of the forward controller, such as '
             'forward_position_controller/commands'),
)
RECORD = Argument(
    'record', 'false', 'true: record every topic, in recording/ of out, or in deployment/ beside '
    'the policy; or the directory of the bag')
SCENE = Argument(
    'scene', 'false', 'true: publish robot_description and markers, for RViz and Foxglove')
START = Argument(
    'start', '', 'directory of a training by rl-control offline, to continue with its policy, '
    'critics and data; empty: start from scratch')
PARAMETERS = Argument(
    'parameters', '', 'path of a parameter file for all nodes, read last; empty: none')
NAMESPACE = Argument('namespace', '', 'namespace of all nodes; empty: none')


def whole(arguments: Mapping[str, str], name: str, least: int, most: int) -> int:
    """Return an argument as a whole number from `least` to `most`."""
    text = arguments[name]
    if not (text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise InvalidInput(
            f'argument {name} is {text!r}; give a whole number from {least} to {most}'
        )
    return int(text)


def number(arguments: Mapping[str, str], name: str) -> float:
    """Return an argument as a number, 0 or more."""
    text = arguments[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise InvalidInput(f'argument {name} is {text!r}; give a number, 0 or more')
    return value


def truth(arguments: Mapping[str, str], name: str) -> bool:
    """Return an argument as a bool."""
    text = arguments[name].lower()
    if text not in ('true', 'false'):
        raise InvalidInput(f'argument {name} is {arguments[name]!r}; give true or false')
    return text == 'true'


def simulation(arguments: Mapping[str, str]) -> str:
    """Return the physics engine that argument `simulate` asks for, '' for a real arm."""
    text = arguments['simulate']
    if text in ENGINES:
        return text
    if text.lower() not in ('true', 'false'):
        raise InvalidInput(
            f'argument simulate is {text!r}; give true or false, or an engine: '
            f'{", ".join(ENGINES)}'
        )
    return AUTO if text.lower() == 'true' else ''


def namespace(arguments: Mapping[str, str]) -> str:
    """Return the argument `namespace` without leading and trailing slashes."""
    text = arguments['namespace'].strip('/')
    if text and not re.fullmatch(r'[A-Za-z_]\w*(/[A-Za-z_]\w*)*', text, re.ASCII):
        raise InvalidInput(
            f'argument namespace is {arguments["namespace"]!r}; give words of letters, '
            'digits and _ between slashes'
        )
    return text


def choice(arguments: Mapping[str, str], name: str, known: Collection[str]) -> str:
    """Return an argument; raise InvalidInput if it is none of the `known`."""
    text = arguments[name]
    if text not in known:
        raise InvalidInput(f'{name} {text!r} is not known; known are {", ".join(known)}')
    return text
