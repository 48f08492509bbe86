# SPDX-License-Identifier: Apache-2.0
"""Weights laid end to end, so that one operation steps or averages all of them."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn


class Weights:
    """
    Parameters that lie in one tensor `flat`, in order; each stays a view of it.

    A small network is slow for the number of its operations, not for their size: with this, an
    optimiser's step or a target's average is one. A deep copy of a module has left its `flat`:
    flatten the copy anew.
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
        """Go `tau` of the way to `online`, as a target network does."""
        self.flat.lerp_(online.flat, tau)


class Adam:
    """
    Adam (Kingma & Ba 2015, algorithm 1) with beta 0.9 and 0.999, on flat weights.

    The same arithmetic as torch.optim.Adam(fused=True), which its test holds it to, without the
    bookkeeping that costs more than the arithmetic when networks are small.
    """

    def __init__(self, weights: Weights, learning_rate: float) -> None:
        self.weights = weights
        self.learning_rate = learning_rate
        self.factor = 1.0  # of the learning rate, from now on
        self.steps = torch.zeros(())
        self.mean = torch.zeros_like(weights.flat)
        self.square = torch.zeros_like(weights.flat)

    def step(self, loss: Tensor) -> None:
        """Descend `loss` in these weights; no other's gradient is touched or computed."""
        gradients = torch.autograd.grad(loss, self.weights.parameters)
        gradient = torch.cat([gradient.flatten() for gradient in gradients])
        self.steps += 1.0
        with torch.no_grad():
            torch._fused_adam_(
                [self.weights.flat], [gradient], [self.mean], [self.square], [],
                [self.steps], lr=self.factor * self.learning_rate, beta1=0.9, beta2=0.999,
                weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state itself, by name."""
        return {'steps': self.steps, 'mean': self.mean, 'square': self.square}
