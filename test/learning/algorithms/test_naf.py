# SPDX-License-Identifier: Apache-2.0
"""Normalized advantage functions, by numbers worked by hand and by what must hold for all."""

from learning import ACTION, OBSERVATION, made_up_batch, shaken, small_agent
import numpy as np
import pytest
import torch
from torch import nn


def _constant(agent, value: float, mean: list[float], triangle: list[float]):
    """Make the network give these whatever it sees; `triangle` row by row."""
    critic = agent.critic
    for head, bias in (
        (critic.value_head, [value]), (critic.triangle_head, triangle),
        (critic.mean[0], np.arctanh(mean)),
    ):
        nn.init.zeros_(head.weight)
        with torch.no_grad():
            head.bias.copy_(torch.tensor(bias))
    return agent


def _observations(rows: int = 200) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0.0, 5.0, (rows, OBSERVATION))).float()


def test_target_q_multiplies_by_gamma():
    agent = small_agent('naf', gamma=0.9)
    nn.init.zeros_(agent.target_critic.value_head.weight)
    nn.init.constant_(agent.target_critic.value_head.bias, 20.0)
    target_q = agent.target_q(
        torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.9, 0.0]), _observations(3))
    # 1 + 0.9 20, two steps whose second reward is in the first, and a terminated row.
    torch.testing.assert_close(target_q, torch.tensor([19.0, 2.0 + 0.81 * 20.0, 3.0]))


def test_q_by_hand():
    # L = [[2, 0, 0], [1, 3, 0], [-1, 4, 1]]: the diagonal is given as its logarithm.
    agent = _constant(small_agent('naf'), 5.0, [0.5, 0.0, -0.5], [
        np.log(2.0), 1.0, np.log(3.0), -1.0, 4.0, 0.0])
    observation = _observations(2)
    lower = torch.tensor([[2.0, 0.0, 0.0], [1.0, 3.0, 0.0], [-1.0, 4.0, 1.0]])
    torch.testing.assert_close(
        agent.critic.precision(observation), (lower @ lower.T).expand(2, 3, 3))
    action = torch.tensor([[0.5, 0.0, -0.5], [0.6, 0.1, -0.5]])
    # L' (0.1, 0.1, 0) = (0.3, 0.3, 0), whose square is 0.18.
    torch.testing.assert_close(agent.critic(observation, action), torch.tensor([5.0, 4.91]))


def test_critic_loss():
    agent = _constant(small_agent('naf'), 5.0, [0.0] * 3, [0.0] * 6)
    action = torch.tensor([[0.0] * 3, [1.0, 0.0, -1.0]])
    # P is the identity: q is 5 and 5 - 1.
    loss = agent.critic_loss(
        agent.critic(_observations(2), action), torch.tensor([3.0, 5.0]), 1.0)
    assert loss.item() == pytest.approx((4.0 + 1.0) / 2.0)


def test_precision_is_positive_definite():
    agent = shaken(small_agent('naf'))
    precision = agent.critic.precision(_observations()).detach().double()
    torch.testing.assert_close(precision, precision.mT)
    assert (torch.linalg.eigvalsh(precision) > 0.0).all()
    assert (precision.std(0) > 1e-3).all()  # it depends on the state, in every entry


def test_the_largest_q_is_v_and_lies_at_the_policys_action():
    agent = shaken(small_agent('naf'))
    observation, rng = _observations(), np.random.default_rng(1)
    best = agent.policy.action_scale.normalise(
        agent.policy(observation, torch.zeros(len(observation), ACTION)))
    value = agent.critic.value(observation)
    torch.testing.assert_close(agent.critic(observation, best), value, rtol=1e-5, atol=1e-5)
    for scale in (1e-2, 0.1, 1.0):
        other = best + torch.from_numpy(rng.normal(0.0, scale, best.shape)).float()
        assert (agent.critic(observation, other) < value + 1e-5).all()


def test_q_against_plain_matrices():
    agent = shaken(small_agent('naf'))
    observation = _observations(30)
    action = torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (30, ACTION))).float()
    mean = agent.policy.actor(observation)
    precision = agent.critic.precision(observation)
    for k in range(30):
        away = (action - mean)[k]
        expected = agent.critic.value(observation)[k] - 0.5 * away @ precision[k] @ away
        torch.testing.assert_close(agent.critic(observation, action)[k], expected)


def test_an_entry_whose_exponential_is_infinite_has_a_gradient_beside_the_diagonal():
    agent = _constant(small_agent('naf'), 5.0, [0.0] * 3, [0.0, 200.0, 0.0, 0.0, 0.0, 0.0])
    # L' (0.1, 0.1, 0) = (0.1 + 200 0.1, 0.1, 0): q falls by (20.1^2 + 0.1^2) / 2, and by 20.1 0.1
    # for each 1 that the entry grows.
    q = agent.critic(_observations(1), torch.tensor([[0.1, 0.1, 0.0]]))
    torch.testing.assert_close(q, torch.tensor([5.0 - 202.01]))
    gradient, = torch.autograd.grad(q.sum(), agent.critic.triangle_head.bias)
    torch.testing.assert_close(gradient, torch.tensor([-2.01, -2.01, -0.01, 0.0, 0.0, 0.0]))


def test_target_goes_tau_of_the_way():
    agent = shaken(small_agent('naf', tau=0.1))
    before = [weight.clone() for weight in agent.target_critic.parameters()]
    agent.update(made_up_batch(np.random.default_rng(8)))
    for start, online, target in zip(
        before, agent.critic.parameters(), agent.target_critic.parameters(), strict=True
    ):
        torch.testing.assert_close(target, 0.9 * start + 0.1 * online)


def test_policy_and_critic_are_one_network():
    agent = small_agent('naf')
    for _ in range(3):
        agent.update(made_up_batch(np.random.default_rng(0)))
    assert agent.critic.hidden[0].weight is agent.policy.actor[0].weight
    observation = _observations(4)
    torch.testing.assert_close(
        agent.policy.actor(observation), agent.critic.mean(agent.critic.hidden(observation)))


def test_mu_stays_where_it_can_still_move_while_v_is_far_off():
    """A bandit whose rewards begin far below V: without the penalty mu saturates at a bound."""
    agent = small_agent('naf', hidden_sizes=(32, 32), critic_learning_rate=3e-3)
    rng = np.random.default_rng(0)
    best = np.float32([0.3, -0.4, 0.6])
    for _ in range(1200):
        batch = made_up_batch(rng, 64)
        action = agent.policy.action_scale.normalise(torch.from_numpy(batch.action)).numpy()
        agent.update(batch._replace(
            observation=np.ones_like(batch.observation), discount=np.zeros(64, np.float32),
            reward=-50.0 - 10.0 * np.square(action - best).sum(1)))
    observation = torch.ones(1, OBSERVATION)
    np.testing.assert_allclose(agent.policy.actor(observation).detach()[0], best, atol=0.1)


def test_the_saturation_penalty_by_hand():
    agent = small_agent('naf')
    before = torch.tensor([[0.0, 1.5, -1.5], [2.5, -3.5, 1.0]])
    # Beyond 1.5 by 1 and 2, of six.
    assert agent.saturation_penalty(before).item() == pytest.approx(0.1 * (1.0 + 4.0) / 6.0)
