# SPDX-License-Identifier: Apache-2.0
"""The graph of an update against the plain update, for algorithms and options."""

from learning import ACTION, OBSERVATION, made_up_batch, small_agent
import numpy as np
import pytest
import torch

from rl_control.learning.algorithms import ALGORITHMS
from rl_control.learning.compilation.compile_worker import draw, kind_of
from rl_control.learning.compilation.tracing import Draws, state_of, trace
from rl_control.learning.replay import Batch

OPTIONS = [
    *((name, {}) for name in ALGORITHMS),
    ('sac', {'layer_norm': True, 'critics': 5, 'observation_normalisation': 'fixed'}),
    ('td3', {'layer_norm': True, 'critics': 5, 'observation_normalisation': 'running'}),
    ('ddpg', {'layer_norm': True, 'update_schedule': 'hard', 'target_period': 2}),
    ('naf', {'layer_norm': True, 'update_schedule': 'fitted', 'target_period': 3}),
    ('qt_opt', {'layer_norm': True, 'update_schedule': 'hard', 'target_period': 2}),
]


def traces(algorithm: str, values: dict):
    """Return the graph of each kind of update."""
    rows = Batch(*map(torch.from_numpy, made_up_batch(np.random.default_rng(0))))
    agent = small_agent(algorithm, **values)
    first = {kind_of(agent, number): number for number in range(9, 0, -1)}
    return {kind: trace(small_agent(algorithm, **values), number, rows, torch.ones(8))
            for kind, number in first.items()}


@pytest.mark.parametrize(('algorithm', 'values'), OPTIONS)
def test_the_graph_of_an_update_is_the_update(algorithm, values):
    """After 100 updates from one seed, with weights for rows as priorities give them."""
    found = traces(algorithm, values)
    plain, other = (small_agent(algorithm, **values) for _ in range(2))
    rng = np.random.default_rng(1)
    for agent in (plain, other):
        agent.observe(np.random.default_rng(2).normal(1.0, 3.0, (50, OBSERVATION)))
    state = state_of(other)
    for number in range(1, 101):
        batch, weight = made_up_batch(rng), rng.uniform(0.1, 1.0, 8).astype(np.float32)
        losses = plain.update(batch, weight)
        traced = found[kind_of(other, number)]
        other.policy.normaliser.freeze()
        error, *values = traced.graph(
            *(state[name] for name in traced.state), *map(torch.from_numpy, batch),
            torch.from_numpy(weight), *draw(traced.draws, other.generator))
        assert traced.metrics == list(losses)
        torch.testing.assert_close(error, plain.error, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(values, list(losses.values()), rtol=1e-4, atol=1e-5)
    for name, tensor in state_of(plain).items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-5, atol=1e-5, msg=name)
    assert torch.equal(plain.generator.get_state(), other.generator.get_state())


def test_an_update_that_reads_a_value_cannot_be_traced():
    agent = small_agent('ddpg')
    loss = agent.critic_loss
    agent.critic_loss = lambda *given: loss(*given) * float(loss(*given) > 0.0)
    rows = Batch(*map(torch.from_numpy, made_up_batch(np.random.default_rng(0))))
    with pytest.raises(RuntimeError):
        trace(agent, 1, rows, torch.ones(8))


def test_draws_are_recorded_in_order_and_replayed():
    generator = torch.Generator().manual_seed(0)
    with Draws() as noted:
        first = torch.randn(2, ACTION, generator=generator)
        torch.randn(2)  # of no generator: none of ours
        second = torch.randperm(4, generator=generator)
    assert noted.calls == [('randn', (2, ACTION)), ('randperm', (4,))]
    with Draws([first, second]):
        assert torch.randn(2, ACTION, generator=generator) is first
        assert torch.randperm(4, generator=generator) is second
    with Draws(), pytest.raises(RuntimeError, match='draws by bernoulli; it can be traced with'):
        torch.bernoulli(torch.ones(2), generator=generator)
