# SPDX-License-Identifier: Apache-2.0
"""TD3+BC, implicit Q-learning and cloning by numbers worked by hand, and what they are for."""

import math
from types import SimpleNamespace

from learning import ACTION, CONTRACT, OBSERVATION, Fixed, made_up_batch, small_agent
import numpy as np
import pytest
import torch

from rl_control.common.types import Column, Contract
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.learning.replay import Batch


def test_td3_bc_weighs_q_against_the_distance_from_the_data():
    agent = small_agent('td3_bc', value_weight=3.0)
    agent.policy.actor = Fixed(torch.tensor([[0.5, 0.0, -0.5], [0.0, 0.0, 1.0]]))
    agent.critic = Fixed(torch.tensor([[2.0, -4.0], [9.0, 9.0]]))
    loss = agent.actor_loss(torch.zeros(2, OBSERVATION), torch.zeros(2, ACTION))
    # Squares 0.25, 0, 0.25, 0, 0, 1 by the mean; lambda is 3 / mean(2, 4), the mean of q -1.
    assert loss.item() == pytest.approx(1.5 / 6 - 3.0 / 3.0 * -1.0)


def test_td3_bc_takes_no_notice_of_the_scale_of_the_reward():
    """Lambda: ten times the reward, hence q, makes the same gradient of the actor."""
    gradients = []
    for scale in (1.0, 10.0):
        agent = small_agent('td3_bc')
        with torch.no_grad():
            agent.critic.weights[-1].mul_(scale)
            agent.critic.biases[-1].mul_(scale)
        batch = made_up_batch(np.random.default_rng(0))
        loss = agent.actor_loss(
            torch.from_numpy(batch.observation), torch.from_numpy(batch.action))
        gradients.append(torch.autograd.grad(loss, agent.policy.actor[0].weight)[0])
    torch.testing.assert_close(*gradients)


def test_td3_bc_without_a_weight_of_q_clones():
    td3_bc, bc = small_agent('td3_bc', value_weight=0.0, policy_delay=1), small_agent(
        'bc', observation_normalisation='fixed')
    bc.policy.load_state_dict(td3_bc.policy.state_dict())
    for k in range(5):
        batch = made_up_batch(np.random.default_rng(k))
        td3_bc.update(batch)
        bc.update(batch)
    for name, weight in bc.policy.state_dict().items():
        torch.testing.assert_close(weight, td3_bc.policy.state_dict()[name])


def test_the_state_value_is_the_expectile_of_q():
    agent = small_agent('iql', expectile=0.8)
    loss = agent.value_loss(torch.tensor([2.0, -3.0]), 1.0)
    assert loss.item() == pytest.approx((0.8 * 4.0 + 0.2 * 9.0) / 2)
    # By descent: the expectile m of 0 and 1 holds 0.8 (1 - m) = 0.2 m, so it is 0.8.
    m = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.SGD([m], lr=0.3)
    for _ in range(200):
        optimiser.zero_grad()
        agent.value_loss(torch.tensor([0.0, 1.0]) - m, 1.0).backward()
        optimiser.step()
    assert m.item() == pytest.approx(0.8, abs=1e-4)


def test_iql_target_needs_no_next_action():
    agent = small_agent('iql', gamma=0.9)
    agent.value = Fixed(torch.tensor([[10.0], [20.0], [30.0]]))
    target_q = agent.target_q(
        torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.9, 0.0]), torch.zeros(3, OBSERVATION))
    torch.testing.assert_close(target_q, torch.tensor([10.0, 2.0 + 0.81 * 20.0, 3.0]))


def test_iql_losses():
    agent = small_agent('iql', inverse_temperature=2.0, weight_limit=5.0)
    assert agent.critic_loss(
        torch.tensor([[1.0, 2.0], [0.0, 9.0]]), torch.tensor([3.0, 5.0]), 1.0).item() == 19.0
    agent.policy = SimpleNamespace(log_prob=Fixed(torch.tensor([-1.0, -10.0])))
    loss = agent.actor_loss(None, None, torch.tensor([0.5, 4.0]), 1.0)
    # exp(1) and, cut from exp(8), 5.
    assert loss.item() == pytest.approx((math.e * 1.0 + 5.0 * 10.0) / 2)


def test_iql_log_density_is_that_of_torch():
    policy = small_agent('iql').policy
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([-9.0, 0.3, -1.0]))  # the first is held at -5
    rng = np.random.default_rng(0)
    observation = torch.from_numpy(rng.normal(size=(6, OBSERVATION))).float()
    action = torch.from_numpy(rng.uniform(-1.0, 1.0, (6, ACTION))).float()
    expected = torch.distributions.Normal(
        policy.actor(observation), torch.tensor([-5.0, 0.3, -1.0]).exp())
    constant = 0.5 * ACTION * math.log(2.0 * math.pi)
    torch.testing.assert_close(
        policy.log_prob(observation, action) - constant,
        expected.log_prob(action).sum(1), rtol=1e-4, atol=1e-4)


def test_iql_explores_as_widely_as_it_learned():
    policy = small_agent('iql').policy
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([-3.0, -2.0, -1.0]))
    observation, noise = torch.zeros(1, OBSERVATION), torch.ones(1, ACTION)
    away = policy(observation, noise) - policy(observation, 0.0 * noise)
    half_range = torch.tensor(np.subtract(CONTRACT.action_high, CONTRACT.action_low)) / 2
    torch.testing.assert_close(
        away[0], (half_range * torch.tensor([-3.0, -2.0, -1.0]).exp()).float())


def test_cloning_is_least_squares():
    """In one state the best that cloning can do is the mean of what was done there."""
    agent = small_agent('bc', actor_learning_rate=1e-2)
    rng = np.random.default_rng(0)
    batch = made_up_batch(rng, 64)._replace(observation=np.ones((64, OBSERVATION), np.float32))
    for _ in range(500):
        agent.update(batch)
    assert agent.act(batch.observation[:1])[0] == pytest.approx(
        batch.action.mean(0), abs=1e-2)
    spread = agent.policy.action_scale.normalise(torch.from_numpy(batch.action)).var(
        0, unbiased=False).mean()
    assert agent.td_error(batch).square().mean().item() == pytest.approx(spread.item(), rel=1e-2)


LINE = Contract(
    'made_up', 'line', (), (Column('s', 'm'),), (Column('a', 'm'),), (-1.0,), (1.0,),
    'position', 0.1)


def _walk(rng: np.random.Generator, rows: int) -> Batch:
    """Return steps on a line that a person of two minds made: s' = s + a / 2, reward -s'^2."""
    here = rng.uniform(-1.0, 1.0, (rows, 1))
    good = rng.random((rows, 1)) < 0.5
    action = np.where(good, -2.0, 2.0) * here + rng.normal(0.0, 0.1, (rows, 1))
    action = np.clip(action, -1.0, 1.0)
    there = np.clip(here + 0.5 * action, -2.0, 2.0)
    return Batch(*(part.astype(np.float32) for part in (
        here, action, -there[:, 0]**2, there, np.ones(rows))))


def _return(agent) -> float:
    """Return the mean sum of rewards of 10 steps from everywhere."""
    here, total = np.linspace(-1.0, 1.0, 41, dtype=np.float32)[:, None], 0.0
    for _ in range(10):
        here = here + 0.5 * agent.act(here)
        total -= float(np.square(here).mean())
    return total


@pytest.mark.parametrize('algorithm', ['td3_bc', 'iql'])
def test_offline_learning_beats_cloning(algorithm):
    """From a half of good and a half of bad actions a clone stands still, and these go to 0."""
    returns = {}
    data = _walk(np.random.default_rng(0), 2000)
    for name in (algorithm, 'bc'):
        rates = {key: 3e-3 for key in settings_of(name)().to_mapping()
                 if key.endswith('learning_rate')}
        agent = make_agent(
            name, LINE, settings_of(name)(hidden_sizes=(32, 32), gamma=0.8, **rates))
        rng = np.random.default_rng(1)
        for _ in range(400):
            rows = rng.integers(0, 2000, 64)
            agent.update(Batch(*(part[rows] for part in data)))
        returns[name] = _return(agent)
    # Standing still costs 10 E[s^2] = 3.5; the good half of the data, at 0 after two steps, 0.1.
    assert returns['bc'] < -2.0
    assert returns[algorithm] > -0.4
