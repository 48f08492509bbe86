# SPDX-License-Identifier: Apache-2.0
"""All algorithms on trivial problems: targets by hand, and the simplest environment."""

import numpy as np
import pytest
import torch

from rl_control.common.types import Column, Contract
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.learning.algorithms.naf import QuadraticCritic
from rl_control.learning.algorithms.networks import Critics
from rl_control.learning.batch_sampler import make_symmetric_sampler
from rl_control.learning.replay import ReplayBuffer

# Those that collect for themselves, and learn q by its next value.
every_algorithm = pytest.mark.parametrize('algorithm', ('ddpg', 'td3', 'sac', 'naf', 'qt_opt'))

CONTRACT = Contract(
    'made_up', 'point', (), (Column('x', 'm'),), (Column('dx', 'm'),), (-0.5,), (0.5,),
    'position', 0.1)
IDLE_TIMEOUT = {'sac': {'initial_alpha': 1e-6, 'alpha_learning_rate': 0.0}}


def _saying(agent, value: float):
    """Return `agent` whose critics say `value` of action 0, wherever it is done."""
    with torch.no_grad():
        for network in agent.networks.values():
            for parameter in network.parameters():
                if parameter.shape:
                    parameter.zero_()
            for module in network.modules():
                if isinstance(module, Critics):
                    module.biases[-1].fill_(value)
                elif isinstance(module, QuadraticCritic):
                    module.value_head.bias.fill_(value)
    return agent


@every_algorithm
@pytest.mark.parametrize('n', [1, 3])
def test_targets_by_hand(algorithm, n):
    """An episode that ends, one that runs out of time, and one that goes on: q is 10 always."""
    settings = settings_of(algorithm)(
        gamma=0.5, n_step=n, hidden_sizes=(4,), **IDLE_TIMEOUT.get(algorithm, {}))
    agent = _saying(make_agent(algorithm, CONTRACT, settings), 10.0)
    replay = ReplayBuffer(1, 1, 20, seed=0)
    rewards = {0: (1.0, 2.0, 4.0), 1: (3.0, 5.0), 2: (6.0, 7.0, 8.0, 9.0)}
    for episode, earned in rewards.items():
        for step, reward in enumerate(earned):
            terminated = episode == 0 and step == 2
            replay.append('c', episode, step, [0.0], [0.0], reward, [0.0], float(not terminated))
    sampler = make_symmetric_sampler(agent, replay, ReplayBuffer(1, 1, 20, seed=0))._samplers[0]
    error = agent.td_error(sampler._batch(np.arange(9)))
    target = {
        1: [1 + 5, 2 + 5, 4, 3 + 5, 5 + 5, 6 + 5, 7 + 5, 8 + 5, 9 + 5],
        3: [1 + 1 + 1, 2 + 2, 4, 3 + 2.5 + 2.5, 5 + 5, 6 + 3.5 + 2 + 1.25, 7 + 4 + 2.25 + 1.25,
            8 + 4.5 + 2.5, 9 + 5],
    }[n]
    np.testing.assert_allclose(error, np.abs(10.0 - np.array(target)), rtol=1e-4, atol=1e-4)


@every_algorithm
def test_learns_to_bring_a_point_home(algorithm):
    """32 points in [-1, 1] m, steps of 0.5 m at most, cost |x|: collected, replayed, learned."""
    rates = {name: 3e-3 for name in settings_of(algorithm)().to_mapping()
             if name.endswith('learning_rate')}
    noise = {} if algorithm == 'sac' else {
        'exploration_scale': 0.5, 'exploration_correlation': 0.0}
    settings = settings_of(algorithm)(
        gamma=0.5, tau=0.05, hidden_sizes=(32, 32), batch_size=64, **noise, **rates,
        **({'lag': 20, 'cem_samples': 32} if algorithm == 'qt_opt' else {}))
    agent = make_agent(algorithm, CONTRACT, settings)
    replay = ReplayBuffer(1, 1, 10_000, seed=0)
    sampler = make_symmetric_sampler(agent, replay, ReplayBuffer(1, 1, 1, seed=0))
    rng = np.random.default_rng(0)
    x = np.zeros((32, 1), np.float32)
    for step in range(50):
        if step % 5 == 0:
            x = rng.uniform(-1.0, 1.0, x.shape).astype(np.float32)
        draws = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
        with torch.no_grad():
            result = agent.policy(torch.from_numpy(x), draws)
        action = (result[0] if isinstance(result, tuple) else result).numpy()
        after = x + action
        for k in range(len(x)):
            replay.append(str(k), step // 5, step % 5, x[k], action[k], -abs(after[k, 0]),
                        after[k], 1.0)
        x = after
        for _ in range(8):
            agent.update(*sampler.sample(64)[:1])
    x = np.linspace(-1.0, 1.0, 21, dtype=np.float32)[:, None]
    for _ in range(4):
        x = x + agent.act(x)
    assert np.abs(x).mean() < 0.1
