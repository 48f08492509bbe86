# SPDX-License-Identifier: Apache-2.0
"""Retrace: closed forms of a small chain, and plain loops over random streams."""

from itertools import product

from goal_episodes import filled
from learning import ACTION, HIGH, LOW, OBSERVATION, made_up_batch, shaken, small_agent
import numpy as np
import pytest
import torch

from rl_control.common.errors import InvalidInput
from rl_control.config.algorithm import SacSettings
from rl_control.learning.algorithms import ALGORITHMS, settings_of
from rl_control.learning.batch_sampler import make_symmetric_sampler
from rl_control.learning.replay import Batch, Hindsight, ReplayBuffer, Sampler
from rl_control.transport.transition_rows import TransitionRows

GAMMA = 0.9
PI, MU = {-1.0: 0.2, 1.0: 0.8}, {-1.0: 0.5, 1.0: 0.5}  # of the chain's two actions
REWARD = {-1.0: 3.0, 1.0: 1.0}


def _targets(replay: ReplayBuffer, evaluate, n: int, decay: float = 1.0, gamma: float = GAMMA):
    """Return the target of each row of the buffer, whose value behind the last step is v."""
    sampler = Sampler(
        replay, SacSettings(n_step=n, correction='retrace', trace_decay=decay, gamma=gamma),
        np.ones(1), None, None, evaluate=evaluate)
    batch = sampler._batch(np.arange(len(replay)))
    _, value, _ = evaluate(batch.next_observation, batch.action)
    return batch.reward + gamma * batch.discount * value


def _episode(replay: ReplayBuffer, name: str, actions, log_prob) -> None:
    for step, action in enumerate(actions):
        replay.append(name, 0, step, [step], [action], REWARD[action], [step + 1], 1.0,
                    log_prob[step])


def _chain(behind: int) -> tuple[ReplayBuffer, np.ndarray]:
    """Return every episode of 1 + `behind` actions, the first +1, and how likely each is."""
    replay, share = ReplayBuffer(1, 1, 1000, seed=0), []
    for k, actions in enumerate(product(PI, repeat=behind)):
        actions = 1.0, *actions
        _episode(replay, str(k), actions, [np.log(MU[action]) for action in actions])
        share.append(np.prod([MU[action] for action in actions[1:]]))
    return replay, np.array(share)


def _evaluate(q, v):
    def evaluate(observation, action):
        log_pi = np.log([PI[a] for a in action[:, 0].tolist()])
        return q(action[:, 0]), np.full(len(action), v, np.float32), log_pi
    return evaluate


@pytest.mark.parametrize('decay', [0.0, 0.6, 1.0])
@pytest.mark.parametrize('n', [2, 3, 5])
def test_the_value_of_the_policy_stays_what_it_is(n, decay):
    """An endless chain: v = E_pi r / (1 - gamma) and q = r + gamma v, from whatever was done."""
    v = sum(PI[a] * REWARD[a] for a in PI) / (1.0 - GAMMA)
    replay, _ = _chain(4)
    target = _targets(replay, _evaluate(lambda a: 2.0 - a + GAMMA * v, v), n, decay)
    np.testing.assert_allclose(target, replay.fields.reward[:80] + GAMMA * v, rtol=1e-5)


@pytest.mark.parametrize('decay', [0.5, 1.0])
@pytest.mark.parametrize('n', [1, 2, 4])
def test_closed_form_of_a_chain(n, decay):
    """From q = v = 0 only rewards count, each by the chance that both policies would earn it."""
    replay, share = _chain(n - 1)
    target = _targets(replay, _evaluate(np.zeros_like, 0.0), n, decay)[::n]
    both = sum(min(PI[a], MU[a]) for a in PI)
    earned = sum(min(PI[a], MU[a]) * REWARD[a] for a in PI)
    expected = REWARD[1.0] + sum(
        (GAMMA * decay) ** t * both ** (t - 1) * earned for t in range(1, n))
    assert share @ target == pytest.approx(expected, rel=1e-6)


def test_by_hand():
    """Three steps, of which the second is 0.4 times as likely as it was, the third more so."""
    replay = ReplayBuffer(1, 1, 10, seed=0)
    _episode(replay, 'c', (1.0, -1.0, 1.0), np.log([0.5, 0.5, 0.5]))
    target = _targets(replay, _evaluate(lambda a: 10.0 + a, 7.0), 3, decay=0.8)
    # c_1 = 0.8 * 0.4, c_2 = 0.8 * 1; q of what was done is 9, then 11; v is 7 everywhere.
    second, third = 3.0 + 0.9 * 7.0 - 9.0, 1.0 + 0.9 * 7.0 - 11.0
    expected = [1.0 + 0.9 * 7.0 + 0.9 * 0.32 * (second + 0.9 * 0.8 * third),
                3.0 + 0.9 * 7.0 + 0.9 * 0.8 * third, 1.0 + 0.9 * 7.0]
    np.testing.assert_allclose(target, expected, rtol=1e-6)


def test_on_policy_it_is_the_return_of_several_steps():
    """Where q says no more than v; with entropy, where v's one action is the one that was done."""
    rng = np.random.default_rng(0)
    replay, alpha, n = ReplayBuffer(1, 1, 100, seed=0), 0.3, 4
    log_prob = rng.normal(size=50).astype(np.float32)
    for step in range(50):
        replay.append('c', 0, step, [step], [0.0], rng.normal(), [step + 1], 1.0, log_prob[step])

    def evaluate(observation, action):
        of = observation[:, 0].astype(int)
        q = np.sin(observation[:, 0])
        log_pi = np.append(log_prob, 0.0)[of]
        return q, q - alpha * log_pi, log_pi

    target = _targets(replay, evaluate, n)
    reward, value = replay.fields.reward, evaluate(np.arange(51.0)[:, None], None)[1]
    for k in range(47):
        expected = sum(GAMMA**t * reward[k + t] for t in range(n)) + GAMMA**n * value[k + n]
        expected -= sum(GAMMA**t * alpha * log_prob[k + t] for t in range(1, n))
        assert target[k] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def _made_up(observation, action):
    """Return q, v and log pi that are some function of where one is."""
    s, a = observation[:, 0].astype(np.float64), action[:, 0].astype(np.float64)
    return np.sin(s + a), np.cos(s), -np.abs(a - 0.3)


def test_against_a_loop_over_random_streams():
    """Ends of both kinds, gaps, unknown densities, three collectors, many turns of the buffer."""
    rng = np.random.default_rng(1)
    replay, history, where = (
        ReplayBuffer(1, 1, 37, seed=0),
        [],
        {'a': (0, 0), 'b': (0, 0), 'c': (0, 0)},
    )
    longest = 0
    for turn in range(400):
        stream = str(rng.choice(list(where)))
        episode, step = where[stream]
        # float32, so that the loop sees what the buffer holds.
        s, a, r, log_mu = rng.normal(size=4).astype(np.float32).tolist()
        log_mu = float('nan') if rng.random() < 0.1 else log_mu - 1.0
        discount = float(rng.random() > 0.1)
        replay.append(stream, episode, step, [s], [a], r, [s + 1.0], discount, log_mu)
        history.append(((stream, episode, step), s, a, r, discount, log_mu))
        ends = discount == 0.0 or rng.random() < 0.1
        where[stream] = (episode + 1, 0) if ends else (episode, step + 1 + (rng.random() < 0.05))
        if turn % 7:
            continue
        here = history[-37:]
        known = {row[0]: row for row in here}
        n, decay = int(rng.integers(1, 6)), float(rng.choice([1.0, 0.7]))
        got = _targets(replay, _made_up, n, decay)
        for key, s, a, r, discount, _ in here:
            slot = history.index(known[key]) % 37
            target, power, t = r, 1.0, 0
            next_s = np.float32(s + 1.0)
            while True:
                next_v = float(_made_up(np.array([[next_s]]), np.zeros((1, 1)))[1][0])
                target += power * GAMMA * discount * next_v
                t += 1
                row = known.get((key[0], key[1], key[2] + t))
                if t == n or discount == 0.0 or row is None or np.isnan(row[5]):
                    break
                _, s, a, r, discount, log_mu = row
                q, v, log_pi = (x[0] for x in _made_up(np.array([[s]]), np.array([[a]])))
                # What stood for this state is taken back: v of the row, as it is evaluated.
                target += power * GAMMA * (v - next_v)
                power *= GAMMA * decay * min(1.0, np.exp(log_pi - log_mu))
                target += power * (r - q)
                next_s = np.float32(s + 1.0)
            assert got[slot] == pytest.approx(target, rel=1e-4, abs=1e-5)
            longest = max(longest, t)
    assert longest == 5


def test_with_hindsight_the_window_has_one_goal_and_ends_where_it_was_reached():
    """q, v and pi are asked for the new goal; nothing behind the goal counts."""
    task, replay, where = filled()
    replay.log_prob[:] = 0.0
    asked = []

    def evaluate(observation, action):
        asked.append(observation.copy())
        return np.full((3, len(observation)), (5.0, 7.0, np.log(0.5))[0]) * [[1.0], [1.4], [0.0]]

    sampler = Sampler(
        replay, SacSettings(n_step=3, correction='retrace', gamma=0.5, hindsight=1.0),
        np.ones(2), None, None, Hindsight(replay, task, 1.0, np.full(2, -2.0), np.full(2, 3.0)),
        evaluate)
    slots = np.repeat(np.arange(60), 20)
    batch = sampler._batch(slots)
    rows = 0
    for k, slot in enumerate(slots):
        _, episode, step = where[slot + 60 if slot < 40 else slot]
        goal = round(batch.observation[k, -9] + batch.observation[k, -6] - 100.0 * episode)
        m = min(3, goal - step)
        rewards = [0.0 if step + j + 1 == goal else -1.0 for j in range(m)]
        # c = 1 everywhere: r_0 + sum of 0.5^t (r_t + v - q), v - q = 2.
        expected = rewards[0] + sum(0.5**t * (rewards[t] + 2.0) for t in range(1, m))
        assert batch.reward[k] == pytest.approx(expected)
        assert batch.discount[k] == pytest.approx(0.5 ** (m - 1))
        rows += m - 1
    (asked,) = asked
    assert len(asked) == rows
    assert (np.abs(asked[:, -9] + asked[:, -6]) < 900.0).all()  # the old goal is at 1000 m


def test_limits_leave_the_density_and_an_intervention_has_none():
    rng = np.random.default_rng(0)
    batch, n = made_up_batch(rng, 6), np.zeros(6)
    applied = batch.action.astype(float)
    applied[2, 1] += 0.3 * (HIGH[1] - LOW[1])
    intervention = np.arange(6) == 3
    log_prob = np.array([0.5, 1.5, 2.5, 3.5, np.nan, 5.5])
    rows = TransitionRows(
        n, np.arange(6), n, n, log_prob, batch.reward, n > 0, n > 0, intervention,
        batch.observation, batch.action, applied, batch.next_observation)
    steps = rows.steps(('a',), n.astype(int))
    expected = [0.5, 1.5, 2.5, np.nan, np.nan, 5.5]
    np.testing.assert_array_equal(steps.log_prob, expected)
    replay = ReplayBuffer(OBSERVATION, ACTION, 10, seed=0)
    replay.extend_mixed(steps)
    np.testing.assert_array_equal(replay.log_prob[:6], expected)
    assert steps.interventions().log_prob.tolist() == [pytest.approx(np.nan, nan_ok=True)]


def test_by_hand_where_a_limiter_halves_each_action():
    """
    Two steps, each rewarded by what was applied, a / 2, of requests that were +1 or -1 evenly.

    The policy prefers +1 by 0.8, so the first +1 is worth 0.5 + 0.9 (0.8 0.5 - 0.2 0.5) = 0.77.
    The critic says -2 everywhere. One step gives 0.5 - 0.9 2 = -1.3; Retrace adds
    0.9 (0.5 1 (0.5 + 2) + 0.5 0.4 (-0.5 + 2)) = 1.395.
    """
    actions = np.array([1.0, 1.0, 1.0, -1.0])
    step, episode = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    target = {}
    for known in (True, False):
        log_prob = np.full(4, np.log(0.5) if known else np.nan)
        rows = TransitionRows(
            episode, step, step, step, log_prob, actions / 2, step == 1, step < 0, step < 0,
            step[:, None], actions[:, None], actions[:, None] / 2, step[:, None] + 1)
        ring = ReplayBuffer(1, 1, 10, seed=0)
        ring.extend_mixed(rows.steps(('a',), np.zeros(4, int)))
        targets = _targets(ring, _evaluate(lambda a: np.full_like(a, -2.0), -2.0), 2)
        target[known] = targets[[0, 2]].mean()
    assert target[True] == pytest.approx(0.095, abs=1e-6)
    assert target[False] == pytest.approx(-1.3, abs=1e-6)


def test_the_density_of_what_was_done_is_told_again():
    agent = shaken(small_agent('sac', observation_normalisation='fixed'))
    rng = np.random.default_rng(0)
    observation = torch.from_numpy(rng.normal(1.0, 3.0, (500, OBSERVATION))).float()
    noise = torch.from_numpy(rng.standard_normal((500, ACTION))).float()
    action, log_prob = agent.policy(observation, noise)
    q, _, told = agent.evaluate(observation.numpy(), action.detach().numpy())
    np.testing.assert_allclose(told, log_prob.detach().numpy(), atol=0.02)
    normalised = agent.policy.normaliser(observation)
    np.testing.assert_allclose(q, agent.target_critic(
        normalised, agent.policy.action_scale.normalise(action)).amin(0).detach(), rtol=1e-4)
    # The soft value by the mean of many actions.
    values = np.mean([
        agent.evaluate(observation[:1].repeat(500, 1).numpy(), action.detach().numpy())[1].mean()
        for _ in range(20)])
    own, density = agent.policy.sample(
        normalised[:1].repeat(10000, 1), torch.randn(10000, ACTION))
    soft = agent.target_critic(normalised[:1].repeat(10000, 1), own).amin(0)
    soft = (soft - agent.temperature() * density).mean().item()
    assert values == pytest.approx(soft, abs=0.05)
    # At the bounds themselves: finite, and no more likely than nearer to the middle.
    edge = np.tile(np.float32(HIGH), (500, 1))
    at_bound = agent.evaluate(observation.numpy(), edge)[2]
    assert np.isfinite(at_bound).all()


@pytest.mark.parametrize('algorithm', [name for name in ALGORITHMS if name != 'sac'])
def test_it_is_sac_s_alone(algorithm):
    with pytest.raises(
        InvalidInput, match='correction is retrace, which needs the log density'
    ):
        settings_of(algorithm)(correction='retrace')


def test_sac_learns_with_all_of_it():
    agent = shaken(small_agent(
        'sac', n_step=4, correction='retrace', priority_exponent=0.6, critics=4))
    replay = ReplayBuffer(OBSERVATION, ACTION, 30, seed=5)
    rng = np.random.default_rng(0)
    replay.extend('c', np.zeros(40), np.arange(40), *made_up_batch(rng, 40))
    replay.log_prob[:] = rng.normal(size=30)
    sampler = make_symmetric_sampler(agent, replay, ReplayBuffer(OBSERVATION, ACTION, 30, seed=5))
    before = agent.tensors()
    for _ in range(3):
        batch, weight = sampler.sample(8)
        assert isinstance(batch, Batch) and all(field.dtype == np.float32 for field in batch)
        agent.update(batch, weight)
        sampler.update_priorities(agent.error.numpy())
    assert any(not np.array_equal(tensor, before[name])
               for name, tensor in agent.tensors().items() if 'weight' in name)


def test_a_million_transitions_of_seven_joints_stay_below_400_mb():
    replay = ReplayBuffer(30, 7, 1_000_000, seed=0)
    size = replay.rows.nbytes + replay.successor.nbytes + replay.log_prob.nbytes
    assert size < 300e6
