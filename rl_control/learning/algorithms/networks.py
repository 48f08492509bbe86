# SPDX-License-Identifier: Apache-2.0
"""Policy and critic networks; normalisation and action scaling are part of them, hence of ONNX."""

from collections.abc import Sequence
from itertools import pairwise
import math

import torch
from torch import Tensor, nn

from rl_control.common.types import Contract

# A column that was nearly constant before learning would turn a small change into a huge input.
NORMALISED_LIMIT = 10.0

ATANH_LIMIT = 1.0 - 1e-5  # beyond, float32 cannot invert the tanh of an action
LOG_CONSTANT = 0.5 * math.log(2.0 * math.pi) + 2.0 * math.log(2.0)  # of a squashed Gaussian


class Normaliser(nn.Module):
    """
    Map observations in SI units to about zero mean and unit variance, within ±10.

    `mode` is `none` (identity), `fixed` (statistics until `freeze`) or `running` (always).
    """

    def __init__(self, size: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.register_buffer('mean', torch.zeros(size))
        self.register_buffer('scale', torch.ones(size))
        self.register_buffer('count', torch.zeros((), dtype=torch.float64))
        self.register_buffer('exact_mean', torch.zeros(size, dtype=torch.float64))
        self.register_buffer('squares', torch.zeros(size, dtype=torch.float64))
        self.register_buffer('frozen', torch.tensor(mode == 'none'))

    def forward(self, observation: Tensor) -> Tensor:
        """Return the normalised `observation`, of the same shape."""
        if self.mode == 'none':
            return observation
        centred = (observation - self.mean) * self.scale
        return torch.clamp(centred, -NORMALISED_LIMIT, NORMALISED_LIMIT)

    @torch.no_grad()
    def observe(self, observation: Tensor) -> None:
        """Update the statistics with `observation` (n, o), by Chan et al. 1979, equation 2.1."""
        if self.frozen or not len(observation):
            return
        observation = observation.double()
        number = len(observation)
        total = self.count + number
        mean = observation.mean(0)
        difference = mean - self.exact_mean
        self.squares += (observation - mean).square().sum(0)
        self.squares += difference.square() * (self.count * number / total)
        self.exact_mean += difference * (number / total)
        self.count.copy_(total)
        deviation = (self.squares / total).sqrt()
        # A constant column is centred but not scaled, which would amplify rounding.
        constant = deviation < 1e-6 * (1.0 + self.exact_mean.abs())
        self.scale.copy_(torch.where(constant, 1.0, 1.0 / deviation.clamp_min(1e-12)))
        self.mean.copy_(self.exact_mean)

    def freeze(self) -> None:
        """Keep the statistics from now on, unless they are `running`."""
        if self.mode == 'fixed':
            self.frozen.fill_(True)


class ActionScale(nn.Module):
    """Map actions between [-1, 1], where networks live, and the contract's bounds (SI units)."""

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        low = torch.tensor(contract.action_low, dtype=torch.float64)
        high = torch.tensor(contract.action_high, dtype=torch.float64)
        self.register_buffer('low', low.float())
        self.register_buffer('high', high.float())
        self.register_buffer('centre', ((high + low) / 2).float())
        self.register_buffer('half_range', ((high - low) / 2).float())

    def forward(self, normalised: Tensor) -> Tensor:
        """Return the action in SI units, clamped to the bounds against rounding."""
        action = self.centre + self.half_range * normalised
        return torch.minimum(torch.maximum(action, self.low), self.high)

    def normalise(self, action: Tensor) -> Tensor:
        """Return an action in SI units scaled to [-1, 1]."""
        return (action - self.centre) / self.half_range


class SquashedGaussian(nn.Module):
    """
    A Gaussian policy squashed by tanh (Haarnoja et al. 2018b, appendix C).

    `forward` takes observation (b, o) in SI units and noise (b, a), standard normal or zeros for
    the deterministic action, and returns action (b, a) in SI units and log_prob (b,), the log
    density per normalised action range.
    """

    LOG_STD_LIMITS = (-20.0, 2.0)
    noise_correlation = 0.0

    def __init__(self, contract: Contract, hidden_sizes: Sequence[int], mode: str) -> None:
        super().__init__()
        self.noise_size = len(contract.action)
        self.normaliser = Normaliser(len(contract.observation), mode)
        self.action_scale = ActionScale(contract)
        self.actor = mlp((len(contract.observation), *hidden_sizes, 2 * len(contract.action)))

    def forward(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return action (b, a) in SI units and log_prob (b,)."""
        action, log_prob = self.sample(self.normaliser(observation), noise)
        return self.action_scale(action), log_prob

    def sample(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised action (b, a) and log_prob (b,) at a normalised observation (b, o)."""
        output = self.actor(observation)
        mean, log_std = output[:, :self.noise_size], output[:, self.noise_size:]
        log_std = torch.clamp(log_std, *self.LOG_STD_LIMITS)
        pre_tanh = mean + noise * log_std.exp()
        # Equation 26: log N(pre_tanh | mean, std) - log(1 - tanh(pre_tanh)^2), column by column.
        # The latter is 2 (log 2 - log_2cosh), without cancellation. Terms without gradient are
        # summed apart.
        log_2cosh = pre_tanh + nn.functional.softplus(-2.0 * pre_tanh)
        log_gauss = (-0.5 * noise * noise - LOG_CONSTANT).sum(-1)
        log_prob = log_gauss - torch.sub(log_std, log_2cosh, alpha=2.0).sum(-1)
        return torch.tanh(pre_tanh), log_prob

    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        """
        Return the log_prob (b,) of normalised actions (b, a) at normalised observations (b, o).

        Actions are clamped to ±ATANH_LIMIT.
        """
        mean, log_std = self.actor(observation).chunk(2, -1)
        log_std = torch.clamp(log_std, *self.LOG_STD_LIMITS)
        pre_tanh = torch.atanh(torch.clamp(action, -ATANH_LIMIT, ATANH_LIMIT))
        noise = (pre_tanh - mean) / log_std.exp()
        log_2cosh = pre_tanh + nn.functional.softplus(-2.0 * pre_tanh)
        return (-0.5 * noise * noise - LOG_CONSTANT - log_std + 2.0 * log_2cosh).sum(-1)


class DeterministicPolicy(nn.Module):
    """
    A deterministic tanh policy with additive exploration noise.

    `forward` takes observation (b, o) in SI units and noise (b, a), standard normal or zeros for
    the deterministic action, and returns action (b, a) in SI units. `exploration_scale` is the
    noise's standard deviation for actions in [-1, 1]; `noise_correlation` is the share of the
    noise that exploration keeps from one step to the next.
    """

    def __init__(
        self, contract: Contract, hidden_sizes: Sequence[int], mode: str,
        exploration_scale: float, noise_correlation: float, layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.noise_size = len(contract.action)
        self.noise_correlation = noise_correlation
        self.exploration_scale = exploration_scale
        self.normaliser = Normaliser(len(contract.observation), mode)
        self.action_scale = ActionScale(contract)
        self.actor = mlp(
            (len(contract.observation), *hidden_sizes, len(contract.action)), layer_norm)
        self.actor.append(nn.Tanh())

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """Return action (b, a) in SI units."""
        action = self.actor(self.normaliser(observation))
        return self.action_scale(action + self.exploration_scale * noise)


class Critics(nn.Module):
    """
    An ensemble of critics q(s, a) of one shape, evaluated together by batched products.

    `forward` takes normalised observation (b, o) and normalised action (b, a) and returns q
    (number, b). Stacking halves the number of operations, which dominates small networks.
    With `layer_norm` each hidden layer is normalised before its ReLU (Ba et al. 2016, without
    gain and bias, since the next layer has both): q stays bounded far from the data.
    """

    def __init__(
        self, observation_size: int, action_size: int, hidden_sizes: Sequence[int], number: int,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.layer_norm = layer_norm
        sizes = (observation_size + action_size, *hidden_sizes, 1)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            bound = 1.0 / math.sqrt(fan_in)  # initialised as torch.nn.Linear
            weight, bias = torch.empty(number, fan_in, fan_out), torch.empty(number, 1, fan_out)
            self.weights.append(nn.Parameter(weight.uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(bias.uniform_(-bound, bound)))

    def forward(self, observation: Tensor, action: Tensor, number: int | None = None) -> Tensor:
        """Return q (number, b) of the first `number` critics, all by default."""
        weights, biases = self.weights, self.biases
        if number is not None:
            weights = [weight[:number] for weight in weights]
            biases = [bias[:number] for bias in biases]
        layer = torch.cat((observation, action), dim=-1).expand(len(weights[0]), -1, -1)
        *hidden, (head, head_bias) = zip(weights, biases, strict=True)
        for weight, bias in hidden:
            layer = self._activation(torch.baddbmm(bias, layer, weight))
        # An elementwise product and a sum: faster than a batched product of width 1.
        return (layer * head.transpose(1, 2)).sum(-1) + head_bias[:, 0]

    def of_candidates(
        self, observation: Tensor, actions: Tensor, first: int | None = None
    ) -> Tensor:
        """
        Return q (number, b, n) of n actions (b, n, a) for each observation (b, o).

        `first` limits it to the first so many critics. An observation's part of the first layer is
        computed once for all its actions. The result has the dtype of `observation`, which may be
        float64.
        """
        weights = [weight[:first].to(observation.dtype) for weight in self.weights]
        biases = [bias[:first].to(observation.dtype) for bias in self.biases]
        split = observation.shape[-1]
        rows = actions.reshape(-1, actions.shape[-1])
        layer = (observation @ weights[0][:, :split] + biases[0])[:, :, None]
        layer = layer + (rows @ weights[0][:, split:]).unflatten(1, actions.shape[:2])
        layer = self._activation(layer).flatten(1, 2)
        for weight, bias in zip(weights[1:-1], biases[1:-1], strict=True):
            layer = self._activation(torch.baddbmm(bias, layer, weight))
        q = (layer * weights[-1].transpose(1, 2)).sum(-1) + biases[-1][:, 0]
        return q.unflatten(1, actions.shape[:2])

    def _activation(self, layer: Tensor) -> Tensor:
        if self.layer_norm:
            layer = nn.functional.layer_norm(layer, layer.shape[-1:])
        return torch.relu(layer)


def min_q(q: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """
    Return the minimum (b,) over `number` of the critics' q (critics, b).

    Where there are more critics, each call draws a random subset (REDQ, Chen et al. 2021,
    algorithm 1).
    """
    if number < len(q):
        q = q[torch.randperm(len(q), generator=generator)[:number]]
    return q.amin(0)


def actor_q(q: Tensor, target_critics: int) -> Tensor:
    """
    Return the q (...) that an actor maximises, of the critics' q (critics, ...): their minimum.

    Where the target takes a random subset of the critics it is the mean of all (REDQ).
    """
    return q.amin(0) if len(q) == target_critics else q.mean(0)


def mlp(sizes: Sequence[int], layer_norm: bool = False) -> nn.Sequential:
    """Return linear layers of these sizes with ReLU between, and LayerNorm before it if set."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes[:-1]):
        layers.append(nn.Linear(fan_in, fan_out))
        if layer_norm:
            layers.append(nn.LayerNorm(fan_out, elementwise_affine=False))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))
