# SPDX-License-Identifier: Apache-2.0
"""The named speeds: when targets move, and when what is learned from."""

from types import SimpleNamespace

from learning import CONTRACT, made_up_batch, small_agent
import numpy as np
import pytest
import torch
from trainers import some_steps

from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import LearnerSettings
from rl_control.learning.algorithms import ALGORITHMS, settings_of
from rl_control.learning.trainer import Trainer

TARGETS = {'ddpg': 'target_critic', 'td3': 'target_critic', 'sac': 'target_critic',
           'naf': 'target_critic', 'qt_opt': 'averaged_critic', 'td3_bc': 'target_critic',
           'iql': 'target_critic'}


def _trainer(tmp_path, **values) -> Trainer:
    settings = settings_of('ddpg')(hidden_sizes=(8,), **values)
    return Trainer(CONTRACT, 'ddpg', settings, LearnerSettings(
        out=str(tmp_path), threads=1, headroom=1), 'run-1', lambda data, version: None)


def _learn(trainer: Trainer) -> int:
    """Do what is due, and return how much that was."""
    before = trainer.updates
    while trainer._due():
        trainer.agent.update(*trainer.sampler.sample(trainer._settings.batch_size))
    return trainer.updates - before


def test_every_algorithm_with_a_target_is_tried():
    assert TARGETS.keys() == ALGORITHMS.keys() - {'bc'}


@pytest.mark.parametrize('algorithm', TARGETS)
@pytest.mark.parametrize('speed', ['hard', 'fitted', 'online', 'polyak'])
def test_when_targets_move(algorithm, speed):
    values = {'policy_delay': 1} if algorithm.startswith('td3') else {}
    agent = small_agent(algorithm, update_schedule=speed, target_period=3, tau=0.5, **values)
    target = agent.networks[TARGETS[algorithm]]
    online = agent.policy.critic if algorithm == 'qt_opt' else agent.critic
    for k in range(7):
        before = [weight.clone() for weight in target.parameters()]
        agent.update(made_up_batch(np.random.default_rng(k)))
        moved = any(not torch.equal(*pair) for pair in zip(
            before, target.parameters(), strict=True))
        same = all(torch.equal(*pair) for pair in zip(
            online.parameters(), target.parameters(), strict=True))
        copied = speed == 'online' or (speed != 'polyak' and k % 3 == 2)
        assert (moved, same) == (copied or speed == 'polyak', copied)


def test_fitted_collects_a_sweep_and_then_learns_it(tmp_path):
    trainer = _trainer(
        tmp_path, update_schedule='fitted', target_period=10, updates_per_transition=0.5,
        learning_starts=40, batch_size=4)
    made = []
    for first in range(0, 100, 10):
        trainer.put(some_steps(first, 10))
        trainer._ingest(wait=False)
        made.append(_learn(trainer))
        # Collectors may always make the next sweep: it never waits for what is not granted.
        assert trainer.allowance >= 40 + 20 * (trainer.updates // 10 + 1)
    # Twenty transitions, then ten updates, at whose end the target is copied.
    assert made == [0, 0, 0, 0, 0, 10, 0, 10, 0, 10]


def test_fitted_copies_at_the_end_of_each_of_a_thousand_sweeps(tmp_path):
    """Three updates a transition, of which no whole number makes a sweep of 100."""
    trainer = _trainer(tmp_path, update_schedule='fitted', target_period=100,
                       updates_per_transition=3.0, learning_starts=40, batch_size=4)
    copied = []
    target = SimpleNamespace(polyak_update=lambda online, tau: copied.append(
        (trainer.agent.updates, tau)))
    ends = []
    for made in range(1, 40 + 33_334 + 1):
        trainer.transitions = made
        while trainer._due():
            trainer.agent.updates += 1
            trainer.agent._update_target(target, None)
            if not trainer._due():
                ends.append((trainer.agent.updates, 1.0))
        assert trainer.allowance > made
    assert copied == ends == [(100 * sweep, 1.0) for sweep in range(1, 1001)]


def test_polyak_learns_as_it_comes(tmp_path):
    trainer = _trainer(
        tmp_path, updates_per_transition=0.5, learning_starts=40, batch_size=4)
    made = []
    for first in range(0, 100, 10):
        trainer.put(some_steps(first, 10))
        trainer._ingest(wait=False)
        made.append(_learn(trainer))
    assert made == [0, 0, 0, 0, 5, 5, 5, 5, 5, 5]


def test_online_learns_each_transition_once_as_it_comes(tmp_path):
    trainer, steps = _trainer(tmp_path, update_schedule='online'), some_steps(0, 12)
    assert trainer.replay.capacity == 1
    seen, update = [], trainer.agent.update

    def recorded(batch, weight):
        seen.append(batch.reward.tolist())
        return update(batch, weight)

    trainer.agent.update = recorded
    trainer.put(steps)
    for _ in range(60):  # as `run` does
        due = trainer._due()
        trainer._ingest(wait=False)
        if due:
            trainer.agent.update(*trainer.sampler.sample(trainer._settings.batch_size))
    assert trainer.transitions == 12
    np.testing.assert_allclose(seen, np.float32(steps.reward[:, None]))


def test_settings_that_do_not_go_together_are_refused():
    td3 = settings_of('td3')
    with pytest.raises(InvalidInput, match='target_period is 5, no multiple of policy_delay 2'):
        td3(update_schedule='hard', target_period=5)
    td3(update_schedule='polyak', target_period=5)
    with pytest.raises(
        InvalidInput, match='update_schedule is online, which keeps one transition'
    ):
        td3(update_schedule='online', n_step=3)
    with pytest.raises(InvalidInput, match='known are online, hard, polyak, fitted'):
        td3(update_schedule='fast')


def test_settings_of_a_speed_are_read_back_as_they_were():
    for speed in ('online', 'fitted'):
        settings = settings_of('sac')(update_schedule=speed)
        assert settings_of('sac').from_mapping(settings.to_mapping()) == settings
