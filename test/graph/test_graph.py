# SPDX-License-Identifier: Apache-2.0
"""Node graphs: processes, parameters, and rejected arguments."""

import ast
from itertools import count
from pathlib import Path
import re
from types import SimpleNamespace

import pytest
import rclpy

from rl_control.bringup.graphs import GRAPHS, graph
from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.run_record import save_run_record
from rl_control.bringup.supervisor import command_line
from rl_control.common.errors import InvalidInput
from rl_control.config import nodes
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.config.base import Settings
from rl_control.config.files import read_parameter_file
from rl_control.config.hardware import HardwareSettings
from rl_control.config.offline import OfflineSettings
from rl_control.config.robot import RobotSettings
from rl_control.learning.algorithms import ALGORITHMS, settings_of, values_of
from rl_control.ros.parameters import given_values

ROOT = Path(__file__).parents[2]
# What has no default.
REQUIRED = {'deploy': {'policy': 'policy.onnx'}, 'offline': {'data': 'a.dataset'}}
SETTINGS: dict[str, type[Settings]] = {
    'collector': nodes.CollectorSettings, 'learner': nodes.LearnerSettings,
    'broadcaster': nodes.BroadcasterSettings, 'monitor': nodes.MonitorSettings,
    'policy': nodes.PolicyNodeSettings, 'simulator': nodes.SimulatorSettings,
    'gate': nodes.GateSettings, 'evaluator': nodes.EvaluatorSettings,
    'recorder': nodes.RecorderSettings,
    'algorithm': AlgorithmSettings, 'offline': OfflineSettings, 'hardware': HardwareSettings,
}


def build(name: str, **given: str) -> list[NodeProcess]:
    return graph(name).processes({**REQUIRED.get(name, {}), **given})


def names(processes: list[NodeProcess]) -> list[str]:
    return [process.name for process in processes]


def parameters(processes: list[NodeProcess], name: str) -> dict[str, object]:
    (process,) = (process for process in processes if process.name == name)
    return dict(process.parameters)


def check(processes: list[NodeProcess]) -> None:
    """Check that each node exists and declares its parameters."""
    assert len(set(names(processes))) == len(processes)
    assert sum(process.ends_graph for process in processes) == 1
    installed = (ROOT / 'setup.py').read_text()
    for process in processes:
        assert (ROOT / 'rl_control' / 'nodes' / f'{process.executable}.py').is_file()
        assert f"'{process.executable}'" in installed
        assert all(path.is_file() for path in process.parameter_files)
        by_prefix: dict[str, dict[str, object]] = {}
        for name, value in process.parameters.items():
            prefix, key = name.split('.')
            by_prefix.setdefault(prefix, {})[key] = value
        rate = by_prefix.pop('robot', {'control_rate': 20.0})
        assert set(rate) == {'control_rate'} <= set(RobotSettings.__dataclass_fields__)
        for prefix, values in by_prefix.items():
            assert SETTINGS[prefix].from_mapping(values)


@pytest.mark.parametrize('name', GRAPHS)
def test_each_graph_builds_with_its_defaults(name: str) -> None:
    check(build(name))
    for argument in GRAPHS[name].arguments:
        assert argument.doc and isinstance(argument.default, str)
        assert re.fullmatch('[a-z_]+', argument.name)
    assert set(REQUIRED.get(name, {})) <= {a.name for a in GRAPHS[name].arguments}
    assert GRAPHS[name].doc.endswith('.')


@pytest.mark.parametrize('algorithm', ALGORITHMS)
@pytest.mark.parametrize('robot', ['iiwa', 'panda', 'gymnasium:Pendulum-v1'])
def test_each_robot_with_each_algorithm(robot: str, algorithm: str) -> None:
    processes = build('train_sim', robot=robot, algorithm=algorithm)
    check(processes)
    assert parameters(processes, 'learner')['learner.algorithm'] == algorithm
    files = {name: [path.stem for path in process.parameter_files]
             for name, process in zip(names(processes), processes, strict=True)}
    world = [] if robot.startswith('gymnasium:') else [robot, 'reach']
    assert files['learner'] == files['collector_0'] == world
    environment = 'Pendulum-v1' if not world else ''
    assert parameters(processes, 'learner')['learner.environment'] == environment
    assert parameters(processes, 'collector_1')['collector.environment'] == environment


@pytest.mark.parametrize(('robot', 'user', 'gamma'), [
    ('iiwa', '', 0.85), ('iiwa', 'gamma: 0.7', 0.7),
    ('gymnasium:Pendulum-v1', '', None), ('gymnasium:Pendulum-v1', 'gamma: 0.7', 0.7)])
def test_the_task_s_algorithm_comes_before_the_user_s(
    tmp_path: Path, ros_domain: int, robot: str, user: str, gamma: float | None,
) -> None:
    """A task tunes for its arm alone; parameters.yaml and the node have its values."""
    given = {'robot': robot, 'out': str(tmp_path / 'out')}
    if user:
        file = tmp_path / 'mine.yaml'
        file.write_text(f'/**: {{ros__parameters: {{algorithm: {{{user}}}}}}}')
        given['parameters'] = str(file)
    processes = graph('train_sim').processes(given)
    save_run_record('train_sim', given, processes)
    left = read_parameter_file(tmp_path / 'out' / 'parameters.yaml', 'algorithm')
    assert left.get('gamma') == gamma and left['seed'] == 0
    assert left.get('target_entropy') == (-2.0 if robot == 'iiwa' else None)
    assert not any('.' in name for name in left)
    learner = next(process for process in processes if process.name == 'learner')
    rclpy.init(args=command_line(learner)[3:])
    try:
        node = rclpy.create_node('learner')
        assert values_of('sac', given_values(node, 'algorithm', settings_of('sac'))) == left
        node.destroy_node()
    finally:
        rclpy.try_shutdown()


def test_training_has_as_many_collectors_as_asked_for_and_the_first_evaluates() -> None:
    processes = build('train_sim', collectors='3', out='there', time_limit='0', seed='7')
    check(processes)
    assert names(processes) == ['learner', 'broadcaster', 'monitor', 'collector_0',
                                'collector_1', 'collector_2']
    told = [parameters(processes, f'collector_{index}') for index in range(3)]
    assert [values['collector.evaluate'] for values in told] == [True, False, False]
    assert parameters(processes, 'learner')['learner.busy_processes'] == 3
    assert parameters(processes, 'learner')['algorithm.seed'] == 7
    assert parameters(processes, 'monitor')['monitor.time_limit'] == 0.0
    for name in ('learner', 'broadcaster', 'monitor', 'collector_2'):
        prefix = name.partition('_')[0]
        assert parameters(processes, name)[f'{prefix}.out'] == 'there'


def test_collectors_alone_are_randomized() -> None:
    for process in build('train_sim', randomization='mild'):
        given = 'mild.yaml' in {path.name for path in process.parameter_files}
        assert given == (process.executable == 'collector')
    with pytest.raises(InvalidInput, match='leave it empty'):
        build('train_sim', randomization='mild', robot='gymnasium:Pendulum-v1')


def test_no_two_collectors_share_a_seed() -> None:
    seeds = [process.parameters['collector.seed']
             for seed in ('0', '1', '2') for process in build(
                 'train_sim', collectors='1000', seed=seed) if process.executable == 'collector']
    assert len(set(seeds)) == 3000
    check(build('train_sim', seed='1000000', collectors='2'))


@pytest.mark.parametrize('controller', ['trajectory', 'forward_position', 'forward_velocity'])
def test_deployment_with_each_controller(controller: str) -> None:
    processes = build('deploy', controller=controller, goals='3', out='figures.json')
    check(processes)
    gated = controller != 'trajectory'
    assert ('command_gate' in names(processes)) == gated
    if gated:
        assert parameters(processes, 'command_gate')['gate.interface'] == controller[8:]
    assert parameters(processes, 'simulator')['simulator.controller'] == controller
    assert parameters(processes, 'evaluator') == {
        'evaluator.goals': 3, 'evaluator.seed': 1000, 'evaluator.out': 'figures.json'}
    assert parameters(processes, 'policy')['policy.policy'] == str(Path('policy.onnx').absolute())


def test_training_on_an_arm_has_one_collector_without_respawn() -> None:
    processes = build('train_robot', out='there', rate='10', seed='4', wait_for_person='true')
    check(processes)
    assert names(processes) == ['learner', 'broadcaster', 'monitor', 'collector']
    assert [process.respawn for process in processes] == [True, True, True, False]
    told = parameters(processes, 'collector')
    assert told['collector.robot'] == 'ros' and told['hardware.wait_for_person'] is True
    assert told['collector.evaluate'] is True and told['collector.seed'] == 4000
    for name in ('learner', 'collector'):
        assert parameters(processes, name)['robot.control_rate'] == 10.0
    counted = {key: value for process in processes for key, value in process.parameters.items()
               if key.endswith('_episodes')}
    assert {value for key, value in counted.items() if 'evaluation' in key} == {10}
    assert {value for key, value in counted.items() if 'confirmation' in key} == {20}
    assert len(counted) == 6
    assert all(process.namespace == '' and not process.remappings for process in processes)
    silent = build('train_robot', evaluation_episodes='0', reward='topic', success='topic')
    check(silent)
    told = parameters(silent, 'collector')
    assert told['collector.evaluate'] is False
    assert told['hardware.reward'] == told['hardware.success'] == 'topic'


@pytest.mark.parametrize('controller', ['trajectory', 'forward_position', 'forward_velocity'])
def test_the_simulator_replaces_the_arm(controller: str) -> None:
    processes = build('train_robot', simulate='true', rate='50', controller=controller)
    check(processes)
    simulator = parameters(processes, 'simulator')
    assert simulator == {'robot.control_rate': 50.0, 'simulator.controller': controller,
                         'simulator.engine': 'auto'}
    assert ('command_gate' in names(processes)) == (controller != 'trajectory')


def test_the_engine_is_passed_on() -> None:
    for name in ('train_robot', 'deploy'):
        assert parameters(build(name, simulate='mujoco'), 'simulator')[
            'simulator.engine'] == 'mujoco'
    for given, engine in (({}, 'auto'), ({'simulator': 'mujoco'}, 'mujoco')):
        for index in range(2):
            assert parameters(build('train_sim', **given), f'collector_{index}')[
                'collector.simulator'] == engine


def test_a_real_arm_has_its_own_topics_and_a_namespace() -> None:
    given = {'namespace': '/left/arm/', 'joint_trajectory': 'jtc/joint_trajectory'}
    for name in ('train_robot', 'deploy'):
        for process in build(name, simulate='false', **given):
            assert process.namespace == 'left/arm'
            assert process.remappings == {'joint_trajectory': 'jtc/joint_trajectory'}
            line = command_line(process)
            assert '__ns:=/left/arm' in line and 'joint_trajectory:=jtc/joint_trajectory' in line
            assert all(line[line.index(word) - 1] == '-r' for word in line if ':=/left' in word)


def test_deployment_on_an_arm_is_the_policy_node_alone() -> None:
    processes = build('deploy', simulate='false', shadow='true')
    check(processes)
    assert names(processes) == ['policy']
    assert parameters(processes, 'policy')['policy.shadow'] is True
    assert names(build('deploy', simulate='false', controller='forward_velocity')) == [
        'policy', 'command_gate']


@pytest.mark.parametrize(('name', 'directory'), [
    ('train_sim', 'there/recording'), ('train_robot', 'there/recording'),
    ('deploy', str(Path('policy.onnx').absolute().parent / 'deployment'))])
def test_each_graph_has_a_recorder_on_request(name: str, directory: str) -> None:
    for told, found in (('true', directory), ('/some/where', '/some/where')):
        processes = build(name, record=told, out='there')
        check(processes)
        assert parameters(processes, 'recorder') == {'recorder.out': found}
    assert 'recorder' not in names(build(name))


@pytest.mark.parametrize(('name', 'given', 'words'), [
    ('train_sim', {'colour': 'red'}, "argument 'colour' is not known here; known are robot, task"),
    ('train_sim', {'robot': 'none'},
     "no 'none' in robots; known are iiwa, panda, two_joint, or give"),
    ('train_sim', {'robot': 'none.yaml'}, 'there is no file none.yaml'),
    ('train_sim', {'task': 'none'}, "no 'none' in tasks; known are follow, reach, reach_pose"),
    ('train_sim', {'algorithm': 'none'}, f"is not known; known are {', '.join(ALGORITHMS)}"),
    ('train_sim', {'collectors': '0'}, "collectors is '0'; give a whole number from 1 to 1000"),
    ('train_sim', {'collectors': '1001'}, 'collectors is'),
    ('train_sim', {'collectors': 'two'}, "collectors is 'two'; give a whole number"),
    ('train_sim', {'collectors': '2.0'}, 'collectors is'),
    ('train_sim', {'collectors': ''}, "collectors is ''; give"),
    ('train_sim', {'seed': '-1'}, "seed is '-1'; give a whole number from 0 to 1000000"),
    ('train_sim', {'seed': '9' * 5000}, 'seed is'),
    ('train_sim', {'time_limit': 'long'}, "time_limit is 'long'; give a number, 0 or more"),
    ('train_sim', {'time_limit': 'nan'}, 'time_limit is'),
    ('train_sim', {'time_limit': 'inf'}, 'time_limit is'),
    ('train_sim', {'time_limit': '-1'}, 'time_limit is'),
    ('train_robot', {'robot': 'gymnasium:Pendulum-v1'}, 'known are iiwa, panda'),
    ('train_robot', {'simulate': 'maybe'}, "'maybe'; give true or false, or an engine: pybullet"),
    ('train_sim', {'simulator': 'bullet'}, "'bullet' is not known; known are auto, pybullet, mu"),
    ('train_robot', {'wait_for_person': '1'}, 'wait_for_person is'),
    ('train_robot', {'rate': 'fast'}, "rate is 'fast'; give a number"),
    ('train_robot', {'controller': 'none'}, "controller 'none' is not known"),
    ('train_robot', {'reward': 'guess'}, "reward 'guess' is not known; known are computed, topic"),
    ('train_robot', {'success': ''}, "success '' is not known"),
    ('train_robot', {'namespace': '1 arm'}, "namespace is '1 arm'; give words"),
    ('train_robot', {'evaluation_episodes': '-1'}, 'evaluation_episodes is'),
    ('offline', {'data': ''}, 'argument data is empty; give data:=PATH'),
    ('offline', {'updates': '0'}, "updates is '0'"),
    ('offline', {'algorithm': 'none'}, f"is not known; known are {', '.join(ALGORITHMS)}"),
    ('deploy', {'shadow': 'yes'}, "shadow is 'yes'; give true or false"),
    ('deploy', {'policy': ''}, 'argument policy is empty; give policy:=PATH'),
    ('deploy', {'goals': '0'}, "goals is '0'"),
    ('deploy', {'controller': 'none'}, "'none' is not known; known are trajectory, forward_po"),
    ('deploy', {'robot': 'gymnasium:Pendulum-v1'}, 'known are iiwa, panda'),
    ('deploy', {'colour': 'red'}, 'known are policy, robot'),
], ids=str)
def test_invalid_arguments_are_rejected(name: str, given: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build(name, **given)
    assert words in str(refused.value)


@pytest.mark.parametrize('told', ['reward', 'success'])
def test_hindsight_is_rejected_with_rewards_of_an_operator(told: str, tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('/**: {ros__parameters: {algorithm: {hindsight: 0.8}}}\n')
    build('train_robot', parameters=str(file))
    with pytest.raises(
        InvalidInput, match=f"{told} is 'topic' but hindsight is 0.8 in .*mine.yaml"
    ):
        build('train_robot', parameters=str(file), **{told: 'topic'})


def test_an_unknown_graph_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        graph('none')
    assert str(refused.value).startswith(
        "graph 'none' is not known; known are train_sim, train_robot, deploy")


def test_each_graph_has_a_launch_file_of_its_name() -> None:
    described = {}
    for path in (ROOT / 'launch').glob('*.launch.py'):
        calls = [node for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Call) and ast.unparse(node.func) == 'describe']
        described[path.name.removesuffix('.launch.py')] = [call.args[0].value for call in calls]
    assert described == {name: [name] for name in GRAPHS}


@pytest.mark.parametrize('name', GRAPHS)
def test_ros2_launch_sees_the_same_arguments(name: str) -> None:
    pytest.importorskip('launch_ros')
    from launch.actions import DeclareLaunchArgument

    from rl_control.bringup.launch_description import describe

    declared = [entity for entity in describe(name).entities
                if isinstance(entity, DeclareLaunchArgument)]
    assert [(entity.name, entity.description) for entity in declared] == [
        (argument.name, argument.doc) for argument in GRAPHS[name].arguments]


def test_a_parameter_file_comes_last_for_every_node(tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text('/**: {ros__parameters: {algorithm: {gamma: 0.5}}}')
    for name in ('train_sim', 'train_robot', 'offline'):
        for process in build(name, parameters=str(path)):
            assert process.parameter_files[-1] == path
            line = command_line(process)
            assert line.index(str(path)) == max(
                index + 1 for index, word in enumerate(line) if word == '--params-file')
    for text, words in (
            ('algoritm: {gamma: 0.5}', 'sets algoritm.gamma, but no node has algoritm.*; known'),
            ('learner: {busy_processes: 1}', 'learner.busy_processes, which the graph itself')):
        path.write_text(f'/**: {{ros__parameters: {{{text}}}}}')
        with pytest.raises(InvalidInput, match=re.escape(words)):
            build('train_sim', parameters=str(path))
    path.write_text('/**: {ros__parameters: {algorithm: {hindsight: 0.5}}}')
    with pytest.raises(InvalidInput, match=f'hindsight is 0.5 in {re.escape(str(path))}'):
        build('train_robot', reward='topic', parameters=str(path))
    with pytest.raises(InvalidInput, match=r'no_file\.yaml cannot be read'):
        build('train_sim', parameters=str(tmp_path / 'no_file.yaml'))


@pytest.mark.parametrize(('statuses', 'last'), [
    ((2,), True), ((-9, 2), True), ((75,), True), ((-9, 75, 75), False), ((1, -9), False)])
def test_ros2_launch_ends_where_a_restart_does_not_help(
        statuses: tuple[int, ...], last: bool) -> None:
    pytest.importorskip('launch_ros')
    from rl_control.bringup.launch_description import _on_exit

    exits, process = count(), NodeProcess('learner', 'learner', respawn=True)
    nodes = [object(), object()]
    actions = [_on_exit(process, nodes, exits, SimpleNamespace(returncode=status), None)
               for status in statuses]
    ended = [bool(found) for found in actions]
    # Each node of the graph is shut down, and nothing else of a launch file that includes it.
    matched = [[emitted.event.process_matcher(one) for one in (*nodes, object())]
               for emitted in actions[-1][1:]]
    assert matched == ([[True, False, False], [False, True, False]] if ended[-1] else [])
    assert ended == [*[False] * (len(statuses) - 1), last]
