# SPDX-License-Identifier: Apache-2.0
"""
The node graphs: one description for `ros2 launch` and for `rl-control launch`.

A graph is a list of processes made from its arguments. Nothing here starts anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import math
from pathlib import Path

from rl_control.algorithms import ALGORITHMS
from rl_control.config.files import named
from rl_control.environments.make import GYMNASIUM
from rl_control.errors import Refused

Parameter = bool | int | float | str

COLLECTORS = 1000  # at most, so that no two of them draw from one seed


@dataclass(frozen=True)
class Argument:
    """One argument of a graph, as `NAME:=VALUE` on the command line."""

    name: str
    default: str
    doc: str


@dataclass(frozen=True)
class NodeProcess:
    """
    One process with one node.

    `parameter_files` come before `parameters`; when a process that `ends_graph` exits, the others
    are stopped. One that may `respawn` is started again when it dies.
    """

    executable: str
    name: str
    parameter_files: tuple[Path, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    ends_graph: bool = False
    respawn: bool = False


@dataclass(frozen=True)
class Graph:
    """A launchable graph: its arguments, and how they become processes."""

    doc: str
    arguments: tuple[Argument, ...]
    build: Callable[[Mapping[str, str]], list[NodeProcess]]

    def processes(self, given: Mapping[str, str]) -> list[NodeProcess]:
        """Return the processes for the arguments `given`; raise Refused for an unknown one."""
        defaults = {argument.name: argument.default for argument in self.arguments}
        for name in given:
            if name not in defaults:
                raise Refused(
                    f'argument {name!r} is not known here; known are {", ".join(defaults)}')
        return self.build({**defaults, **given})


ROBOT = Argument(
    'robot', 'iiwa', 'name in config/robots, path of such a file, or gymnasium:ID')
TASK = Argument('task', 'reach', 'name in config/tasks, or path of such a file')
OUT = Argument('out', 'runs/latest', 'directory of everything that the run leaves')
SEED = Argument('seed', '0', 'seed of weights, goals and exploration')


def train_sim(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return a learner, a broadcaster, simulated collectors (the first evaluates), a monitor."""
    collectors = _whole(arguments, 'collectors', 1, COLLECTORS)
    seed = _whole(arguments, 'seed', 0, 1_000_000)
    out = arguments['out']
    files, environment = _world(arguments)
    algorithm = arguments['algorithm']
    if algorithm not in ALGORITHMS:
        raise Refused(f'algorithm {algorithm!r} is not known; known are {", ".join(ALGORITHMS)}')
    learner = NodeProcess(
        'learner', 'learner', (*files, named('algorithms', algorithm)), {
            'learner.environment': environment,
            'learner.algorithm': algorithm,
            'learner.out': out,
            'learner.busy_processes': collectors,
            'algorithm.seed': seed,
        }, respawn=True)
    broadcaster = NodeProcess(
        'broadcaster', 'broadcaster', (), {'broadcaster.out': out}, respawn=True)
    monitor = NodeProcess('monitor', 'monitor', (), {
        'monitor.out': out,
        'monitor.time_limit': _number(arguments, 'time_limit'),
    }, ends_graph=True)
    return [learner, broadcaster, monitor, *(
        NodeProcess('collector', f'collector_{index}', files, {
            'collector.environment': environment,
            'collector.out': out,
            'collector.seed': COLLECTORS * seed + index,
            'collector.evaluate': index == 0,
        }, respawn=True)
        for index in range(collectors)
    )]


def deploy(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return the policy node and, unless the arm is real, the simulator node and examiner."""
    seed = _whole(arguments, 'seed', 0, 2**31 - 1)
    files = (named('robots', arguments['robot']), named('tasks', arguments['task']))
    if not arguments['policy']:
        raise Refused('argument policy is empty; give policy:=PATH of an ONNX policy')
    controller = arguments['controller']
    if controller not in CONTROLLERS:
        raise Refused(
            f'controller {controller!r} is not known; known are {", ".join(CONTROLLERS)}')
    policy = NodeProcess(
        'policy', 'policy', files, {'policy.policy': str(Path(arguments['policy']).absolute())})
    simulator = NodeProcess(
        'simulator', 'simulator', files, {'simulator.controller': controller})
    gates = [] if controller == 'trajectory' else [NodeProcess(
        'command_gate', 'command_gate', files,
        {'gate.interface': controller.removeprefix('forward_')})]
    examiner = NodeProcess('examiner', 'examiner', files, {
        'examiner.goals': _whole(arguments, 'goals', 1, 100_000),
        'examiner.seed': seed,
        'examiner.out': arguments['out'],
    }, ends_graph=True)
    return [simulator, policy, *gates, examiner]


CONTROLLERS = ('trajectory', 'forward_position', 'forward_velocity')

GRAPHS = {
    'train_sim': Graph(
        'Train in simulation: one learner, one broadcaster, collectors, a monitor.',
        (
            ROBOT, TASK,
            Argument('algorithm', 'sac', f'one of {", ".join(ALGORITHMS)}'),
            Argument('collectors', '2', 'how many simulators collect'),
            OUT, SEED,
            Argument('time_limit', '600.0', 'longest training in s; 0 for none'),
        ),
        train_sim,
    ),
    'deploy': Graph(
        'Run a policy against the simulator node, as against an arm, and score it.',
        (
            Argument('policy', '', 'path of the ONNX policy'),
            ROBOT, TASK,
            Argument('controller', 'trajectory', 'what the arm takes: one of '
                     f'{", ".join(CONTROLLERS)}; forward ones through the command gate'),
            Argument('goals', '40', 'how many goals the examiner gives'),
            Argument('seed', '1000', 'seed of the goals'),
            Argument('out', '', 'file for the figures; empty for none'),
        ),
        deploy,
    ),
}


def graph(name: str) -> Graph:
    """Return the graph of that name; raise Refused with the known ones."""
    if name not in GRAPHS:
        raise Refused(f'graph {name!r} is not known; known are {", ".join(GRAPHS)}')
    return GRAPHS[name]


def _world(arguments: Mapping[str, str]) -> tuple[tuple[Path, ...], str]:
    """Return the parameter files of robot and task, or the id of a Gymnasium environment."""
    robot = arguments['robot']
    if robot.startswith(GYMNASIUM):
        return (), robot.removeprefix(GYMNASIUM)
    return (named('robots', robot), named('tasks', arguments['task'])), ''


def _whole(arguments: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = arguments[name]
    if not (text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise Refused(f'argument {name} is {text!r}; give a whole number from {least} to {most}')
    return int(text)


def _number(arguments: Mapping[str, str], name: str) -> float:
    text = arguments[name]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 <= number < math.inf:
        raise Refused(f'argument {name} is {text!r}; give a number, 0 or more')
    return number
