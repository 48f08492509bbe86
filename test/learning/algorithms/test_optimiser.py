# SPDX-License-Identifier: Apache-2.0
"""Flat weights and their Adam against torch's own."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from rl_control.learning.algorithms.optimiser import Adam, Weights


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))


def test_adam_is_torchs():
    ours, theirs = _net(), _net()
    adam = Adam(Weights(ours.parameters()), 0.01)
    oracle = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for k in range(20):
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(k))
        adam.step(ours(x).square().sum())
        oracle.zero_grad()
        theirs(x).square().sum().backward()
        oracle.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


def test_a_factor_is_another_learning_rate():
    nets = [_net(), _net()]
    slow, fast = (Adam(Weights(net.parameters()), rate)
                  for net, rate in zip(nets, (0.05, 0.01), strict=True))
    slow.learning_rate_factor = 0.2
    for net, adam in zip(nets, (slow, fast), strict=True):
        adam.step(net(torch.ones(4, 3)).square().sum())
    assert torch.equal(slow.weights.flat, fast.weights.flat)


def test_step_leaves_other_weights_alone():
    first, second = _net(), nn.Linear(2, 1)
    before = second.weight.detach().clone()
    Adam(Weights(first.parameters()), 0.1).step(second(first(torch.ones(1, 3))).sum())
    assert torch.equal(second.weight, before) and second.weight.grad is None


def test_polyak_update_goes_tau_of_the_way():
    target, online = _net(), _net()
    weights = Weights(target.parameters())
    with torch.no_grad():
        for parameter in online.parameters():
            parameter += 1.0
    start = deepcopy(target.state_dict())
    weights.polyak_update(Weights(online.parameters()), 0.25)
    for name, value in target.state_dict().items():
        expected = 0.75 * start[name] + 0.25 * online.state_dict()[name]
        torch.testing.assert_close(value, expected)


def test_parameters_stay_views():
    net = _net()
    weights = Weights(net.parameters())
    net.load_state_dict({k: torch.full_like(v, 2.0) for k, v in net.state_dict().items()})
    assert (weights.flat == 2.0).all()
    assert weights.flat.numel() == sum(p.numel() for p in net.parameters())
    weights.flat.fill_(3.0)
    assert net[0].weight[0, 0].item() == pytest.approx(3.0)
