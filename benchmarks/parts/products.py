# SPDX-License-Identifier: Apache-2.0
"""
Matrix products of one update: its arithmetic lower bound.

Each network has two hidden layers; heads of width 1 are negligible matrix-vector products and left
out. A backward pass has, for each layer, the gradient of the weights, where they are trained, and
that of the input, where an earlier part is trained.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

Product = tuple[int, int, int]  # rows, inner, columns


def forward(rows: int, sizes: list[int]) -> Iterator[Product]:
    """Yield the products of a pass through layers of these sizes."""
    for inner, columns in pairwise(sizes):
        if columns > 1:
            yield rows, inner, columns


def backward(
    rows: int, sizes: list[int], learns: bool = True, to_input: bool = False,
) -> Iterator[Product]:
    """Yield the products of the gradients of that pass."""
    for layer, (inner, columns) in enumerate(pairwise(sizes)):
        if columns == 1:
            continue
        if learns:
            yield inner, rows, columns
        if layer or to_input:
            yield rows, columns, inner


def of_update(
    name: str, observation: int, action: int, width: int, batch: int,
) -> list[Product]:
    """Return the products of an update; for TD3 of two updates, one of them with the actor's."""
    critic = [observation + action, width, width, 1]
    actor = [observation, width, width, action]
    if name == 'sac':
        actor[-1] = 2 * action
        return [
            *forward(batch, actor), *2 * list(forward(batch, critic)),
            *2 * list(forward(batch, critic)), *2 * list(backward(batch, critic)),
            *forward(batch, actor), *backward(batch, actor),
            *2 * list(forward(batch, critic)),
            *2 * list(backward(batch, critic, learns=False, to_input=True))]
    climb = [*forward(batch, actor), *backward(batch, actor), *forward(batch, critic),
             *backward(batch, critic, learns=False, to_input=True)]
    if name == 'td3':
        regress = [*forward(batch, actor), *4 * list(forward(batch, critic)),
                   *2 * list(backward(batch, critic))]
        return [*regress, *regress, *climb]
    if name == 'ddpg':
        return [*forward(batch, actor), *2 * list(forward(batch, critic)),
                *backward(batch, critic), *climb]
    if name == 'naf':
        heads = action * (action + 3) // 2 + 1
        whole = [observation, width, width, heads]
        return [*forward(batch, [observation, width, width, 1]), *forward(batch, whole),
                *backward(batch, whole)]
    from rl_control.learning.algorithms import settings_of

    settings = settings_of('qt_opt')()
    candidates = batch * settings.cem_samples * settings.cem_iterations
    return [*forward(candidates, [action, width, width, 1]), (batch, observation, width),
            *2 * list(forward(batch, critic)), *backward(batch, critic)]


def products(
    name: str, observation: int, action: int, width: int, batch: int,
) -> Callable[[], None]:
    """Return a function that computes them all by torch, into preallocated tensors."""
    chunk = 32 * 64  # rows of candidates at a time, which fit the cache
    made: dict[Product, tuple[Tensor, Tensor, Tensor]] = {}
    order = []
    for rows, inner, columns in of_update(name, observation, action, width, batch):
        for first in range(0, rows, chunk):
            shape = min(chunk, rows - first), inner, columns
            if shape not in made:
                made[shape] = (torch.randn(shape[0], inner), torch.randn(inner, columns),
                               torch.empty(shape[0], columns))
            order.append(made[shape])
    half = name == 'td3'
    state = [0]

    def run() -> None:
        state[0] += 1
        if half and state[0] % 2:
            return  # each second call makes two updates
        for left, right, out in order:
            torch.mm(left, right, out=out)

    return run
