# SPDX-License-Identifier: Apache-2.0
"""The sampler: drawn rows, their frequency and their weights."""

from learning import ACTION, HIGH, LOW, OBSERVATION, made_up_batch, shaken, small_agent
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning.algorithms import ALGORITHMS
from rl_control.learning.replay import ReplayBuffer, Sampler


def _filled(rewards, capacity: int = 50) -> ReplayBuffer:
    replay = ReplayBuffer(1, 1, capacity, seed=0)
    for step, reward in enumerate(rewards):
        replay.append('c', 0, step, [step], [0.1 * step], reward, [step + 1], 1.0)
    return replay


def _sampler(replay: ReplayBuffer, act=None, **settings) -> Sampler:
    """Return a sampler to whose critic the error of a row is its reward."""
    return Sampler(
        replay, AlgorithmSettings(gamma=0.9, **settings), np.array([2.0]),
        lambda batch: np.abs(batch.reward), act)


def test_without_options_it_is_the_buffer():
    one, other = _filled(range(40)), _filled(range(40))
    batch, weight = _sampler(one).sample(16)
    assert weight is None
    for mine, expected in zip(batch, other.sample(16), strict=True):
        np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize('exponent', [0.5, 1.0])
def test_rows_are_drawn_in_proportion_to_their_error(exponent):
    replay = _filled(range(1, 11))
    sampler = _sampler(replay, priority_exponent=exponent, importance_exponent=0.7)
    counts, share = np.zeros(10), np.arange(1, 11) ** exponent
    share /= share.sum()
    for _ in range(500):
        batch, weight = sampler.sample(40)
        rows = batch.reward.astype(int) - 1
        counts += np.bincount(rows, minlength=10)
        expected = (10 * share[rows]) ** -0.7
        np.testing.assert_allclose(weight, expected / expected.max(), rtol=1e-4)
    # 20,000 draws: a standard deviation is sqrt(n p) at most, and stratified ones have less.
    assert (np.abs(counts - 20_000 * share) < 4 * np.sqrt(20_000 * share)).all()


def test_errors_that_were_learned_become_priorities():
    replay = _filled(np.ones(10))
    sampler = _sampler(replay, priority_exponent=1.0)
    batch, _ = sampler.sample(200)
    seen = batch.observation[:, 0].astype(int)
    assert set(seen) == set(range(10))
    sampler.update_priorities(np.where(seen == 3, 9.0, 0.0))
    batch, _ = sampler.sample(1000)
    assert (batch.observation[:, 0] == 3).mean() > 0.999


def test_rows_that_come_later_get_their_own_priority_and_no_old_one():
    """Through a turn of the buffer: the priority of a slot is that of the row in it."""
    replay = _filled([1.0] * 8, capacity=8)
    sampler = _sampler(replay, priority_exponent=1.0)
    sampler.sample(4)
    sampler.update_priorities(np.full(4, 1000.0))
    for step in range(8, 16):
        replay.append('c', 0, step, [step], [0.0], 3.0 if step == 12 else 1.0, [step + 1], 1.0)
    share = np.concatenate([sampler.sample(50)[0].observation[:, 0] == 12 for _ in range(200)])
    assert share.mean() == pytest.approx(0.3, abs=0.02)


def test_a_first_pass_goes_over_all_rows_in_parts(monkeypatch):
    monkeypatch.setattr('rl_control.learning.replay.sampler.CHUNK', 7)
    sampler = _sampler(_filled(range(40)), priority_exponent=1.0)
    batch, _ = sampler.sample(5000)
    counts = np.bincount(batch.reward.astype(int), minlength=40)
    np.testing.assert_allclose(counts / 5000, np.arange(40) / 780, atol=0.01)


def test_priorities_that_are_nan_are_refused():
    with pytest.raises(InvalidInput, match='the critic has diverged'):
        _sampler(_filled([1.0, np.nan]), priority_exponent=1.0).sample(2)
    sampler = _sampler(_filled([1.0, 1.0]), priority_exponent=1.0)
    sampler.sample(2)
    with pytest.raises(InvalidInput, match='the critic has diverged'):
        sampler.update_priorities(np.array([1.0, np.inf]))


def test_several_steps_and_priorities_go_together():
    sampler = _sampler(_filled(np.arange(10)), n_step=3, priority_exponent=1.0)
    batch, _ = sampler.sample(20)
    first = batch.observation[:, 0]
    full = first < 8
    np.testing.assert_allclose(
        batch.reward[full], (first + 0.9 * (first + 1) + 0.81 * (first + 2))[full], rtol=1e-5)


def test_a_trace_is_cut_where_the_policy_would_do_something_else():
    replay = _filled(np.ones(10))
    # Done was 0.1 at step 1, 0.2 at step 2 and so on; now it would be 0.5 everywhere.
    sampler = _sampler(
        replay, lambda observation: np.full((len(observation), 1), 0.5, np.float32),
        n_step=3, correction='cut', trace_tolerance=0.16)
    batch, _ = sampler.sample(400)
    first = batch.observation[:, 0]
    rewards = {k: batch.reward[first == k][0] for k in range(10)}
    # |0.1 k - 0.5| <= 0.16 * 2 holds for rows 2 to 8; the first row of a return always counts.
    long, two = 1 + 0.9 + 0.81, 1 + 0.9
    expected = [1, long, long, long, long, long, long, two, 1, 1]
    np.testing.assert_allclose([rewards[k] for k in range(10)], expected, rtol=1e-5)


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_every_algorithm_takes_all_of_it(algorithm):
    """With one set of options on: the errors come back as priorities, weights stay changed."""
    agent = shaken(small_agent(
        algorithm, n_step=3, correction='cut', trace_tolerance=0.5, priority_exponent=0.6))
    rng = np.random.default_rng(0)
    replay = ReplayBuffer(OBSERVATION, ACTION, 30, seed=5)
    replay.extend('c', np.zeros(40), np.arange(40), *made_up_batch(rng, 40))
    sampler = Sampler(
        replay, agent.settings, np.subtract(HIGH, LOW) / 2,
        lambda batch: agent.td_error(batch).numpy(), agent.act)
    before = agent.tensors()
    for _ in range(3):
        batch, weight = sampler.sample(8)
        agent.update(batch, weight)
        assert agent.error.shape == (8,)
        sampler.update_priorities(agent.error.numpy())
    assert weight.max() == 1.0 and weight.min() < 1.0
    assert any(not np.array_equal(tensor, before[name])
               for name, tensor in agent.tensors().items() if 'weight' in name)


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_a_weight_of_zero_teaches_nothing_and_of_one_what_none_does(algorithm):
    batch = made_up_batch(np.random.default_rng(0))
    spoiled = batch._replace(reward=batch.reward + np.float32([0, 0, 0, 1e3, 0, 0, 0, 0]))
    weight = np.ones(8, np.float32)
    agents = [small_agent(algorithm) for _ in range(4)]
    weightless = weight.copy()
    weightless[3] = 0.0
    for agent, rows, weights in zip(
        agents, (batch, spoiled, batch, batch), (weightless, weightless, weight, None),
        strict=True,
    ):
        agent.update(rows, weights)
    learned = 'optimiser.actor' if algorithm == 'bc' else 'optimiser.critic'
    critics = [[tensor for name, tensor in agent.tensors().items() if learned in name]
               for agent in agents]
    for one, other in ((0, 1), (2, 3)):
        for mine, others in zip(critics[one], critics[other], strict=True):
            np.testing.assert_allclose(mine, others, rtol=1e-5, atol=1e-8)
    assert not all(np.array_equal(*pair) for pair in zip(critics[0], critics[2], strict=True))


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_td_error_is_what_the_update_finds(algorithm):
    batch = made_up_batch(np.random.default_rng(0))
    batch = batch._replace(discount=np.zeros(8, np.float32))  # no noise in what lies behind
    agent = shaken(small_agent(algorithm))
    before = agent.td_error(batch)
    agent.update(batch)
    np.testing.assert_allclose(before, agent.error, rtol=1e-5)
    assert (agent.td_error(batch) != before).any()
