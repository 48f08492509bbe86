# SPDX-License-Identifier: Apache-2.0
"""Symmetric sampling: half offline, half online."""

from dataclasses import replace

from learning import ACTION, CONTRACT, OBSERVATION
import numpy as np
import pytest
from trainers import SETTINGS, learn, make, save, some_steps, tensors_equal

from rl_control.bags.dataset import Dataset
from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import LearnerSettings
from rl_control.learning import checkpoint
from rl_control.learning.algorithms import settings_of
from rl_control.learning.trainer import Trainer
from rl_control.offline.load_dataset import load_transitions
from rl_control.transport.transition_rows import TransitionRows


def _make(out, offline, **values) -> Trainer:
    settings = settings_of('sac')(**{**SETTINGS, **values})
    return Trainer(CONTRACT, 'sac', settings, LearnerSettings(out=str(out), threads=1), 'run-1',
                   lambda data, version: None, offline=offline)


def _old(number: int = 300):
    steps = some_steps(0, number)
    return replace(steps, reward=np.full(number, 100.0) + np.arange(number))


@pytest.mark.parametrize('priority', [0.0, 0.6])
def test_half_of_each_batch_is_old_however_much_of_it_there_is(tmp_path, priority):
    trainer = _make(tmp_path, _old(), priority_exponent=priority)
    trainer.put(some_steps(0, 45))
    trainer._ingest(wait=False)
    for size, new in ((8, 4), (7, 4), (1, 1)):
        batch, weight = trainer.sampler.sample(size)
        assert (batch.reward < 50.0).tolist() == [True] * new + [False] * (size - new)
        assert batch.observation.shape == (size, OBSERVATION)
        assert (weight is None) == (priority == 0.0)
        trainer.agent.update(batch, weight)
        trainer.sampler.update_priorities(trainer.agent.error.numpy())


def test_errors_go_back_to_the_rows_they_are_of(tmp_path):
    trainer = _make(tmp_path, _old(), priority_exponent=1.0)
    trainer.put(some_steps(0, 45))
    trainer._ingest(wait=False)
    batch, _ = trainer.sampler.sample(200)
    trainer.sampler.update_priorities(np.where(batch.reward == batch.reward[150], 1e9, 1e-3))
    again, _ = trainer.sampler.sample(200)
    assert (again.reward[100:] == batch.reward[150]).mean() > 0.99
    assert len(set(again.reward[:100])) > 5


def test_old_data_counts_for_the_normaliser_and_not_as_transitions(tmp_path):
    trainer = _make(tmp_path, _old())
    assert (trainer.transitions, len(trainer.replay)) == (0, 0)
    assert trainer.agent.policy.normaliser.count == 300


def test_resumed_it_goes_on_as_if_never_stopped(tmp_path):
    one, other = (_make(tmp_path, _old()) for _ in range(2))
    for first in range(0, 60, 20):
        one.put(some_steps(first, 20))
    one._ingest(wait=False)
    one.agent.update(*one.sampler.sample(8))
    save(one)
    other.resume(checkpoint.latest(tmp_path / 'checkpoints'),
                 [some_steps(first, 20) for first in range(0, 60, 20)])
    for trainer in (one, other):
        for _ in range(5):
            trainer.agent.update(*trainer.sampler.sample(8))
    assert tensors_equal(one, other)


def test_a_dataset_becomes_steps(tmp_path):
    steps = _old(20)
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=20) for name in TransitionRows.__dataclass_fields__}
    values |= {
        'episode': steps.episode, 'step': steps.step, 'observation': steps.observation,
        'action': steps.action, 'applied': rng.normal(size=(20, ACTION)),
        'reward': steps.reward, 'next_observation': steps.next_observation,
        'terminated': np.arange(20) % 2 == 0, 'intervention': np.zeros(20, bool),
    }
    Dataset(CONTRACT, TransitionRows(**values), steps.stream.astype(np.int64), ('a', 'b')).save(
        tmp_path / 'set')
    read = load_transitions(tmp_path / 'set', CONTRACT)
    order = np.argsort(steps.stream, kind='stable')
    np.testing.assert_allclose(read.reward, steps.reward[order])
    np.testing.assert_allclose(read.action, steps.action[order])
    np.testing.assert_allclose(read.discount, (np.arange(20) % 2)[order])
    assert [read.streams[k] for k in read.stream] == ['a'] * 10 + ['b'] * 10
    with pytest.raises(InvalidInput, match='this learner has robot another'):
        load_transitions(tmp_path / 'set', replace(CONTRACT, robot='another'))
    values['reward'][3] = np.nan
    Dataset(CONTRACT, TransitionRows(**values), steps.stream.astype(np.int64), ('a', 'b')).save(
        tmp_path / 'nan')
    with pytest.raises(InvalidInput, match='nan has 1 rows whose reward is not finite'):
        load_transitions(tmp_path / 'nan', CONTRACT)


def test_without_old_data_nothing_is_different(tmp_path):
    one, other = make(tmp_path), _make(tmp_path, None)
    for trainer in (one, other):
        trainer.put(some_steps(0, 60))
        learn(trainer)
    assert tensors_equal(one, other)


@pytest.mark.parametrize('priority', [0.0, 0.6])
def test_what_people_did_is_half_of_each_batch_or_all_there_is(tmp_path, priority):
    trainer = make(tmp_path, priority_exponent=priority)
    trainer.put(some_steps(0, 45))
    trainer._ingest(wait=False)
    batch, weight = trainer.sampler.sample(8)
    assert len(batch.reward) == 8
    trainer.agent.update(batch, weight)
    trainer.sampler.update_priorities(trainer.agent.error.numpy())
    steps = replace(some_steps(45, 40), reward=100.0 + np.arange(40))
    took = np.arange(40) % 4 == 1
    trainer.put(replace(steps, intervention=took))
    trainer._ingest(wait=False)
    assert len(trainer.demonstrations) == 10 and len(trainer.replay) == trainer.transitions == 85
    # Ten interventions: half of a batch of twenty, and no more than ten of a hundred.
    interventions = steps.reward[took].astype(np.float32)
    for size, old in ((8, 4), (20, 10), (100, 10)):
        batch, _ = trainer.sampler.sample(size)
        assert len(batch.reward) == size
        assert set(batch.reward[size - old:]) <= set(interventions)
        trainer.sampler.update_priorities(np.ones(size))
    if not priority:  # they are among the new ones, too: 10 of 85
        assert len(set(batch.reward[-old:])) > 5
        assert np.isin(batch.reward, interventions).sum() < 40
    assert set(batch.reward[:-old]) & set(some_steps(0, 45).reward.astype(np.float32))


def test_what_people_did_is_there_again_after_a_restart(tmp_path):
    steps = replace(some_steps(0, 30), intervention=np.arange(30) >= 20)
    one, other = make(tmp_path / 'one'), make(tmp_path / 'other')
    one.put(steps)
    one._ingest(wait=False)
    other.resume(None, [steps])
    np.testing.assert_array_equal(one.demonstrations.rows, other.demonstrations.rows)
    assert len(one.demonstrations) == 10
    for single in steps.singly():
        assert len(single.interventions()) == int(single.intervention[0])
