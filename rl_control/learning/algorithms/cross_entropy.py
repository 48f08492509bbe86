# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method (Rubinstein & Kroese 2004): a maximum found by sampling."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

INFINITE = 1e30  # a value beyond is taken as not finite, and NaN is below none


def maximise(
    q: Callable[[Tensor], Tensor], draws: Iterable[Tensor], elites: int
) -> tuple[Tensor, Tensor]:
    """
    Return the best action (b, a) within [-1, 1] of the last iteration, and its q (b,).

    `q` gives (b, n) for candidates (b, n, a). Each of `draws` (b, n, a), standard normal, makes
    one iteration: candidates about the mean of the elites before, as wide as these were. The
    first are about 0 with deviation 1, cut at the bounds, where the best action often lies. A
    candidate whose q is not finite is never an elite; where none is finite the action is NaN.
    """
    mean, deviation = 0.0, 1.0
    *before, last = draws
    for draw in before:
        best, chosen = _elites(q, mean + deviation * draw, elites)
        # With fewer finite ones than elites, only these count.
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
    """Return the largest q (b, number) of candidates (b, n, a), -inf where none is, and them."""
    candidates = torch.clamp(candidates, -1.0, 1.0)
    value = q(candidates)
    best, index = torch.where(value.abs() < INFINITE, value, -torch.inf).topk(number, dim=1)
    return best, candidates.gather(
        1, index.unsqueeze(-1).expand(-1, -1, candidates.shape[-1]))
