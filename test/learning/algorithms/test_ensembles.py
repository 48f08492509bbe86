# SPDX-License-Identifier: Apache-2.0
"""More critics, a random subset of them in the target, and normalised layers."""

from itertools import combinations

from learning import ACTION, CONTRACT, OBSERVATION, Fixed, made_up_batch, shaken, small_agent
import numpy as np
import pytest
import torch
from torch import nn

from rl_control.common.errors import InvalidInput
from rl_control.learning.algorithms import ALGORITHMS
from rl_control.learning.algorithms.networks import Critics, min_q, mlp
from rl_control.learning.export import Exporter
from rl_control.policies.onnx_policy import OnnxPolicy


def test_smallest_of_a_random_subset():
    """Every pair of four critics comes about as often as every other."""
    generator = torch.Generator().manual_seed(0)
    q = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    drawn = torch.cat([min_q(q, 2, generator) for _ in range(3000)]).tolist()
    expected = [min(pair) for pair in combinations([1.0, 2.0, 3.0, 4.0], 2)]
    for value in (1.0, 2.0, 3.0):
        assert drawn.count(value) / 3000 == pytest.approx(expected.count(value) / 6, abs=0.04)


def test_all_critics_draw_nothing():
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    q = torch.tensor([[1.0, 5.0], [2.0, 3.0]])
    assert min_q(q, 2, generator).tolist() == [1.0, 3.0]
    assert torch.equal(state, generator.get_state())


@pytest.mark.parametrize('algorithm', ['td3', 'sac'])
def test_ten_critics(algorithm):
    agent = shaken(small_agent(algorithm, critics=10, target_critics=2))
    assert len(agent.critic.weights[0]) == 10
    q = agent.critic(torch.zeros(1, OBSERVATION), torch.zeros(1, ACTION))
    assert len(set(q[:, 0].tolist())) == 10
    # The target is that of two of them, and not always the same two.
    agent.target_critic = Fixed(torch.arange(10.0)[:, None])
    agent.policy.sample = lambda *_: (torch.zeros(1, ACTION), torch.zeros(1))
    targets = {agent.target_q(
        torch.zeros(1), torch.ones(1), torch.zeros(1, OBSERVATION), torch.zeros(1, ACTION)).item()
        for _ in range(50)}
    assert len(targets) > 4 and max(targets) < 0.99 * 8.5


def test_the_actor_of_an_ensemble_climbs_the_mean():
    agent = small_agent('sac', critics=3, target_critics=2, initial_alpha=0.5)
    agent.critic = Fixed(torch.tensor([[1.0], [2.0], [6.0]]))
    agent.policy.sample = lambda *_: (torch.zeros(1, ACTION), torch.tensor([4.0]))
    assert agent.actor_loss(None, None)[0].item() == pytest.approx(0.5 * 4.0 - 3.0)


def test_more_in_the_target_than_there_are_is_refused():
    for algorithm in ('td3', 'sac'):
        with pytest.raises(InvalidInput, match='target_critics is 2, more than critics 1'):
            small_agent(algorithm, critics=1)


def test_normalised_critics_against_plain_layers():
    torch.manual_seed(0)
    critics = Critics(4, 2, (7, 6), 3, layer_norm=True)
    observation, action = torch.randn(5, 4), torch.randn(5, 2)
    for k in range(3):
        layer = torch.cat((observation, action), 1)
        for weight, bias in zip(critics.weights, critics.biases, strict=True):
            layer = layer @ weight[k] + bias[k]
            if weight.shape[-1] != 1:
                centred = layer - layer.mean(1, keepdim=True)
                layer = centred / (layer.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
                layer = layer.clamp_min(0.0)
        torch.testing.assert_close(critics(observation, action)[k], layer[:, 0])
    actions = torch.randn(5, 8, 2)
    for k in range(8):
        torch.testing.assert_close(
            critics.of_candidates(observation, actions)[:, :, k],
            critics(observation, actions[:, k]))
    torch.testing.assert_close(
        critics.of_candidates(observation, actions, 1),
        critics.of_candidates(observation, actions)[:1])


def test_normalised_critics_stay_bounded():
    """However far the action, each hidden layer has a length that its width bounds."""
    critics = Critics(4, 2, (32, 32), 1, layer_norm=True)
    bound = 32**0.5 * critics.weights[-1].norm() + critics.biases[-1].abs().sum()
    q = critics(torch.zeros(3, 4), torch.tensor([[1.0, 1.0], [1e3, 0.0], [1e6, -1e6]]))
    assert (q.abs() <= bound).all()


def test_layers_in_order():
    names = [type(layer) for layer in mlp((3, 8, 8, 2), layer_norm=True)]
    assert names == [nn.Linear, nn.LayerNorm, nn.ReLU] * 2 + [nn.Linear]
    assert [type(layer) for layer in mlp((3, 8, 2))] == [nn.Linear, nn.ReLU, nn.Linear]


@pytest.mark.parametrize('algorithm', sorted(ALGORITHMS.keys() - {'bc'}))  # which has no critic
def test_normalised_agents_learn_and_export(algorithm):
    agent = small_agent(algorithm, layer_norm=True)
    before = agent.td_error(made_up_batch(np.random.default_rng(0)))
    assert not torch.equal(
        before, small_agent(algorithm).td_error(made_up_batch(np.random.default_rng(0))))
    shaken(agent)
    if algorithm in ('naf', 'qt_opt'):  # whose policies hold what is normalised
        exporter = Exporter(agent.policy, CONTRACT, algorithm, 'run')
        data = exporter.export(1, 0)
        assert exporter.verify(data) <= 1e-5
        assert b'LayerNormalization' in OnnxPolicy(data).data
