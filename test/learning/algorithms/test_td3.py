# SPDX-License-Identifier: Apache-2.0
"""Twin delayed DDPG by numbers worked by hand."""

from itertools import pairwise

from learning import ACTION, Fixed, made_up_batch, shaken, small_agent
import numpy as np
import torch


def test_target_q():
    agent = small_agent('td3', gamma=0.9)
    agent.target_actor = Fixed(torch.zeros(3, ACTION))
    agent.target_critic = Fixed(torch.tensor([[10.0, 20.0, 30.0], [11.0, 18.0, 31.0]]))
    target_q = agent.target_q(
        torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.9, 0.0]), torch.zeros(3, 5),
        torch.zeros(3, ACTION))
    torch.testing.assert_close(target_q, torch.tensor([10.0, 2.0 + 0.81 * 18.0, 3.0]))


def test_target_action_is_smoothed_within_limits_and_bounds():
    agent = small_agent('td3', smoothing_scale=0.2, smoothing_limit=0.5)
    agent.target_actor = Fixed(torch.tensor([[0.1, -0.8, 0.95]]))
    agent.target_critic = Fixed(torch.zeros(2, 1))
    agent.target_q(
        torch.zeros(1), torch.ones(1), torch.zeros(1, 5), torch.tensor([[1.0, 10.0, 0.9]]))
    # 0.1 + 0.2, -0.8 + 0.5 (not 2.0), and 0.95 + 0.18 cut at the bound.
    torch.testing.assert_close(agent.target_critic.inputs[1], torch.tensor([[0.3, -0.3, 1.0]]))


def test_losses():
    agent = small_agent('td3')
    agent.critic = Fixed(torch.tensor([[1.0, 2.0], [0.0, 9.0]]))
    # Means of 4, 9 and of 9, 16.
    assert agent.critic_loss(
        agent.critic(), torch.tensor([3.0, 5.0]), 1.0).item() == 6.5 + 12.5
    # The actor is judged by the first critic alone, of which no other is asked.
    asked = []
    agent.critic = lambda observation, action, number: (
        asked.append(number), torch.tensor([[1.0, 2.0]]))[1]
    assert agent.actor_loss(torch.zeros(2, 5), torch.zeros(2, ACTION)).item() == -1.5
    assert asked == [1]


def test_actor_and_targets_wait():
    agent = small_agent('td3', policy_delay=3)
    history = [agent.tensors()]
    for k in range(6):
        metrics = agent.update(made_up_batch(np.random.default_rng(k)))
        history.append(agent.tensors())
        assert ('actor_loss' in metrics) == (k % 3 == 2)
    for name in history[0]:
        waits = name.startswith(('policy.actor.', 'target_', 'optimiser.actor'))
        if waits or name.startswith(('critic.', 'optimiser.critic')):
            moved = [not torch.equal(one[name], other[name])
                     for one, other in pairwise(history)]
            assert moved == ([False, False, True] * 2 if waits else [True] * 6), name


def test_the_delay_survives_a_checkpoint():
    agent, other = small_agent('td3', policy_delay=3), small_agent('td3', policy_delay=3, seed=9)
    agent.update(made_up_batch(np.random.default_rng(0)))
    other.load(agent.tensors())
    assert ['actor_loss' in other.update(made_up_batch(np.random.default_rng(k)))
            for k in range(2)] == [False, True]


def test_targets_go_tau_of_the_way():
    agent = shaken(small_agent('td3', tau=0.1))  # five updates: the next one is the second
    before = agent.tensors()
    agent.update(made_up_batch(np.random.default_rng(8)))
    after = agent.tensors()
    for name in before:
        if name.startswith('target_'):
            online = name.replace('target_actor', 'policy.actor').replace('target_', '')
            torch.testing.assert_close(after[name], 0.9 * before[name] + 0.1 * after[online])


def test_without_its_three_changes_it_is_ddpg():
    """One critic's weights for both, no noise, no delay: the same actor as DDPG's."""
    td3 = small_agent('td3', policy_delay=1, smoothing_scale=0.0, tau=0.1)
    ddpg = small_agent('ddpg', tau=0.1, actor_learning_rate=1e-3)
    with torch.no_grad():
        for name in ('critic', 'target_critic'):
            for single, twin in zip(
                ddpg.networks[name].parameters(), td3.networks[name].parameters(), strict=True
            ):
                twin.copy_(single.expand_as(twin))
    for name in ('policy', 'target_actor'):
        td3.networks[name].load_state_dict(ddpg.networks[name].state_dict())
    for k in range(5):
        batch = made_up_batch(np.random.default_rng(k))
        td3.update(batch)
        ddpg.update(batch)
    for name, weight in ddpg.policy.state_dict().items():
        torch.testing.assert_close(weight, td3.policy.state_dict()[name], rtol=1e-4, atol=1e-6)
