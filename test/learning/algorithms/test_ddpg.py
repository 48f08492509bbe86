# SPDX-License-Identifier: Apache-2.0
"""Deep deterministic policy gradient by numbers worked by hand."""

import re

from learning import ACTION, Fixed, made_up_batch, shaken, small_agent
import numpy as np
import pytest
import torch

from rl_control.config.algorithm import DdpgSettings


def test_target_q():
    agent = small_agent('ddpg', gamma=0.9)
    agent.target_actor = Fixed(torch.full((3, ACTION), 0.5))
    agent.target_critic = Fixed(torch.tensor([[10.0, 20.0, 30.0]]))
    next_observation = torch.zeros(3, 5)
    target_q = agent.target_q(
        torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.9, 0.0]), next_observation)
    # 1 + 0.9 10, two steps whose second reward is in the first, and a terminated row.
    torch.testing.assert_close(target_q, torch.tensor([10.0, 2.0 + 0.81 * 20.0, 3.0]))
    assert agent.target_critic.inputs[1] is agent.target_actor.values[0]


def test_losses():
    agent = small_agent('ddpg')
    agent.critic = Fixed(torch.tensor([[1.0, 2.0]]))
    assert agent.critic_loss(
        agent.critic(), torch.tensor([3.0, 5.0]), 1.0).item() == 0.5 * (4.0 + 9.0)
    assert agent.actor_loss(torch.zeros(2, 5)).item() == -1.5


def test_actor_climbs_the_critic():
    """The gradient is that of finite differences, with respect to the actor alone."""
    agent = small_agent('ddpg')
    agent.policy.double()
    agent.critic.double()
    observation = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 5)))
    weight = agent.policy.actor[0].weight
    gradient, = torch.autograd.grad(agent.actor_loss(observation), weight)
    for i, j in ((0, 0), (3, 2), (7, 4)):
        values = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                weight[i, j] += sign * 1e-6
                values.append(agent.actor_loss(observation).item())
                weight[i, j] -= sign * 1e-6
        assert gradient[i, j].item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)


def test_targets_go_tau_of_the_way():
    agent = shaken(small_agent('ddpg', tau=0.1))
    before = agent.tensors()
    agent.update(made_up_batch(np.random.default_rng(8)))
    after = agent.tensors()
    names = [name for name in before if name.startswith('target_')]
    assert len(names) == 12
    for name in names:
        online = name.replace('target_actor', 'policy.actor').replace('target_', '')
        torch.testing.assert_close(after[name], 0.9 * before[name] + 0.1 * after[online])


def test_the_critic_learns_before_the_actor():
    """The actor's gradient is that of the critic after its step, as in algorithm 1."""
    agent, oracle = (shaken(small_agent('ddpg')) for _ in range(2))
    batch = made_up_batch(np.random.default_rng(8))
    agent.update(batch)
    oracle.critic.load_state_dict(agent.critic.state_dict())
    oracle.actor_optimiser.step(oracle.actor_loss(torch.from_numpy(batch.observation)))
    for name, weight in agent.policy.actor.state_dict().items():
        torch.testing.assert_close(weight, oracle.policy.actor.state_dict()[name])


def test_exploration_is_noise_beside_the_action():
    agent = small_agent('ddpg', exploration_scale=0.2)
    observation, noise = torch.zeros(2, 5), torch.tensor([[0.0] * ACTION, [0.5] * ACTION])
    still, moved = agent.policy(observation, noise).detach()
    # Half ranges of the contract: 2, 0.15 and 1.3.
    torch.testing.assert_close(moved - still, 0.2 * 0.5 * torch.tensor([2.0, 0.15, 1.3]))


def test_the_settings_in_the_docstring_are_the_papers_process():
    """Theta 0.15 and sigma 0.2: the process drawn step by step, against the two settings."""
    scale, correlation = map(float, re.search(
        r'exploration_scale (0\.\d+) and exploration_correlation (0\.\d+)',
        DdpgSettings.__doc__).groups())
    agent = small_agent('ddpg', exploration_scale=scale, exploration_correlation=correlation)
    settings = agent.settings
    draws = np.random.default_rng(0).standard_normal(200_000)
    process, value = np.empty(len(draws)), 0.0
    for k, draw in enumerate(draws):
        value += -0.15 * value + 0.2 * draw
        process[k] = value
    assert settings.exploration_scale == pytest.approx(process.std(), rel=0.02)
    assert agent.policy.noise_correlation == settings.exploration_correlation
    kept = np.corrcoef(process[:-1], process[1:])[0, 1]
    assert settings.exploration_correlation == pytest.approx(kept, abs=0.01)
