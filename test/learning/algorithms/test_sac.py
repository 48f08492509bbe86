# SPDX-License-Identifier: Apache-2.0
"""Soft actor-critic by numbers worked by hand."""

import math
from types import SimpleNamespace

from learning import ACTION, Fixed, made_up_batch, shaken, small_agent
import numpy as np
import pytest
import torch


def _fix(agent, sample, target_critic=None, critic=None):
    agent.policy = SimpleNamespace(sample=Fixed(*sample))
    if target_critic is not None:
        agent.target_critic = Fixed(torch.tensor(target_critic))
    if critic is not None:
        agent.critic = Fixed(torch.tensor(critic))
    return agent


def test_target_q():
    agent = _fix(
        small_agent('sac', gamma=0.9, initial_alpha=0.5),
        (torch.zeros(3, ACTION), torch.tensor([-1.0, 2.0, 4.0])),
        target_critic=[[10.0, 20.0, 30.0], [11.0, 18.0, 31.0]])
    target_q = agent.target_q(
        torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 0.0]), None, None)
    # 1 + 0.9 (10 + 0.5), 2 + 0.9 (18 - 1), and a terminated row that has no future.
    torch.testing.assert_close(target_q, torch.tensor([10.45, 17.3, 3.0]))


def test_target_q_of_two_steps():
    """A discount that holds gamma^(n - 1) makes the same line an n-step target."""
    agent = _fix(
        small_agent('sac', gamma=0.9, initial_alpha=0.5),
        (torch.zeros(1, ACTION), torch.tensor([2.0])), target_critic=[[10.0], [12.0]])
    target_q = agent.target_q(torch.tensor([1.0 + 0.9 * 2.0]), torch.tensor([0.9]), None, None)
    torch.testing.assert_close(target_q, torch.tensor([1.0 + 0.9 * 2.0 + 0.81 * 9.0]))


def test_critic_loss():
    loss = small_agent('sac').critic_loss(
        torch.tensor([[1.0, 2.0], [0.0, 5.0]]), torch.tensor([3.0, 4.0]), 1.0)
    # Means over the batch of squares 4, 4 and 9, 1; halved, summed over the critics.
    assert loss.item() == pytest.approx(0.5 * (4.0 + 5.0))


def test_actor_loss():
    agent = _fix(
        small_agent('sac', initial_alpha=0.5),
        (torch.zeros(2, ACTION), torch.tensor([-2.0, 1.0])), critic=[[1.0, 7.0], [3.0, 6.0]])
    loss, log_prob = agent.actor_loss(None, None)
    # Mean of 0.5 (-2) - 1 and 0.5 (1) - 6.
    assert loss.item() == pytest.approx((-2.0 - 5.5) / 2)
    assert log_prob.tolist() == [-2.0, 1.0]


def test_alpha_loss():
    agent = small_agent('sac', initial_alpha=0.2, target_entropy=-1.0)
    loss = agent.alpha_loss(torch.tensor([5.0, 7.0]))
    assert loss.item() == pytest.approx(-0.2 * (6.0 - 3.0))
    gradient, = torch.autograd.grad(loss, agent.temperature.parameters())
    assert gradient.item() == pytest.approx(-0.2 * (6.0 - 3.0))


@pytest.mark.parametrize(('log_prob', 'grows'), [(9.0, True), (-9.0, False)])
def test_alpha_holds_the_entropy(log_prob, grows):
    """Entropy below the target (log_prob high) makes alpha grow, above it shrink."""
    agent = small_agent('sac', alpha_learning_rate=0.1)
    before = agent.temperature().item()
    agent.alpha_optimiser.step(agent.alpha_loss(torch.full((4,), log_prob)))
    assert (agent.temperature().item() > before) == grows


def test_alpha_stays_without_a_rate():
    agent = shaken(small_agent('sac', alpha_learning_rate=0.0, initial_alpha=0.3))
    assert agent.temperature().item() == pytest.approx(0.3)


def test_actor_gradient_goes_through_the_action():
    """The gradient of the actor's loss is that of finite differences, noise held."""
    agent = small_agent('sac', initial_alpha=0.3)
    agent.policy.double()
    agent.critic.double()
    rng = np.random.default_rng(0)
    observation = torch.from_numpy(rng.standard_normal((6, 5)))
    noise = torch.from_numpy(rng.standard_normal((6, ACTION)))
    weight = agent.policy.actor[0].weight
    gradient, = torch.autograd.grad(agent.actor_loss(observation, noise)[0], weight)
    for i, j in ((0, 0), (3, 2), (7, 4)):
        values = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                weight[i, j] += sign * 1e-6
                values.append(agent.actor_loss(observation, noise)[0].item())
                weight[i, j] -= sign * 1e-6
        assert gradient[i, j].item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)


def test_update_is_the_three_losses_and_the_average():
    """One update against torch.optim on the same losses, in the order of algorithm 1."""
    agent, oracle = (shaken(small_agent('sac', tau=0.1, seed=3)) for _ in range(2))
    batch = made_up_batch(np.random.default_rng(8))
    adams = {
        'critic': torch.optim.Adam(oracle.critic.parameters(), lr=0.0),
        'actor': torch.optim.Adam(oracle.policy.actor.parameters(), lr=0.0),
        'alpha': torch.optim.Adam(oracle.temperature.parameters(), lr=0.0),
    }
    for name, adam in adams.items():
        mine = oracle.optimisers[name]
        sizes = [parameter.numel() for parameter in mine.weights.parameters]
        for parameter, mean, square in zip(
            mine.weights.parameters, mine.mean.split(sizes), mine.square.split(sizes), strict=True
        ):
            adam.state[parameter] = {
                'step': mine.steps.clone(), 'exp_avg': mean.clone().view_as(parameter),
                'exp_avg_sq': square.clone().view_as(parameter)}
        adam.param_groups[0]['lr'] = 3e-4
    before = [parameter.detach().clone() for parameter in oracle.target_critic.parameters()]

    agent.update(batch)
    observation, action, reward, next_observation, discount = map(torch.from_numpy, batch)
    centre = (torch.tensor([2.0, 0.4, 1.9]) + torch.tensor([-2.0, 0.1, -0.7])) / 2
    half = (torch.tensor([2.0, 0.4, 1.9]) - torch.tensor([-2.0, 0.1, -0.7])) / 2
    noise = torch.randn(16, ACTION, generator=oracle.generator)
    with torch.no_grad():
        target_q = oracle.target_q(reward, discount, next_observation, noise[:8])
    for name, loss in (
        ('critic', lambda: oracle.critic_loss(
            oracle.critic(observation, (action - centre) / half), target_q, 1.0)),
        ('actor', lambda: oracle.actor_loss(observation, noise[8:])[0]),
    ):
        for adam in adams.values():
            adam.zero_grad()
        if name == 'actor':
            log_prob = oracle.actor_loss(observation, noise[8:])[1].detach()
        loss().backward()
        adams[name].step()
    adams['alpha'].zero_grad()
    (-(oracle.temperature.log_alpha.exp() * (log_prob - ACTION)).mean()).backward()
    adams['alpha'].step()
    for name in ('policy', 'critic', 'temperature'):
        mine, other = agent.networks[name].state_dict(), oracle.networks[name].state_dict()
        for key, value in mine.items():
            torch.testing.assert_close(value, other[key], rtol=1e-5, atol=1e-6, msg=key)
    for start, online, target in zip(
        before, agent.critic.parameters(), agent.target_critic.parameters(), strict=True
    ):
        torch.testing.assert_close(target, 0.9 * start + 0.1 * online, rtol=1e-5, atol=1e-6)


def test_metrics_are_tensors_without_gradient():
    metrics = small_agent('sac').update(made_up_batch(np.random.default_rng(0)))
    assert all(value.shape == () and not value.requires_grad for value in metrics.values())
    assert math.isclose(metrics['alpha'].item(), 1.0, rel_tol=1e-3)
