# SPDX-License-Identifier: Apache-2.0
"""Cross-entropy method (CEM, Rubinstein & Kroese 2004): maximise a function by sampling."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

VALUE_LIMIT = 1e30  # a larger |q| counts as not finite; NaN fails the comparison


def maximise(
    q: Callable[[Tensor], Tensor], draws: Iterable[Tensor], elites: int
) -> tuple[Tensor, Tensor]:
    """
    Return the best action (b, a) within [-1, 1] of the last iteration, and its q (b,).

    `q` returns (b, n) for candidates (b, n, a). Each of `draws` (b, n, a), standard normal, is
    one iteration: its candidates have the mean and deviation of the previous elites. The first
    iteration has mean 0 and deviation 1. Candidates are clipped to the bounds, where the best
    action often lies. A candidate whose q is not finite is never an elite; where no candidate is
    finite the action is NaN.
    """
    mean, deviation = 0.0, 1.0
    *earlier, last = draws
    for draw in earlier:
        best, chosen = _elites(q, mean + deviation * draw, elites)
        # Where fewer candidates are finite than there are elites, only the finite ones count.
        finite = (best > -torch.inf).unsqueeze(-1).to(chosen.dtype)
        number = finite.sum(1, keepdim=True)
        mean = (finite * chosen).sum(1, keepdim=True) / number
        square = (finite * (chosen - mean).square()).sum(1, keepdim=True)
        deviation = (square / (number - 1.0).clamp_min(1.0)).sqrt()  # with Bessel's correction
    best, chosen = _elites(q, mean + deviation * last, 1)
    return torch.where(best > -torch.inf, chosen[:, 0], torch.nan), best[:, 0]


def _elites(
    q: Callable[[Tensor], Tensor], candidates: Tensor, number: int,
) -> tuple[Tensor, Tensor]:
    """Return the largest q (b, number), -inf where not finite, and their candidates."""
    candidates = torch.clamp(candidates, -1.0, 1.0)
    value = q(candidates)
    best, index = torch.where(value.abs() < VALUE_LIMIT, value, -torch.inf).topk(number, dim=1)
    return best, candidates.gather(
        1, index.unsqueeze(-1).expand(-1, -1, candidates.shape[-1]))
