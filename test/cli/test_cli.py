# SPDX-License-Identifier: Apache-2.0
"""Commands: exit statuses, sentences and JSON."""

import argparse
import json
import os
from pathlib import Path
import signal
import subprocess
import sys

from arms import exported
from engines import EACH, require
import numpy as np
import pytest
import yaml

from rl_control import __version__, cli
from rl_control.bringup import run_graph
from rl_control.bringup.graphs import GRAPHS
from rl_control.bringup.processes import NodeProcess
from rl_control.cli import COMMANDS, demo, main
from rl_control.common.files import digest
from rl_control.config.files import read_parameter_file
from rl_control.policies.onnx_policy import digest_path

ROOT = Path(__file__).parents[2]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / 'policy.onnx'
    exported().save(path)
    return path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]):
    """Return a function that runs a command with invalid input and returns the sentence."""
    def run(*arguments: str) -> str:
        assert main(list(arguments)) == 2
        told = capsys.readouterr()
        assert told.out == '' and told.err.count('\n') == 1
        assert told.err.startswith('rl-control: ')
        return told.err.removeprefix('rl-control: ').strip()
    return run


def test_help_names_each_command_without_importing_it(
    capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(['--help'])
    assert ended.value.code == 0
    words = ' '.join(capsys.readouterr().out.split())
    for name, about in COMMANDS.items():
        assert f'{name} {about}' in words
    assert set(COMMANDS) == {path.stem for path in Path(cli.__file__).parent.glob('[a-z]*.py')}


@pytest.mark.parametrize('command', COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, '--help'])
    assert ended.value.code == 0
    assert f'usage: rl-control {command}' in capsys.readouterr().out


@pytest.mark.parametrize('arguments', [[], ['none'], ['inspect'], ['doctor', '--none']], ids=str)
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(['--version'])
    assert capsys.readouterr().out.strip() == __version__


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr('rl_control.cli.inspect.run', interrupted)
    assert main(['inspect', 'FILE']) == 130


def test_inspect_in_words_and_json(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['inspect', str(policy)]) == 0
    words = capsys.readouterr().out
    contract = exported().contract
    for part in ('sac, version 1 of run run-1', 'robot iiwa, a tick every 0.05 s',
                 'lbr_iiwa_joint_3.dq from -1 to 1 rad/s', f'{len(contract.observation)} observ',
                 'to_goal.x [m]', contract.hash, exported().digest):
        assert part in words
    assert main(['inspect', str(policy), '--json']) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts['contract'] == json.loads(contract.to_json())
    assert (facts['version'], facts['contract_hash']) == (1, contract.hash)
    assert facts['digest'] == digest(policy.read_bytes())


def test_check_in_words_and_json(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(['check', str(policy), '--json'])  # the robot and the task are the policy's own
    found = {finding['what']: finding['level'] for finding in json.loads(capsys.readouterr().out)}
    assert found['policy'] == found['robot'] == found['contract'] == 'ok'
    assert main(['check', str(policy), '--robot', 'panda']) == 1
    (refused,) = [line for line in capsys.readouterr().out.splitlines()
                  if line.startswith('refused')]
    assert refused.startswith('refused  contract: robot panda has robot panda but policy ')
    assert main(['check', str(policy), '--robot', 'none']) == 1
    assert "refused  robot: there is no 'none' in robots" in capsys.readouterr().out


def test_check_validates_a_controller(
    policy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def ask(controller: str, manager: str) -> dict[str, object]:
        asked.append((controller, manager))
        return {'state': 'inactive', 'joints': list(exported().contract.joint_names)}

    monkeypatch.setattr('rl_control.ros.controller_info.query_controller', ask)
    assert main(['check', str(policy), '--controller', '/jtc', '--manager', '/cm']) == 1
    words = capsys.readouterr().out
    assert 'refused  controller state: the controller is inactive; load and activate' in words
    assert 'ok       controller joints: the same in the same order' in words
    assert asked == [('/jtc', '/cm')]


def test_a_truncated_policy_is_refused(policy: Path, refused) -> None:
    policy.write_bytes(policy.read_bytes()[:-100])
    assert refused('inspect', str(policy)) == (
        f'policy {policy} does not have the digest in policy.onnx.sha256; export or copy it again')
    digest_path(policy).write_text(digest(policy.read_bytes()))
    assert str(policy) in refused('inspect', str(policy))


def test_a_policy_without_its_digest_is_refused(policy: Path, tmp_path: Path, refused) -> None:
    digest_path(policy).unlink()
    assert 'policy.onnx.sha256: No such file' in refused('inspect', str(policy))
    assert 'none.onnx: No such file' in refused('inspect', str(tmp_path / 'none.onnx'))
    assert 'Is a directory' in refused('inspect', str(tmp_path))


def test_evaluate(policy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    task = tmp_path / 'task.yaml'
    task.write_text('/**: {ros__parameters: {task: {episode_period: 0.2, success_distance: 1.0}}}')
    arguments = ['evaluate', str(policy), '--episodes', '3', '--task', str(task), '--json']
    assert main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert first['episodes'] == 3
    assert first['success_rate'] in (0.0, 1 / 3, 2 / 3, 1.0)
    assert first['interval'][0] <= first['success_rate'] <= first['interval'][1]
    assert np.isfinite(first['mean_return']) and first['mean_return'] < 0.0
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main([*arguments, '--seed', '1']) == 0
    assert json.loads(capsys.readouterr().out)['mean_return'] != first['mean_return']


@EACH
def test_evaluate_in_each_engine(
    policy: Path, engine: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:
    require(engine)
    task = tmp_path / 'task.yaml'
    task.write_text('/**: {ros__parameters: {task: {episode_period: 0.2}}}')
    assert main(['evaluate', str(policy), '--episodes', '3', '--task', str(task), '--json',
                 '--simulator', engine]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)['simulator'] == engine
    assert told.err == f'simulating in {engine}\n'


def test_a_policy_is_not_evaluated_with_another_contract(policy: Path, refused) -> None:
    assert refused('evaluate', str(policy), '--robot', 'panda') == (
        f'robot panda has robot panda but {policy} has iiwa; '
        'use a policy and a robot of the same contract')
    assert 'robot gymnasium:Pendulum-v1' in refused(
        'evaluate', str(policy), '--robot', 'gymnasium:Pendulum-v1')
    assert "no 'none' in robots; known are" in refused('evaluate', str(policy), '--robot', 'none')
    assert refused('evaluate', str(policy), '--episodes', '0') == '--episodes is 0; give 1 or more'
    assert refused('evaluate', str(policy), '--seed', '-1') == '--seed is -1; give 0 or more'


def test_another_rate_is_refused(policy: Path, tmp_path: Path, refused) -> None:
    robot = tmp_path / 'fast.yaml'
    text = (ROOT / 'config' / 'robots' / 'iiwa.yaml').read_text()
    robot.write_text(text + '      control_rate: 50.0\n')
    assert 'control_period 0.02 but' in refused('evaluate', str(policy), '--robot', str(robot))


def test_export(
    tmp_path: Path, refused, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refused('export', str(tmp_path / 'none'))
    assert sentence.startswith(f'checkpoint {tmp_path}/none cannot be read: ')
    assert sentence.endswith('name a directory that the learner saved')
    output = tmp_path / 'out.onnx'
    assert refused('export', str(tmp_path), '-o', '/none/out.onnx') == (
        'there is no directory for --output /none/out.onnx; make it first')
    monkeypatch.setattr(
        'rl_control.learning.export.export_checkpoint', lambda path: (exported(), 1e-7))
    assert main(['export', str(tmp_path), '-o', str(output), '--json']) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {'policy': str(output), 'version': 1, 'parity_max_abs_error': 1e-7,
                     'contract_hash': exported().contract.hash}
    assert output.read_bytes() == exported().data and digest_path(output).is_file()


def test_launch_rejects_unknown_arguments(refused) -> None:
    assert refused('launch', 'none') == (
        f"graph 'none' is not known; known are {', '.join(GRAPHS)}")
    assert "argument 'colour' is not known here; known are" in refused(
        'launch', 'train_sim', 'colour:=red')
    assert refused('launch', 'train_sim', 'robot') == (
        "argument 'robot' has no :=; write NAME:=VALUE")
    assert "no 'none' in robots; known are" in refused('launch', 'train_sim', 'robot:=none')


@pytest.mark.parametrize('name', GRAPHS)
def test_launch_explains_its_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['launch', name, '--show-args']) == 0
    words = capsys.readouterr().out
    for argument in GRAPHS[name].arguments:
        assert f'{argument.name}:=' in words and argument.doc in words


def test_launch_returns_the_exit_status_and_saves_the_run_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given: list[list[NodeProcess]] = []
    statuses = iter([0, run_graph.INTERRUPTED, 3])
    monkeypatch.setattr('rl_control.cli.launch.run_graph', lambda processes, environment: (
        given.append(processes), next(statuses))[1])
    command = ['launch', 'train_sim', 'out:=a:=b', 'collectors:=1']
    assert [main(command), main(command)] == [0, 130]
    assert capsys.readouterr().err == ''
    assert main(command) == 3
    assert capsys.readouterr().err == 'rl-control: a process ended with 3\n'
    assert [process.name for process in given[0]] == [
        'learner', 'broadcaster', 'monitor', 'collector_0']
    assert given[0][1].parameters == {'broadcaster.out': 'a:=b'}
    assert json.loads((tmp_path / 'a:=b' / 'started.json').read_text()) == {
        'graph': 'train_sim', 'arguments': {'out': 'a:=b', 'collectors': '1'}}
    left = yaml.safe_load((tmp_path / 'a:=b' / 'parameters.yaml').read_text())
    assert list(left) == ['/learner', '/broadcaster', '/monitor', '/collector_0']
    assert left['/collector_0']['ros__parameters']['robot']['name'] == 'iiwa'


def test_ctrl_c_stops_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient:
        """A supervisor that is interrupted by Ctrl-C."""

        def __init__(self, *arguments: object) -> None:
            pass

        def wait(self, stopped) -> int:
            assert not stopped()
            os.kill(os.getpid(), signal.SIGINT)
            assert stopped()
            return 0

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(run_graph, 'Supervisor', Impatient)
    monkeypatch.setattr(run_graph, '_require_names_free', lambda *arguments: None)
    assert run_graph.run_graph([], {'ROS_DOMAIN_ID': '1'}) == run_graph.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) == before


def test_without_ros_nothing_is_launched(refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    sentence = refused('launch', 'train_sim')
    assert 'ROS 2 is not found' in sentence and 'pip install' in sentence


def test_the_demo_ends_when_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[list[NodeProcess]] = []

    def interrupted(processes: list[NodeProcess], *more: object) -> int:
        graphs.append(processes)
        return run_graph.INTERRUPTED

    monkeypatch.setattr(demo, 'run_graph', interrupted)
    robot = tmp_path / 'arm.yaml'
    robot.write_text((ROOT / 'config' / 'robots' / 'iiwa.yaml').read_text().replace(
        'jerk_limit: [1000.0]', 'jerk_limit: [1e3]'))
    out = tmp_path / 'out'
    assert main(['demo', '--out', str(out), '--robot', str(robot), '--seed', '3']) == 130
    assert len(graphs) == 1  # it does not go on to deploy
    written = out / 'parameters.yaml'
    assert read_parameter_file(written, 'robot')['jerk_limit'] == [1000.0]
    assert read_parameter_file(written, 'algorithm')['seed'] == 3
    assert read_parameter_file(written, 'algorithm')['gamma'] == read_parameter_file(
        ROOT / 'config' / 'tasks' / 'reach.yaml', 'algorithm')['sac.gamma']
    assert read_parameter_file(written, 'learner')['out'] == str(out)


def test_the_demo_keeps_existing_files(tmp_path: Path, refused) -> None:
    file = tmp_path / 'file'
    file.touch()
    for out in (tmp_path, file):
        assert refused('demo', '--out', str(out)) == (
            f'{out} is not an empty directory; give --out a new one')
    assert main(['demo', '--out', str(tmp_path / 'new'), '--collectors', '0']) == 2
    assert not (tmp_path / 'new').exists()


def test_the_doctor_reports_the_installation(
    ros_domain: int, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(['doctor', '--json'])
    findings = {entry['what']: entry for entry in json.loads(capsys.readouterr().out)}
    assert status == int(any(entry['remedy'] for entry in findings.values()))
    assert findings['numpy']['value'] == np.__version__
    assert findings['rmw']['value'].startswith('rmw_')
    assert findings['ROS_DOMAIN_ID'] == {
        'what': 'ROS_DOMAIN_ID', 'value': str(ros_domain), 'remedy': ''}
    assert main(['doctor']) == status
    words = capsys.readouterr().out
    assert f'  numpy: {np.__version__}\n' in words


def test_the_doctor_reports_an_invalid_domain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rl_control.cli._installation import _domain

    for domain, good in (('', True), ('0', True), ('101', True), ('102', False), ('x', False)):
        monkeypatch.setenv('ROS_DOMAIN_ID', domain)
        assert (_domain().remedy == '') == good


def test_the_doctor_runs_on_a_bare_python() -> None:
    ended = subprocess.run(  # -S: without the packages of any environment
        [sys.executable, '-S', '-m', 'rl_control', 'doctor', '--json'], capture_output=True,
        text=True, timeout=60, cwd=ROOT, check=False, env={'PYTHONPATH': str(ROOT)})
    assert ended.returncode == 1, ended.stderr
    remedies = {entry['what']: entry['remedy'] for entry in json.loads(ended.stdout)}
    assert remedies['numpy'] == 'pip install numpy' and remedies['torch']


def test_the_doctor_runs_without_packages() -> None:
    absent = ('rclpy', 'onnx', 'onnxruntime', 'torch', 'gymnasium', 'mcap',
              'rosbags', 'safetensors', 'matplotlib', 'PIL', 'rich', 'onnxscript')
    engines = ('pybullet', 'mujoco')
    code = (f'import sys\nfor name in {absent + engines!r}: sys.modules[name] = None\n'
            'from rl_control.cli import main\nsys.exit(main(["doctor", "--json"]))')
    ended = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert ended.returncode == 1, ended.stderr
    missing = {entry['what'] for entry in json.loads(ended.stdout) if entry['remedy']}
    assert missing >= {*absent, 'simulator'}
