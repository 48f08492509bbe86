# SPDX-License-Identifier: Apache-2.0
"""An agent's update as one graph, traced from the very lines that its paper is read against."""

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode

from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.optimiser import Weights
from rl_control.learning.replay import Batch

Draw = tuple[str, tuple[int, ...]]  # the function of torch, and the sizes it was given
DRAWS = ('randn', 'randperm')


class Traced(NamedTuple):
    """
    `graph` takes the tensors of `state` by name, then batch, weight and `draws`, in this order.

    It changes the state in place and returns the errors (b,) and the values of `metrics`.
    """

    graph: GraphModule
    inputs: list[Tensor]
    state: list[str]
    draws: list[Draw]
    metrics: list[str]


def state_of(agent: Agent) -> dict[str, Tensor]:
    """Return the tensors that updates read and change, by name: the same one at each call."""
    named = {f'weights.{name}': weights.flat for name, weights in _weights(agent).items()}
    for name, optimiser in agent.optimisers.items():
        for key, tensor in optimiser.tensors().items():
            named[f'optimiser.{name}.{key}'] = tensor
    for network, module in agent.networks.items():
        for key, buffer in module.named_buffers():
            named[f'{network}.{key}'] = buffer
    return named


def trace(agent: Agent, updates: int, batch: Batch, weight: Tensor) -> Traced:
    """
    Return what update number `updates` does, of batches as large as `batch`.

    `agent` serves for this alone and is spoilt by it. Raise RuntimeError where an update does
    what no graph can hold, such as to ask for a value.
    """
    agent.updates = updates - 1
    with Draws() as drawn:  # once for its draws, which the graph takes as inputs
        agent.update(batch, weight)
    state = state_of(agent)
    metrics: list[str] = []

    def update(*tensors: Tensor) -> list[Tensor]:
        agent.updates = updates - 1
        _place(agent, dict(zip(state, tensors, strict=False)))
        rows = tensors[len(state):]
        with Draws(rows[len(batch) + 1:]):
            found = agent.update(Batch(*rows[:len(batch)]), rows[len(batch)])
        metrics[:] = found
        return [agent.error, *found.values()]

    inputs = [tensor.clone() for tensor in (*state.values(), *batch, weight, *drawn.values)]
    graph = make_fx(update, decomposition_table=WRITTEN_OUT)(*inputs)
    return _pruned(Traced(graph, inputs, list(state), drawn.calls, metrics))


class Draws(TorchFunctionMode):
    """Note what is drawn from a generator meanwhile or, where values are given, hand out those."""

    def __init__(self, given: Sequence[Tensor] | None = None) -> None:
        super().__init__()
        self.calls: list[Draw] = []
        self.values: list[Tensor] = []
        self._given = None if given is None else iter(given)

    def __torch_function__(
        self, function: Callable, types: object, arguments: tuple = (), more: dict | None = None,
    ) -> Any:
        """Call `function`, or answer in its place."""
        more = more or {}
        if 'generator' not in more:
            return function(*arguments, **more)
        if function.__name__ not in DRAWS:
            raise RuntimeError(f'{function.__name__} is drawn, known are {", ".join(DRAWS)}')
        if self._given is not None:
            return next(self._given)
        self.calls.append((function.__name__, tuple(map(int, arguments))))
        self.values.append(function(*arguments, **more))
        return self.values[-1]


def _weights(agent: Agent) -> dict[str, Weights]:
    """Return all flat weights of an agent once, by name."""
    named = {name: value for name, value in vars(agent).items() if isinstance(value, Weights)}
    for name, optimiser in agent.optimisers.items():
        if not any(optimiser.weights is weights for weights in named.values()):
            named[name] = optimiser.weights
    return named


def _place(agent: Agent, state: dict[str, Tensor]) -> None:
    """Let the agent's networks and optimisers work on the tensors of `state`."""
    owners: dict[int, list[tuple[dict, str]]] = {}
    for module in {part for network in agent.networks.values() for part in network.modules()}:
        for name, parameter in module.named_parameters(recurse=False):
            owners.setdefault(id(parameter), []).append((module._parameters, name))
    for name, weights in _weights(agent).items():
        weights.flat = state[f'weights.{name}']
        views, start = [], 0
        for parameter in weights.parameters:
            end = start + parameter.numel()
            view = weights.flat[start:end].view(parameter.shape).detach()
            views.append(view.requires_grad_(parameter.requires_grad))
            for place, key in owners.pop(id(parameter)):
                place[key] = views[-1]
            start = end
        weights.parameters = views
    if owners:
        raise RuntimeError('a parameter is in no flat weights')
    for name, optimiser in agent.optimisers.items():
        for key in optimiser.tensors():
            setattr(optimiser, key, state[f'optimiser.{name}.{key}'])
    for network, module in agent.networks.items():
        for path, _ in list(module.named_buffers()):
            owner, _, key = path.rpartition('.')
            module.get_submodule(owner)._buffers[key] = state[f'{network}.{path}']


def _pruned(traced: Traced) -> Traced:
    """Leave out the state that the graph never looks at."""
    graph = traced.graph.graph
    places = [node for node in graph.nodes if node.op == 'placeholder']
    used = [bool(node.users) for node in places[:len(traced.state)]]
    for node, kept in zip(places, used, strict=False):
        if not kept:
            graph.erase_node(node)
    keep = used + [True] * (len(places) - len(used))
    traced.graph.recompile()
    return traced._replace(
        inputs=[tensor for tensor, kept in zip(traced.inputs, keep, strict=True) if kept],
        state=[name for name, kept in zip(traced.state, used, strict=True) if kept])


def _adam(
    weights: list[Tensor], gradients: list[Tensor], means: list[Tensor], squares: list[Tensor],
    largest: list[Tensor], steps: list[Tensor], *, lr: float, beta1: float, beta2: float,
    eps: float, **_: object,
) -> None:
    """Write out torch's fused Adam, which compilers cannot look into."""
    for weight, gradient, mean, square, step in zip(
            weights, gradients, means, squares, steps, strict=True):
        mean.lerp_(gradient, 1.0 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        unbiased = 1.0 - torch.exp(step * math.log(beta1))
        width = square.sqrt() / (1.0 - torch.exp(step * math.log(beta2))).sqrt()
        weight.sub_(lr / unbiased * mean / (width + eps))


def _biased(bias: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """
    Write out torch's product that adds a bias, which it copies to every row beforehand.

    Apart from the product the sum is part of what the compiler makes of the ReLU behind it.
    """
    return left @ right + bias


WRITTEN_OUT = {
    torch.ops.aten._fused_adam_.default: _adam,
    torch.ops.aten.addmm.default: _biased,
    torch.ops.aten.baddbmm.default: _biased,
}
