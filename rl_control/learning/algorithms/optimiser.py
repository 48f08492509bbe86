# SPDX-License-Identifier: Apache-2.0
"""Adam and Polyak averaging on flat weights: one operation for all parameters."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn

from rl_control.learning.algorithms.torch_internals import fused_adam, plain_adam


class Weights:
    """
    Parameters stored in order in one tensor `flat`, of which each is a view.

    The cost of a small network is the number of its operations, not their size: here an
    optimiser's step, or a target's average, is one. The parameters of a deep copy are views no
    longer: construct Weights of the copy.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.flat = torch.cat([parameter.detach().flatten() for parameter in self.parameters])
        ends = [0]
        for parameter in self.parameters:
            ends.append(ends[-1] + parameter.numel())
        for parameter, (start, end) in zip(self.parameters, pairwise(ends), strict=True):
            parameter.data = self.flat[start:end].view_as(parameter)

    @torch.no_grad()
    def polyak_update(self, online: 'Weights', tau: float) -> None:
        """Move to (1 - tau) * self + tau * online, as a target network does."""
        self.flat.lerp_(online.flat, tau)


class Adam:
    """
    Adam (Kingma & Ba 2015, algorithm 1) with beta 0.9 and 0.999, on flat weights.

    The arithmetic of torch.optim.Adam(fused=True) without its bookkeeping, which costs more than
    the arithmetic for small networks. With `fused` False it uses operations that can be traced.
    """

    def __init__(self, weights: Weights, learning_rate: float) -> None:
        self.weights = weights
        self.learning_rate = learning_rate
        self.learning_rate_factor = 1.0
        self.fused = True
        self.steps = torch.zeros(())
        self.mean = torch.zeros_like(weights.flat)
        self.square = torch.zeros_like(weights.flat)

    def step(self, loss: Tensor) -> None:
        """Make one step down the gradient of `loss`; compute no other weights' gradients."""
        gradients = torch.autograd.grad(loss, self.weights.parameters)
        gradient = torch.cat([gradient.flatten() for gradient in gradients])
        self.steps += 1.0
        adam = fused_adam if self.fused else plain_adam
        with torch.no_grad():
            adam(self.weights.flat, gradient, self.mean, self.square, self.steps,
                 self.learning_rate_factor * self.learning_rate)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state by name, not copied."""
        return {'steps': self.steps, 'mean': self.mean, 'square': self.square}
