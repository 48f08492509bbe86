# SPDX-License-Identifier: Apache-2.0
"""The trainer: what it resumes, what it saves, and that a full disk does not end it."""

import threading

from learning import CONTRACT, exported
import pytest
import torch
from trainers import Running, learn, make, save, some_steps, tensors_equal

from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import LearnerSettings
from rl_control.learning import checkpoint, trainer
from rl_control.learning.export import cached_exporter
from rl_control.policies.onnx_policy import OnnxPolicy


def test_resumed_it_goes_on_as_if_never_stopped(tmp_path):
    one = make(tmp_path)
    for first in range(0, 130, 13):
        one.put(some_steps(first, 13))
    learn(one)
    one.versions, one.parity = 7, 1e-7
    save(one)
    other = make(tmp_path)
    other.resume(checkpoint.latest(tmp_path / 'checkpoints'), [
        some_steps(first, 13) for first in range(0, 130, 13)])
    assert (one.updates, one.transitions) == (other.updates, other.transitions) == (45, 130)
    assert (other.versions, other.parity) == (7, 1e-7)
    assert (one.replay.rows == other.replay.rows).all()
    assert (one.replay.successor == other.replay.successor).all()
    assert (one.replay.total, one.replay._newest) == (other.replay.total, other.replay._newest)
    assert tensors_equal(one, other)
    for each in (one, other):
        each.put(some_steps(130, 60))
        learn(each)
    assert one.updates == 75 and tensors_equal(one, other)


def test_what_came_after_the_checkpoint_is_learned_from_as_if_it_had_just_come(tmp_path):
    one = make(tmp_path, observation_normalisation='running')
    one.put(some_steps(0, 60))
    learn(one)
    save(one)
    other = make(tmp_path, observation_normalisation='running')
    # The journal's pieces are not those in which the steps came.
    other.resume(checkpoint.latest(tmp_path / 'checkpoints'), [
        some_steps(0, 60), some_steps(60, 40)])
    one.put(some_steps(60, 40))
    one._ingest(wait=False)
    normaliser, its = one.agent.policy.normaliser, other.agent.policy.normaliser
    assert its.count == 100 and torch.equal(normaliser.mean, its.mean)
    assert (other.updates, other.transitions, other._due()) == (10, 100, True)
    assert other.allowance == one.allowance == 40 + 20 + 256
    learn(one)
    learn(other)
    assert one.updates == 30 and tensors_equal(one, other)


def test_other_settings_are_rejected_and_a_shorter_journal_is_logged(tmp_path, caplog):
    one = make(tmp_path)
    one.put(some_steps(0, 60))
    learn(one)
    save(one)
    saved = checkpoint.latest(tmp_path / 'checkpoints')
    with pytest.raises(
        InvalidInput, match=r'has hidden_sizes \[16, 12\] but \[8\] is set; set \[16, 12\] again'
    ):
        make(tmp_path, hidden_sizes=(8,)).resume(saved, [])
    with pytest.raises(InvalidInput, match=r'has observation_normalisation fixed but none is set'):
        make(tmp_path, observation_normalisation='none').resume(saved, [])
    other = make(tmp_path, gamma=0.5)
    other.resume(saved, [some_steps(0, 50)])
    assert 'journal has 50 transitions but the checkpoint was made from 60' in caplog.text
    assert not other._due()


def test_versions_grow_and_the_first_checkpoint_comes_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, 'FIRST_CHECKPOINT', 0.1)
    with Running(tmp_path) as running:
        running.until(lambda: len(running.published) >= 3 and running.trainer._saver.saved > 0)
        assert checkpoint.latest(tmp_path / 'checkpoints').updates > 0
    versions = [version for version, _ in running.published]
    assert versions == sorted(set(versions))
    assert [OnnxPolicy(data).version for _, data in running.published] == versions
    assert checkpoint.latest(tmp_path / 'checkpoints').updates == running.trainer.updates
    assert checkpoint.latest(tmp_path / 'checkpoints').state['transitions'] == (
        running.trainer.transitions)


def test_the_publish_period_may_change_while_it_trains(tmp_path):
    with Running(tmp_path, publish_period=3600.0) as running:
        running.until(lambda: running.trainer.updates > 20)
        assert not running.published
        running.trainer.apply_settings(LearnerSettings(
            out=str(tmp_path), threads=1, publish_period=0.05))
        running.until(lambda: len(running.published) >= 2)


def test_learning_rates_follow_their_factor_by_plain_updates(tmp_path, monkeypatch):
    with Running(tmp_path) as running:
        one = running.trainer
        running.until(lambda: one.updates > 20)
        compiled = []
        monkeypatch.setattr(one._updates, 'update', lambda *batch: compiled.append(batch))
        one.apply_settings(LearnerSettings(out=str(tmp_path), threads=1, learning_rate_factor=0.0))
        turns = one.turns
        running.until(lambda: one.turns > turns + 2)
        weights, updates = one.agent.tensors(), one.updates
        compiled.clear()
        running.until(lambda: one.updates > updates + 5)
        assert not compiled
        after = one.agent.tensors()
        for name, before in weights.items():
            if name.startswith(('critic.', 'policy.actor')):
                assert torch.equal(before, after[name]), name


def test_training_pauses_and_goes_on(tmp_path):
    with Running(tmp_path) as running:
        one = running.trainer
        running.until(lambda: one.updates > 20)
        one.apply_settings(LearnerSettings(out=str(tmp_path), threads=1, paused=True))
        turns = one.turns
        running.until(lambda: one.turns > turns + 2)  # the update that was under way is over
        updates, turns = one.updates, one.turns
        running.until(lambda: one.turns > turns + 10)
        assert one.updates == updates
        one.apply_settings(LearnerSettings(out=str(tmp_path), threads=1))
        running.until(lambda: one.updates > updates)


def test_a_full_disk_keeps_the_old_checkpoint_and_training_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, 'FIRST_CHECKPOINT', 0.05)
    save, full = checkpoint.save, threading.Event()

    def sometimes(*arguments):
        if full.is_set():
            raise OSError(28, 'No space left on device')
        return save(*arguments)

    monkeypatch.setattr(checkpoint, 'save', sometimes)
    with Running(tmp_path) as running:
        one = running.trainer
        running.until(lambda: one._saver.saved > 0)
        full.set()
        running.until(lambda: one.error)
        assert 'No space left' in one.error
        before, newest = one.updates, checkpoint.latest(tmp_path / 'checkpoints').updates
        running.until(lambda: one.updates >= before + 20)
        assert checkpoint.latest(tmp_path / 'checkpoints').updates == newest
        full.clear()
    assert not one.error
    assert checkpoint.latest(tmp_path / 'checkpoints').updates == one.updates


def test_what_only_some_updates_tell_stays_among_the_metrics(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, 'METRICS_PERIOD', 0.0)
    told = []
    with Running(tmp_path) as running:
        one = running.trainer
        running.until(lambda: one.updates > 2)
        update, measure = one.agent.update, one._measure

        def every_other(*given):
            losses = update(*given)
            return {name: value for name, value in losses.items()
                    if name != 'actor_loss' or one.updates % 2 == 0}

        monkeypatch.setattr(one.agent, 'update', every_other)
        monkeypatch.setattr(one, '_measure', lambda losses, rate: told.append(
            (one.updates % 2, 'actor_loss' in losses)) or measure(losses, rate))
        running.until(lambda: {odd for odd, _ in told} == {0, 1} and len(told) > 20)
    assert all(there for _, there in told)


def test_a_graph_of_another_policy_is_traced_anew(tmp_path):
    one = make(tmp_path, hidden_sizes=(4,))
    for content in (exported(), b'nonsense'):
        (tmp_path / trainer.GRAPH).write_bytes(content)
        exporter = cached_exporter(
            tmp_path / trainer.GRAPH, one.agent.policy, CONTRACT, 'sac', 'run-1')
        assert exporter.verify(exporter.export(1, 2)) < 1e-6
        assert (tmp_path / trainer.GRAPH).read_bytes() not in (exported(), b'nonsense')
