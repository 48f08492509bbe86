# SPDX-License-Identifier: Apache-2.0
"""Networks against torch.distributions, plain layers and numpy."""

from learning import ACTION, CONTRACT, HIGH, LOW, OBSERVATION
import numpy as np
import torch
from torch import nn
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from rl_control.learning.algorithms.networks import (
    ActionScale,
    Critics,
    Normaliser,
    SquashedGaussian,
)


def test_log_prob_is_that_of_the_transformed_distribution():
    torch.manual_seed(0)
    policy = SquashedGaussian(CONTRACT, (16,), 'none').double()
    observation, noise = torch.randn(40, OBSERVATION).double(), torch.randn(40, ACTION).double()
    action, log_prob = policy.sample(observation, noise)
    mean, log_std = policy.actor(observation).split(ACTION, dim=1)
    transform = TanhTransform(cache_size=1)
    distribution = TransformedDistribution(Normal(mean, log_std.exp()), [transform])
    drawn = transform(mean + log_std.exp() * noise)
    torch.testing.assert_close(action, drawn)
    torch.testing.assert_close(log_prob, distribution.log_prob(drawn).sum(1))


def test_log_prob_is_finite_where_tanh_is_one():
    policy = SquashedGaussian(CONTRACT, (16,), 'none')
    nn.init.constant_(policy.actor[-1].bias, 50.0)
    action, log_prob = policy(torch.zeros(1, OBSERVATION), torch.zeros(1, ACTION))
    assert torch.isfinite(log_prob).all()
    torch.testing.assert_close(action[0], torch.tensor(HIGH))
    assert (action >= torch.tensor(LOW)).all() and (action <= torch.tensor(HIGH)).all()
    nn.init.constant_(policy.actor[-1].bias, -50.0)
    action, log_prob = policy(torch.zeros(1, OBSERVATION), torch.zeros(1, ACTION))
    assert torch.isfinite(log_prob).all()
    torch.testing.assert_close(action[0], torch.tensor(LOW))
    assert (action >= torch.tensor(LOW)).all() and (action <= torch.tensor(HIGH)).all()


def test_density_integrates_to_one():
    """log_prob is per normalised action: its integral over one column of [-1, 1] is one."""
    torch.manual_seed(1)
    policy = SquashedGaussian(CONTRACT, (8,), 'none').double()
    noise = torch.zeros(20001, ACTION, dtype=torch.float64)
    noise[:, 0] = torch.linspace(-8.0, 8.0, 20001)
    action, log_prob = policy.sample(torch.zeros(20001, OBSERVATION).double(), noise)
    # The other columns stand still: their constant density is taken out again.
    mean, log_std = policy.actor(torch.zeros(1, OBSERVATION).double()).split(ACTION, dim=1)
    still = TransformedDistribution(Normal(mean, log_std.exp()), [TanhTransform()])
    others = log_prob - still.log_prob(torch.tanh(mean))[0, 1:].sum()
    torch.testing.assert_close(
        torch.trapezoid(others.exp(), action[:, 0]), torch.tensor(1.0).double(),
        rtol=1e-6, atol=0.0)


def test_critics_are_plain_networks_side_by_side():
    torch.manual_seed(0)
    critics = Critics(4, 2, (7, 6), number=3)
    observation, action = torch.randn(5, 4), torch.randn(5, 2)
    q = critics(observation, action)
    assert q.shape == (3, 5)
    for k in range(3):
        layer = torch.cat((observation, action), dim=1)
        for weight, bias in zip(critics.weights, critics.biases, strict=True):
            layer = layer @ weight[k] + bias[k]
            if weight.shape[-1] != 1:
                layer = layer.clamp_min(0.0)
        torch.testing.assert_close(q[k], layer[:, 0])
    assert not torch.allclose(q[0], q[1])


def test_normaliser_is_numpys_mean_and_deviation():
    rng = np.random.default_rng(0)
    data = rng.normal([5e3, -1.0, 0.0], [0.5, 10.0, 1e-3], (1000, 3))
    normaliser = Normaliser(3, 'running')
    for part in np.split(data, [1, 7, 500]):
        normaliser.observe(torch.from_numpy(part))
    np.testing.assert_allclose(normaliser.mean, data.mean(0), rtol=1e-6)
    np.testing.assert_allclose(normaliser.scale, 1.0 / data.std(0), rtol=1e-5)
    near = torch.tensor([[5000.25, 1.0, 0.0]])
    expected = (near.double().numpy() - data.mean(0)) / data.std(0)
    np.testing.assert_allclose(normaliser(near), expected, rtol=2e-3, atol=1e-3)
    assert normaliser(torch.full((1, 3), 1e9)).tolist() == [[10.0] * 3]


def test_constant_column_is_only_centred():
    normaliser = Normaliser(2, 'fixed')
    normaliser.observe(torch.tensor([[0.1, 1.0], [0.1, 3.0]], dtype=torch.float64))
    torch.testing.assert_close(normaliser.scale, torch.tensor([1.0, 1.0]))
    assert normaliser.mean.tolist() == [np.float32(0.1), 2.0]


def test_fixed_freezes_and_running_goes_on():
    for mode, moved in (('none', False), ('fixed', False), ('running', True)):
        normaliser = Normaliser(1, mode)
        normaliser.observe(torch.tensor([[1.0], [2.0]]))
        normaliser.freeze()
        before = normaliser.mean.clone()
        normaliser.observe(torch.tensor([[9.0]]))
        assert torch.equal(before, normaliser.mean) != moved
        assert (before.item() == 1.5) == (mode != 'none')
        if mode == 'none':
            assert normaliser(torch.full((1, 1), 1e9)).item() == 1e9


def test_action_scale_goes_there_and_back():
    scale = ActionScale(CONTRACT)
    corners = torch.tensor([[-1.0] * 3, [1.0] * 3, [0.0] * 3])
    expected = torch.tensor([LOW, HIGH, (0.0, 0.25, 0.6)])
    torch.testing.assert_close(scale(corners), expected)
    torch.testing.assert_close(scale.normalise(scale(corners)), corners)
