# SPDX-License-Identifier: Apache-2.0
"""Training graphs: in simulation, on an arm, and offline from fixed data."""

from collections.abc import Mapping
from pathlib import Path

from rl_control.bringup.arguments import SOURCES, choice, number, simulation, truth, whole
from rl_control.bringup.graphs.parts import arm, placed, recorder, scene
from rl_control.bringup.processes import NodeProcess, Parameter, given_file
from rl_control.common.errors import InvalidInput
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.config.simulators import SIMULATORS
from rl_control.environments.make import GYMNASIUM_PREFIX
from rl_control.learning.algorithms import ALGORITHMS, values_of

MAX_COLLECTORS = 1000  # each gets its own seed, MAX_COLLECTORS * seed + index
CONFIRMATION_FACTOR = 2  # episodes of a confirmation per episode of an evaluation
EVALUATION_PERIOD = 300.0  # s; long, since evaluations take time from collection


def train_sim(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return a learner, a broadcaster, simulated collectors (the first evaluates), a monitor."""
    collectors = whole(arguments, 'collectors', 1, MAX_COLLECTORS)
    seed = whole(arguments, 'seed', 0, 1_000_000)
    out = arguments['out']
    files, environment = _world(arguments)
    algorithm = choice(arguments, 'algorithm', ALGORITHMS)
    learner = NodeProcess(
        'learner', 'learner', files, {
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
    return [learner, broadcaster, monitor, *recorder(arguments, Path(out) / 'recording'), *(
        NodeProcess('collector', f'collector_{index}', (*files, *_randomization(arguments)), {
            'collector.environment': environment,
            'collector.simulator': choice(arguments, 'simulator', SIMULATORS),
            'collector.out': out,
            'collector.seed': MAX_COLLECTORS * seed + index,
            'collector.evaluate': index == 0,
        }, respawn=True)
        for index in range(collectors)
    )]


def train_robot(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return learner, broadcaster, monitor, and a collector on one real or simulated arm."""
    engine = simulation(arguments)
    seed = whole(arguments, 'seed', 0, 1_000_000)
    evaluation = whole(arguments, 'evaluation_episodes', 0, 100_000)
    out = arguments['out']
    algorithm = choice(arguments, 'algorithm', ALGORITHMS)
    files = (parameter_file('robots', arguments['robot']),
             parameter_file('tasks', arguments['task']))
    _require_own_score(arguments, algorithm, *files, *given_file(arguments))
    rate = {'robot.control_rate': number(arguments, 'rate')} if arguments['rate'] else {}
    count = {'evaluation_episodes': max(1, evaluation),
             'confirmation_episodes': CONFIRMATION_FACTOR * evaluation}
    learner = NodeProcess(
        'learner', 'learner', files, {
            **rate,
            'learner.algorithm': algorithm,
            'learner.out': out,
            'learner.start': arguments['start'],
            'learner.busy_processes': 2 if engine else 1,
            'algorithm.seed': seed,
        }, respawn=True)
    broadcaster = NodeProcess('broadcaster', 'broadcaster', (), {
        'broadcaster.out': out, **_prefixed('broadcaster', count)}, respawn=True)
    monitor = NodeProcess('monitor', 'monitor', (), {
        'monitor.out': out,
        'monitor.time_limit': number(arguments, 'time_limit'),
        'monitor.evaluation_episodes': count['evaluation_episodes'],
        'monitor.confirmation_episodes': max(1, count['confirmation_episodes']),
    }, ends_graph=True, respawn=True)
    # No respawn: the operator has to inspect the arm first.
    collector = NodeProcess('collector', 'collector', files, {
        **rate,
        'collector.robot': 'ros',
        'collector.out': out,
        'collector.seed': MAX_COLLECTORS * seed,
        'collector.evaluate': evaluation > 0,
        'collector.evaluation_period': EVALUATION_PERIOD,
        **_prefixed('collector', count),
        'hardware.wait_for_person': truth(arguments, 'wait_for_person'),
        'hardware.reward': choice(arguments, 'reward', SOURCES),
        'hardware.success': choice(arguments, 'success', SOURCES),
    })
    return placed(arguments, [
        learner, broadcaster, monitor, *recorder(arguments, Path(out) / 'recording'),
        *arm(arguments, files, engine, rate), collector, *scene(arguments, files)])


def offline(arguments: Mapping[str, str]) -> list[NodeProcess]:
    """Return the node that trains from a bag or a dataset."""
    algorithm = choice(arguments, 'algorithm', ALGORITHMS)
    if not arguments['data']:
        raise InvalidInput('argument data is empty; give data:=PATH of a bag, a dataset or a run')
    return [NodeProcess('offline', 'offline', (), {
        'offline.data': arguments['data'],
        'offline.algorithm': algorithm,
        'offline.updates': whole(arguments, 'updates', 1, 1_000_000_000),
        'offline.out': arguments['out'],
        'offline.robot': arguments['robot'],
        'offline.task': arguments['task'],
        'offline.raw': truth(arguments, 'raw'),
        'algorithm.seed': whole(arguments, 'seed', 0, 1_000_000),
    }, ends_graph=True)]


def _require_own_score(
    arguments: Mapping[str, str], algorithm: str, *files: Path,
) -> None:
    """Raise InvalidInput if HER would replace the operator's rewards by computed ones."""
    share, where = 0.0, files[0]
    for file in files:
        values = values_of(algorithm, read_parameter_file(file, 'algorithm'))
        if (value := values.get('hindsight')) is not None:
            share, where = value, file
    for name in ('reward', 'success'):
        if share and arguments[name] == 'topic':
            raise InvalidInput(
                f"argument {name} is 'topic' but hindsight is {share} in {where}, which "
                'relabels with computed rewards; give computed, or set hindsight to 0'
            )


def _world(arguments: Mapping[str, str]) -> tuple[tuple[Path, ...], str]:
    """Return the parameter files of robot and task, or the id of a Gymnasium environment."""
    robot = arguments['robot']
    if robot.startswith(GYMNASIUM_PREFIX):
        return (), robot.removeprefix(GYMNASIUM_PREFIX)
    return (parameter_file('robots', robot), parameter_file('tasks', arguments['task'])), ''


def _randomization(arguments: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the parameter file of the domain randomization, () for none."""
    name = arguments['randomization']
    if name and arguments['robot'].startswith(GYMNASIUM_PREFIX):
        raise InvalidInput(
            f'argument randomization is {name!r} but {arguments["robot"]} is no '
            'simulated arm; leave it empty'
        )
    return (parameter_file('randomization', name),) if name else ()


def _prefixed(prefix: str, values: Mapping[str, Parameter]) -> dict[str, Parameter]:
    return {f'{prefix}.{name}': value for name, value in values.items()}
