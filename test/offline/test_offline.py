# SPDX-License-Identifier: Apache-2.0
"""Offline training: resuming, rejected settings and data, and the whole command."""

from collections.abc import Callable
from dataclasses import replace
import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

from arms import panda
from datasets import dataset, rows
from learning import CONTRACT, OBSERVATION, small_agent
import numpy as np
import pytest
from recordings import ARRAY, JOINT_STATE, MS, START, joint_state, mcap, table
import torch

from rl_control.bags.dataset import Dataset
from rl_control.cli import main
from rl_control.common.errors import InvalidInput
from rl_control.common.metrics_log import read_metrics
from rl_control.config.files import config_directory
from rl_control.config.offline import OfflineSettings
from rl_control.config.offline_algorithms import IqlSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import NamedRobot, load_arm
from rl_control.learning import checkpoint, checkpoint_writer
from rl_control.learning.algorithms import ALGORITHMS, settings_of
from rl_control.offline import off_policy_evaluation
from rl_control.offline.fitted_q_evaluation import EvaluationData, FittedSettings, FittedValues
from rl_control.offline.load_dataset import load_data, tuned_for
from rl_control.offline.run import _facts, prepare, train
from rl_control.offline.training import OfflineTraining
from rl_control.policies.onnx_policy import load
from rl_control.robots.kinematics import Kinematics
from rl_control.transport.transition_rows import transition_columns

SMALL = {'hidden_sizes': (16, 12), 'batch_size': 8, 'observation_normalisation': 'fixed'}
ROOT = Path(__file__).parents[2]


def bag(out: Path, robot_of=CONTRACT) -> Path:
    """Return the directory of a run with a journal of such rows, and what names its contract."""
    columns, messages = transition_columns(CONTRACT), []
    for first in range(0, 400, 50):
        head = json.dumps({'collector': 'c', 'run': 'run-1', 'contract_hash': CONTRACT.hash,
                           'first_sequence': first, 'oldest': 0})
        messages.append((START + first * MS, '/transitions', ARRAY,
                         table(columns, rows()[first:first + 50], head)))
    mcap(out / 'journal' / 'journal_0.mcap', messages)
    (out / 'run.json').write_text(json.dumps({
        'run': 'r', 'algorithm': 'sac', 'contract': robot_of.to_json()}))
    return out


def training(data: Path, out: Path, updates: int = 60, algorithm: str = 'iql', **values):
    settings = OfflineSettings(data=str(data), out=str(out), updates=updates, algorithm=algorithm)
    return OfflineTraining(
        settings, settings_of(algorithm)(**{**SMALL, **values}),
        load_data(settings, SamplingSettings(), NamedRobot('', '')), 'run-1')


def quiet(*_) -> None:
    """Show nothing."""


def after(count: int) -> Callable[[], bool]:
    """Return what says stop when it is asked for the `count` + 1st time."""
    left = iter(range(count))
    return lambda: next(left, None) is None


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_stopped_and_resumed_it_is_as_if_never_stopped(tmp_path: Path, algorithm: str) -> None:
    """Bit for bit, with the curve, for each algorithm on fixed data."""
    data = dataset(tmp_path / 'data')
    small = {'qt_opt': {'cem_samples': 8, 'cem_elites': 2}}.get(algorithm, {})
    one = training(data, tmp_path / 'one', algorithm=algorithm, **small)
    assert one.run(quiet, lambda: False)
    for stop in (17, 30):
        other = training(data, tmp_path / 'two', algorithm=algorithm, **small)
        assert not other.run(quiet, after(stop))
    other = training(data, tmp_path / 'two', algorithm=algorithm, **small)
    assert other.agent.updates == 47
    assert other.run(quiet, lambda: False)
    mine, its = one.agent.tensors(), other.agent.tensors()
    assert all(torch.equal(mine[name], its[name]) for name in mine)
    assert [row['updates'] for row in other.curve] == list(range(1, 61))
    assert one.curve[-1] | {'time': 0.0} == other.curve[-1] | {'time': 0.0}


def test_what_is_learned_is_every_row_and_no_other(tmp_path: Path) -> None:
    one = training(dataset(tmp_path / 'data'), tmp_path / 'out')
    expected = rows()
    assert len(one._replay) == 400
    np.testing.assert_array_equal(
        one._replay.fields.reward, expected[:, 5].astype(np.float32))
    np.testing.assert_array_equal(
        one._replay.fields.next_observation, expected[:, -OBSERVATION:].astype(np.float32))
    assert (np.diff(np.flatnonzero(one._replay.successor < 0)) == 20).all()
    normaliser = one.agent.policy.normaliser
    torch.testing.assert_close(
        normaliser.mean, torch.from_numpy(expected[:, 9:9 + OBSERVATION].mean(0)).float())


def some_gaps() -> np.ndarray:
    """Return five episodes, of which the second is whole and three more have a beginning."""
    return np.delete(rows(100), [5, 6, 40, 79, 90], axis=0)


def test_an_incomplete_episode_does_not_count_in_the_mean_return(tmp_path: Path) -> None:
    facts = _facts(Dataset.load(dataset(tmp_path / 'data', some_gaps())), 'data')
    assert (facts['episodes'], facts['transitions']) == (1, 95)
    assert facts['mean_return'] == pytest.approx(rows(100)[20:40, 5].sum())
    none = _facts(Dataset.load(dataset(tmp_path / 'none', rows(100)[1:19])), 'data')
    assert none['episodes'] == 0 and none['mean_return'] is None


@pytest.mark.parametrize('beginnings', [True, False])
def test_a_policy_is_evaluated_from_the_beginnings_of_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beginnings: bool
) -> None:
    known = []

    def fit(part: EvaluationData, *_) -> FittedValues:
        known.append(part)
        return FittedValues(np.arange(2.0), 7.0 * (len(known) > 1), 0.5 * (len(known) < 2))

    monkeypatch.setattr(off_policy_evaluation, 'fit', fit)
    made = some_gaps() if beginnings else rows(20)[3:18]
    found = off_policy_evaluation.evaluate_policy(
        small_agent('iql'), Dataset.load(dataset(tmp_path / 'data', made)),
        FittedSettings(0.9, 1, 2, 0), quiet, lambda: False)
    assert [part.start_episode.tolist() for part in known] == [
        [0, 1, 3, 4] if beginnings else [0]] * 2
    np.testing.assert_array_equal(
        known[1].start, known[1].inputs[[0, 18, 57, 76] if beginnings else [0]])
    assert found['episodes'] == len(known[0].start)
    assert f'There are {found["episodes"]} episodes, too few' in ' '.join(found['warnings'])
    # Of each fit what is wrong with it.
    assert 'estimate of the behaviour still moved by 7' in ' '.join(found['warnings'])
    assert '50% of the values that were fitted for the policy left' in ' '.join(found['warnings'])
    assert len(found['warnings']) == 4 + (not beginnings)


def test_other_data_or_settings_are_refused(tmp_path: Path) -> None:
    data, out = dataset(tmp_path / 'data'), tmp_path / 'out'
    training(data, out).run(quiet, after(5))
    with pytest.raises(InvalidInput, match=r'has expectile 0.7 but 0.9 is set; set 0.7 again'):
        training(data, out, expectile=0.9)
    with pytest.raises(InvalidInput, match='was trained from other data than'):
        training(dataset(tmp_path / 'other', rows(seed=1)), out)
    with pytest.raises(
        InvalidInput, match='update_schedule is online, which learns from each transition'
    ):
        training(data, tmp_path / 'new', update_schedule='online')
    assert training(data, out, updates=90).agent.updates == 5  # more updates are no other


def test_a_training_that_is_not_finite_ends_in_one_sentence(tmp_path: Path) -> None:
    made = rows()
    made[:, 5] = 1e30
    one = training(dataset(tmp_path / 'data', made), tmp_path / 'out')
    with pytest.raises(
        InvalidInput, match=r'after 1 updates \w+ is inf; take smaller learning rates'
    ):
        one.run(quiet, lambda: False)
    assert checkpoint.latest(tmp_path / 'out' / 'checkpoints') is None


@pytest.mark.parametrize(('given', 'words'), [
    ({'data': 'none'}, 'there is no data none; name a dataset, a bag'),
    ({'data': ''}, 'setting data is empty'),
    ({'algorithm': 'ppo'}, "algorithm 'ppo' is not known; known are .*iql"),
    ({'robot': 'iiwa'}, 'robot iiwa has robot iiwa but data .* has made_up'),
    ({'robot': 'none'}, "there is no 'none' in robots"),
    ({'updates': 0}, 'setting updates is 0'),
], ids=str)
def test_bad_input_is_refused(tmp_path: Path, given: dict, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        settings = OfflineSettings(**{
            'data': str(dataset(tmp_path / 'data')), 'out': str(tmp_path / 'out'), **given})
        prepare(settings, {}, SamplingSettings())


def test_data_without_rows_or_with_nan_is_refused(tmp_path: Path) -> None:
    for column, value, name in ((-1, np.nan, 'next_observation'), (5, -1e39, 'reward')):
        made = rows()
        made[[3, 7], column] = value
        with pytest.raises(
            InvalidInput, match=f'has 2 rows whose {name} is not finite in .*row 3'
        ):
            training(dataset(tmp_path / name, made), tmp_path / 'out')
    empty = tmp_path / 'empty'
    mcap(empty / 'journal_0.mcap', [(START, '/joint_states', ARRAY, b'')])
    with pytest.raises(InvalidInput, match='do not name the robot; give --robot'):
        training(empty, tmp_path / 'out')


def test_the_contract_of_a_journal_is_that_of_its_run(tmp_path: Path) -> None:
    found = training(bag(tmp_path / 'run'), tmp_path / 'out')
    assert found.agent.contract == CONTRACT and len(found._replay) == 400
    assert training(tmp_path / 'run', tmp_path / 'out').agent.updates == 0  # made once
    (tmp_path / 'run' / 'journal' / 'journal_1.mcap').write_bytes(
        (tmp_path / 'run' / 'journal' / 'journal_0.mcap').read_bytes())
    with pytest.raises(
        InvalidInput, match='made from other bags or with other settings; name another out'
    ):
        training(tmp_path / 'run', tmp_path / 'out')
    with pytest.raises(
        InvalidInput, match=r'recorded with contract .*, which no packaged robot has'
    ):
        training(bag(tmp_path / 'other', replace(CONTRACT, robot='x')), tmp_path / 'new')


def test_a_full_disk_is_one_sentence_and_what_was_saved_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = dataset(tmp_path / 'data'), tmp_path / 'out'
    training(data, out).run(quiet, after(5))

    def full(*_) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(checkpoint_writer.checkpoint, 'save', full)
    settings = OfflineSettings(data=str(data), out=str(out), updates=20)
    with pytest.raises(
        InvalidInput, match=r'cannot be written \(.*No space left on device\)+; free'
    ):
        train(settings, SMALL, SamplingSettings(), quiet, lambda: False)
    assert checkpoint.latest(out / 'checkpoints').updates == 5


PARAMETERS = '''/**:
  ros__parameters:
    algorithm: {hidden_sizes: [16, 12], batch_size: 8, gamma: 0.8}
'''


def test_the_command_from_bag_to_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / 'out'
    (tmp_path / 'small.yaml').write_text(PARAMETERS)
    assert main([
        'offline', '--data', str(bag(tmp_path / 'run')), '--algorithm', 'td3_bc', '--updates',
        '150', '--out', str(out), '--evaluation-updates', '200', '--seed', '3', '--parameters',
        str(tmp_path / 'small.yaml')]) == 0
    told = capsys.readouterr().out
    report = json.loads((out / 'report.json').read_text())
    policy = load(out / 'policy.onnx')
    assert (policy.version, policy.training_steps, policy.algorithm) == (150, 400, 'td3_bc')
    assert policy.contract == CONTRACT and policy.run == report['run']
    assert report['data']['episodes'] == 20 and report['data']['transitions'] == 400
    assert report['data']['mean_return'] == pytest.approx(rows()[:, 5].sum() / 20)
    evaluation = report['evaluation']
    assert evaluation['gamma'] == 0.8 and evaluation['policy']['low'] < evaluation['policy'][
        'high']
    for sentence in evaluation['warnings']:
        assert sentence in told and sentence.replace("'", '&#x27;') in (
            out / 'report.html').read_text()
    curve = read_metrics(out)
    assert [row['updates'] for row in curve] == list(range(1, 151))
    assert all(row['critic_loss'] >= 0.0 for row in curve)
    assert (out / 'curves.png').stat().st_size > 1000
    assert checkpoint.latest(out / 'checkpoints').state['settings']['seed'] == 3
    # What the page says to run again is this: nothing is refused, nothing is left to be learned.
    (again,) = re.findall('rl-control (offline .*?)<', (out / 'report.html').read_text())
    taken = []
    monkeypatch.setattr('rl_control.offline.run.finish', lambda one, *_: taken.append(one))
    before = (out / 'parameters.yaml').read_text()
    assert main(again.split()) == 130
    assert taken[0].agent.updates == 150 and (out / 'parameters.yaml').read_text() == before


def counted_arms(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the URDF's file name of each arm that is loaded from now on."""
    loaded, load_arm = [], Kinematics.__init__

    def counting(self: Kinematics, urdf: Path, *rest: object) -> None:
        loaded.append(urdf.name)
        load_arm(self, urdf, *rest)

    monkeypatch.setattr(Kinematics, '__init__', counting)
    return loaded


def test_a_bag_of_topics_loads_its_arm_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The arm that resamples the topics is the one whose task relabels goals."""
    names, at = panda().settings.joint_names, panda().home
    mcap(tmp_path / 'bag.mcap', [
        (START + n * 10 * MS, '/joint_states', JOINT_STATE,
         joint_state(names, at, np.zeros(len(at)), stamp=START + n * 10 * MS))
        for n in range(300)])
    loaded = counted_arms(monkeypatch)
    one = prepare(
        OfflineSettings(data=str(tmp_path / 'bag.mcap'), robot='panda', out=str(tmp_path / 'out')),
        SMALL,
        SamplingSettings(goal=(0.4, 0.0, 0.5), action='measured'))
    assert len(one.dataset) > 50 and one.dataset.contract == panda().contract()
    assert loaded == ['panda.urdf']


def test_the_search_for_a_contract_loads_each_robot_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bag(tmp_path / 'run') / 'run.json').unlink()
    loaded = counted_arms(monkeypatch)
    with pytest.raises(InvalidInput, match='which no packaged robot has'):
        prepare(OfflineSettings(data=str(tmp_path / 'run'), out=str(tmp_path / 'out')),
                SMALL, SamplingSettings())
    robots = list((config_directory() / 'robots').glob('*.yaml'))
    assert len(loaded) == len(robots) > 2


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    (tmp_path / 'small.yaml').write_text(PARAMETERS)
    line = [sys.executable, '-m', 'rl_control', 'offline', '--data', str(dataset(
        tmp_path / 'data')), '--algorithm', 'bc', '--updates', '100000000', '--out', str(out),
        '--parameters', str(tmp_path / 'small.yaml'), '--checkpoint-period', '0.1']
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env={
        **os.environ, 'PYTHONPATH': str(ROOT)})
    deadline = time.monotonic() + 60.0
    while checkpoint.latest(out / 'checkpoints') is None:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=30.0)
    assert process.returncode == 130
    assert 'stopped; run the same command again to resume from' in told
    saved = checkpoint.latest(out / 'checkpoints').updates
    assert training(tmp_path / 'data', out, algorithm='bc', updates=10**8, **{
        'gamma': 0.8, 'observation_normalisation': 'none'}).agent.updates == saved > 0


def test_what_is_tuned_for_the_data_s_task_comes_before_what_the_user_says(tmp_path: Path) -> None:
    """By the contract's task, whatever `task` says; nothing for a task without a file."""
    arm = load_arm('iiwa', 'follow')
    reach = load_arm('iiwa', 'reach').contract()
    own = tmp_path / 'own.yaml'
    own.write_text('/**: {ros__parameters: {task: {name: follow}, algorithm: {iql: {tau: 0.5}}}}')
    settings = OfflineSettings(data='x', task='reach')
    assert tuned_for(settings, arm.contract())['iql.expectile'] == 0.8
    assert tuned_for(replace(settings, task=str(own)), arm.contract()) == {'iql.tau': 0.5}
    assert tuned_for(settings, reach)['sac.gamma'] == 0.85
    assert tuned_for(settings, replace(reach, task='none')) == {}
    assert tuned_for(settings, replace(reach, robot='gymnasium:Reach-v0')) == {}
    data = dataset(tmp_path / 'data')
    trained = prepare(OfflineSettings(data=str(data), out=str(tmp_path / 'out'), algorithm='iql'),
                      {'bc.gamma': 0.3, 'iql.tau': 0.2, 'gamma': 0.6}, SamplingSettings())
    assert (trained.algorithm.gamma, trained.algorithm.tau) == (0.6, 0.2)
    assert trained.algorithm.expectile == IqlSettings().expectile
