# SPDX-License-Identifier: Apache-2.0
"""
The node graphs: one description for `ros2 launch` and for `rl-control launch`.

A graph is a list of processes made from its arguments. Nothing here starts anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from rl_control.algorithms import ALGORITHMS
from rl_control.arguments import (
    ALGORITHM,
    ARM,
    ARM_TOPICS,
    CONTROLLER,
    CONTROLLERS,
    NAMESPACE,
    OUT,
    PARAMETERS,
    RANDOMISATION,
    RECORD,
    ROBOT,
    SCENE,
    SEED,
    SOURCES,
    START,
    TASK,
    Argument,
    choice,
    namespace,
    number,
    truth,
    whole,
)
from rl_control.config.files import named, read_parameter_file
from rl_control.environments.make import GYMNASIUM
from rl_control.errors import Refused
from rl_control.processes import Graph, NodeProcess, Parameter, given_file

COLLECTORS = 1000  # at most, so that no two of them draw from one seed
CONFIRMATIONS = 2  # episodes of a confirmation for each of an evaluation
EVALUATION_PERIOD = 300.0  # s: an arm has more to do than to be evaluated


def train_sim(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return a learner, a broadcaster, simulated collectors (the first evaluates), a monitor."""
    collectors = whole(arguments, 'collectors', 1, COLLECTORS)
    seed = whole(arguments, 'seed', 0, 1_000_000)
    out = arguments['out']
    files, environment = _world(arguments)
    algorithm = choice(arguments, 'algorithm', ALGORITHMS)
    learner = NodeProcess(
        'learner', 'learner', (*files, named('algorithms', algorithm)), {
            'learner.environment': environment,
            'learner.algorithm': algorithm,
            'learner.out': out,
            'learner.start': arguments['start'],
            'learner.busy_processes': collectors,
            'algorithm.seed': seed,
        }, respawn=True)
    broadcaster = NodeProcess(
        'broadcaster', 'broadcaster', (), {'broadcaster.out': out}, respawn=True)
    monitor = NodeProcess('monitor', 'monitor', (), {
        'monitor.out': out,
        'monitor.time_limit': number(arguments, 'time_limit'),
    }, ends_graph=True, respawn=True)
    return [learner, broadcaster, monitor, *_recorder(arguments, Path(out) / 'recording'), *(
        NodeProcess('collector', f'collector_{index}', (*files, *_randomisation(arguments)), {
            'collector.environment': environment,
            'collector.out': out,
            'collector.seed': COLLECTORS * seed + index,
            'collector.evaluate': index == 0,
        }, respawn=True)
        for index in range(collectors)
    )]


def train_robot(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return a learner, a broadcaster, a monitor and a collector on one arm, perhaps simulated."""
    simulated = truth(arguments, 'simulate')
    seed = whole(arguments, 'seed', 0, 1_000_000)
    evaluation = whole(arguments, 'evaluation_episodes', 0, 100_000)
    out = arguments['out']
    algorithm = choice(arguments, 'algorithm', ALGORITHMS)
    _require_own_score(arguments, named('algorithms', algorithm), *given_file(arguments))
    files = (named('robots', arguments['robot']), named('tasks', arguments['task']))
    rate = {'robot.control_rate': number(arguments, 'rate')} if arguments['rate'] else {}
    count = {'evaluation_episodes': max(1, evaluation),
             'confirmation_episodes': CONFIRMATIONS * evaluation}
    learner = NodeProcess(
        'learner', 'learner', (*files, named('algorithms', algorithm)), {
            **rate,
            'learner.algorithm': algorithm,
            'learner.out': out,
            'learner.start': arguments['start'],
            'learner.busy_processes': 2 if simulated else 1,
            'algorithm.seed': seed,
        }, respawn=True)
    broadcaster = NodeProcess('broadcaster', 'broadcaster', (), {
        'broadcaster.out': out, **_under('broadcaster', count)}, respawn=True)
    monitor = NodeProcess('monitor', 'monitor', (), {
        'monitor.out': out,
        'monitor.time_limit': number(arguments, 'time_limit'),
        'monitor.evaluation_episodes': count['evaluation_episodes'],
        'monitor.confirmation_episodes': max(1, count['confirmation_episodes']),
    }, ends_graph=True, respawn=True)
    # Not started again by itself: a person has to look at the arm first.
    collector = NodeProcess('collector', 'collector', files, {
        **rate,
        'collector.robot': 'ros',
        'collector.out': out,
        'collector.seed': COLLECTORS * seed,
        'collector.evaluate': evaluation > 0,
        'collector.evaluation_period': EVALUATION_PERIOD,
        **_under('collector', count),
        'hardware.wait_for_person': truth(arguments, 'wait_for_person'),
        'hardware.reward': choice(arguments, 'reward', SOURCES),
        'hardware.success': choice(arguments, 'success', SOURCES),
    })
    return _placed(arguments, [
        learner, broadcaster, monitor, *_recorder(arguments, Path(out) / 'recording'),
        *_arm(arguments, files, simulated, rate), collector, *_scene(arguments, files)])


def _require_own_score(arguments: Mapping[str, str], *files: Path) -> None:
    """Raise Refused where hindsight would put the task's rewards and ends over a person's."""
    share, where = 0.0, files[0]
    for file in files:
        if (told := read_parameter_file(file, 'algorithm').get('hindsight')) is not None:
            share, where = told, file
    for name in ('reward', 'success'):
        if share and arguments[name] == 'topic':
            raise Refused(f"argument {name} is 'topic' but hindsight is {share} in {where}, which "
                          'knows only what the task computes; take computed, or hindsight 0')


def _arm(
    arguments: Mapping[str, str], files: tuple[Path, ...], simulated: bool,
    rate: Mapping[str, Parameter] = MappingProxyType({}),
) -> list[NodeProcess]:
    """Return what takes trajectories: a simulator, a gate before forward controllers, or none."""
    controller = choice(arguments, 'controller', CONTROLLERS)
    processes = []
    if simulated:
        processes.append(NodeProcess('simulator', 'simulator', files, {
            **rate, 'simulator.controller': controller}))
    if controller != 'trajectory':
        processes.append(NodeProcess('command_gate', 'command_gate', files, {
            **rate, 'gate.interface': controller.removeprefix('forward_')}))
    return processes


def _recorder(arguments: Mapping[str, str], directory: Path) -> list[NodeProcess]:
    """Return what records the graph into `directory`, or where it is told; or nothing."""
    asked = arguments['record']
    if asked.lower() == 'false':
        return []
    out = directory if asked.lower() == 'true' else Path(asked)
    return [NodeProcess(
        'recorder', 'recorder', (), {'recorder.out': str(out)}, respawn=True)]


def _scene(arguments: Mapping[str, str], files: tuple[Path, ...]) -> list[NodeProcess]:
    """Return what draws the arm for others, or nothing."""
    return ([NodeProcess('scene', 'scene', files, respawn=True)]
            if truth(arguments, 'scene') else [])


def _placed(
    arguments: Mapping[str, str], processes: Sequence[NodeProcess],
) -> list[NodeProcess]:
    """Return the processes in the namespace and at the arm's topics that are asked for."""
    remappings = {topic.name: arguments[topic.name] for topic in ARM_TOPICS
                  if arguments[topic.name] != topic.name}
    return [replace(process, namespace=namespace(arguments), remappings=remappings)
            for process in processes]


def deploy(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return the policy node and, unless the arm is real, a simulator and an examiner."""
    seed = whole(arguments, 'seed', 0, 2**31 - 1)
    files = (named('robots', arguments['robot']), named('tasks', arguments['task']))
    if not arguments['policy']:
        raise Refused('argument policy is empty; give policy:=PATH of an ONNX policy')
    simulated = truth(arguments, 'simulate')
    policy = NodeProcess(
        'policy', 'policy', files, {
            'policy.policy': str(Path(arguments['policy']).absolute()),
            'policy.shadow': truth(arguments, 'shadow'),
        }, ends_graph=not simulated)
    examiner = NodeProcess('examiner', 'examiner', files, {
        'examiner.goals': whole(arguments, 'goals', 1, 100_000),
        'examiner.seed': seed,
        'examiner.out': arguments['out'],
    }, ends_graph=True)
    processes = [*_arm(arguments, files, simulated), *([examiner] if simulated else [])]
    processes.insert(int(simulated), policy)
    processes += [
        *_recorder(arguments, Path(arguments['policy']).absolute().parent / 'deployment'),
        *_scene(arguments, files)]
    return _placed(arguments, processes)

def offline(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return the one node that trains from a bag or a dataset."""
    algorithm = choice(arguments, 'algorithm', ALGORITHMS)
    if not arguments['data']:
        raise Refused('argument data is empty; give data:=PATH of a bag, a dataset or a run')
    return [NodeProcess('offline', 'offline', (named('algorithms', algorithm),), {
        'offline.data': arguments['data'],
        'offline.algorithm': algorithm,
        'offline.updates': whole(arguments, 'updates', 1, 1_000_000_000),
        'offline.out': arguments['out'],
        'offline.robot': arguments['robot'],
        'offline.task': arguments['task'],
        'offline.raw': truth(arguments, 'raw'),
        'algorithm.seed': whole(arguments, 'seed', 0, 1_000_000),
    }, ends_graph=True)]


GRAPHS = {
    'train_sim': Graph(
        'Train in simulation: one learner, one broadcaster, collectors, a monitor.',
        (
            ROBOT, TASK, RANDOMISATION, ALGORITHM,
            Argument('collectors', '2', 'how many simulators collect'),
            OUT, PARAMETERS, RECORD, SEED, START,
            Argument('time_limit', '600.0', 'longest training in s; 0 for none'),
        ),
        train_sim,
    ),
    'train_robot': Graph(
        'Train on an arm: one learner, one broadcaster, a collector on the arm, a monitor.',
        (
            ARM, TASK, ALGORITHM,
            Argument('simulate', 'false', 'true: the simulator node stands in for the arm'),
            Argument('rate', '', "control rate in Hz; empty for the robot file's"),
            CONTROLLER, *ARM_TOPICS, NAMESPACE,
            Argument('wait_for_person', 'false',
                     'true: each episode waits for a call of collector/next'),
            Argument('reward', 'computed', 'computed, or topic: rewards are those on reward'),
            Argument('success', 'computed', 'computed, or topic: success is told on success'),
            Argument('evaluation_episodes', '10',
                     'episodes that score a version on the arm; 0 for no evaluations'),
            OUT, PARAMETERS, RECORD, SCENE, SEED, START,
            Argument('time_limit', '0.0', 'longest training in s; 0 for none'),
        ),
        train_robot,
    ),
    'deploy': Graph(
        'Run a policy against the simulator node, as against an arm, and score it.',
        (
            Argument('policy', '', 'path of the ONNX policy'),
            ARM, TASK, CONTROLLER, *ARM_TOPICS, NAMESPACE,
            Argument('simulate', 'true', 'false: the arm is real, and nobody gives goals'),
            Argument('shadow', 'false', 'true: command nothing, tell what would be done'),
            Argument('goals', '40', 'how many goals the examiner gives'),
            Argument('seed', '1000', 'seed of the goals'),
            Argument('out', '', 'file for the figures; empty for none'), RECORD, SCENE,
        ),
        deploy,
    ),
    'offline': Graph(
        'Train from a bag, a dataset or the journal of a run; the same again goes on.',
        (
            Argument('data', '', 'dataset, bag, or directory of a run with its journal'),
            Argument('algorithm', 'iql', ALGORITHM.doc),
            Argument('updates', '50000', 'updates to make in all'),
            Argument('out', 'runs/offline', OUT.doc),
            SEED, PARAMETERS,
            Argument('robot', '', f"{ROBOT.doc}; needed for a robot's topics alone"),
            TASK,
            Argument('raw', 'false',
                     "true: the robot's topics even where transitions were recorded"),
        ),
        offline,
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


def _randomisation(arguments: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the parameter file that says how simulated arms differ, if one is asked for."""
    name = arguments['randomisation']
    if name and arguments['robot'].startswith(GYMNASIUM):
        raise Refused(f'argument randomisation is {name!r} but {arguments["robot"]} is no arm of '
                      'ours; leave it empty')
    return (named('randomisation', name),) if name else ()


def _under(prefix: str, values: Mapping[str, Parameter]) -> dict[str, Parameter]:
    return {f'{prefix}.{name}': value for name, value in values.items()}
