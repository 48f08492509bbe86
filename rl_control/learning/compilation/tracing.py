# SPDX-License-Identifier: Apache-2.0
"""Trace an agent's update to one graph, from the same lines that run uncompiled."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.overrides import TorchFunctionMode

from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.optimiser import Weights
from rl_control.learning.algorithms.torch_internals import trace_graph
from rl_control.learning.replay import Batch

Draw = tuple[str, tuple[int, ...]]  # the function of torch, and its sizes
DRAWS = ('randn', 'randperm')


class Traced(NamedTuple):
    """
    A traced update: `graph` takes the tensors of `state`, then batch, weight and `draws`.

    It changes the state in place and returns the errors (b,) and the values of `metrics`.
    """

    graph: GraphModule
    inputs: list[Tensor]
    state: list[str]
    draws: list[Draw]
    metrics: list[str]


def state_of(agent: Agent) -> dict[str, Tensor]:
    """Return the tensors that updates read and change, by name, not copied."""
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
    Return the graph of update number `updates`, for batches as large as `batch`.

    `agent` cannot be used afterwards. Raise RuntimeError where an update does what a graph cannot
    hold, such as to read a value, and InvalidInput where this torch cannot trace.
    """
    agent.updates = updates - 1
    for optimiser in agent.optimisers.values():
        optimiser.fused = False
    with Draws() as drawn:  # a first update records the draws, which are inputs of the graph
        agent.update(batch, weight)
    state = state_of(agent)
    metrics: list[str] = []

    def update(*tensors: Tensor) -> list[Tensor]:
        agent.updates = updates - 1
        _replace_tensors(agent, dict(zip(state, tensors, strict=False)))
        rows = tensors[len(state):]
        with Draws(rows[len(batch) + 1:]):
            losses = agent.update(Batch(*rows[:len(batch)]), rows[len(batch)])
        metrics[:] = losses
        return [agent.error, *losses.values()]

    inputs = [tensor.clone() for tensor in (*state.values(), *batch, weight, *drawn.values)]
    graph = trace_graph(update, inputs, DECOMPOSITIONS)
    return _without_unused_state(Traced(graph, inputs, list(state), drawn.calls, metrics))


class Draws(TorchFunctionMode):
    """Record random draws from generators or, with `given` values, replay those."""

    def __init__(self, given: Sequence[Tensor] | None = None) -> None:
        super().__init__()
        self.calls: list[Draw] = []
        self.values: list[Tensor] = []
        self._given = None if given is None else iter(given)

    def __torch_function__(
        self, function: Callable, types: object, arguments: tuple = (), more: dict | None = None,
    ) -> Any:
        """Call `function`, or return the next given value in its place."""
        more = more or {}
        if 'generator' not in more:
            return function(*arguments, **more)
        if function.__name__ not in DRAWS:
            raise RuntimeError(
                f'an update draws by {function.__name__}; it can be traced with '
                f'{" and ".join(DRAWS)} only')
        if self._given is not None:
            return next(self._given)
        self.calls.append((function.__name__, tuple(map(int, arguments))))
        self.values.append(function(*arguments, **more))
        return self.values[-1]


def _weights(agent: Agent) -> dict[str, Weights]:
    """Return each of an agent's flat weights once, by name."""
    named = {name: value for name, value in vars(agent).items() if isinstance(value, Weights)}
    for name, optimiser in agent.optimisers.items():
        if not any(optimiser.weights is weights for weights in named.values()):
            named[name] = optimiser.weights
    return named


def _replace_tensors(agent: Agent, state: dict[str, Tensor]) -> None:
    """Replace the tensors of the agent's networks and optimisers with those of `state`."""
    owners: dict[int, list[tuple[torch.nn.Module, str]]] = {}
    for module in {part for network in agent.networks.values() for part in network.modules()}:
        for name, parameter in module.named_parameters(recurse=False):
            owners.setdefault(id(parameter), []).append((module, name))
    for name, weights in _weights(agent).items():
        weights.flat = state[f'weights.{name}']
        views, start = [], 0
        for parameter in weights.parameters:
            end = start + parameter.numel()
            view = weights.flat[start:end].view(parameter.shape).detach()
            views.append(view.requires_grad_(parameter.requires_grad))
            for module, key in owners.pop(id(parameter)):
                delattr(module, key)  # a plain tensor cannot take a Parameter's place
                setattr(module, key, views[-1])
            start = end
        weights.parameters = views
    if owners:
        raise RuntimeError('a parameter of the networks is not in any flat weights')
    for name, optimiser in agent.optimisers.items():
        for key in optimiser.tensors():
            setattr(optimiser, key, state[f'optimiser.{name}.{key}'])
    for network, module in agent.networks.items():
        for path, _ in list(module.named_buffers()):
            owner, _, key = path.rpartition('.')
            setattr(module.get_submodule(owner), key, state[f'{network}.{path}'])


def _without_unused_state(traced: Traced) -> Traced:
    """Return `traced` without the state that its graph does not read."""
    graph = traced.graph.graph
    placeholders = [node for node in graph.nodes if node.op == 'placeholder']
    used = [bool(node.users) for node in placeholders[:len(traced.state)]]
    for node, kept in zip(placeholders, used, strict=False):
        if not kept:
            graph.erase_node(node)
    keep = used + [True] * (len(placeholders) - len(used))
    traced.graph.recompile()
    return traced._replace(
        inputs=[tensor for tensor, kept in zip(traced.inputs, keep, strict=True) if kept],
        state=[name for name, kept in zip(traced.state, used, strict=True) if kept])


def _product_and_sum(bias: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """
    Return the product plus bias as two operations; torch's one copies the bias to every row first.

    The compiler fuses a separate sum with the ReLU that follows.
    """
    return left @ right + bias


DECOMPOSITIONS = {
    torch.ops.aten.addmm.default: _product_and_sum,
    torch.ops.aten.baddbmm.default: _product_and_sum,
}
