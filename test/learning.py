# SPDX-License-Identifier: Apache-2.0
"""What the tests of learning share: a small contract, small agents, made-up data, one export."""

from functools import cache

import numpy as np
import torch

from rl_control.common.types import Column, Contract
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.learning.export import Exporter
from rl_control.learning.replay import Batch

OBSERVATION, ACTION = 5, 3
LOW, HIGH = (-2.0, 0.1, -0.7), (2.0, 0.4, 1.9)

CONTRACT = Contract(
    robot='made_up',
    task='none',
    joint_names=(),
    observation=tuple(Column(f'o{i}', '1') for i in range(OBSERVATION)),
    action=tuple(Column(f'a{i}', 'rad/s') for i in range(ACTION)),
    action_low=LOW,
    action_high=HIGH,
    command_interface='velocity',
    control_period=0.05,
)

SMALL = {'hidden_sizes': (16, 12), 'batch_size': 8}
SMALL_OF = {'qt_opt': {'lag': 3}}  # what happens seldom happens within a few updates


class Fixed(torch.nn.Module):
    """Return the same values whatever comes in, and keep what came in."""

    def __init__(self, *values):
        super().__init__()
        self.values = values

    def forward(self, *inputs, **named):
        self.inputs = inputs
        return self.values[0] if len(self.values) == 1 else self.values


def small_agent(algorithm: str, **values):
    """Return an agent with networks that take no time."""
    return make_agent(algorithm, CONTRACT, settings_of(algorithm)(
        **{**SMALL, **SMALL_OF.get(algorithm, {}), **values}))


def made_up_batch(rng: np.random.Generator, rows: int = 8) -> Batch:
    """Return a batch whose actions lie within the bounds and whose last row is terminated."""
    discount = np.ones(rows, np.float32)
    discount[-1] = 0.0
    return Batch(
        rng.normal(1.0, 3.0, (rows, OBSERVATION)).astype(np.float32),
        rng.uniform(LOW, HIGH, (rows, ACTION)).astype(np.float32),
        rng.standard_normal(rows, dtype=np.float32),
        rng.normal(1.0, 3.0, (rows, OBSERVATION)).astype(np.float32),
        discount,
    )


def shaken(agent, seed: int = 0):
    """Return `agent` after data and updates: no weight is as it was made."""
    rng = np.random.default_rng(seed)
    agent.observe(rng.normal(1.0, 3.0, (50, OBSERVATION)))
    for _ in range(5):
        agent.update(made_up_batch(rng))
    return agent


@cache
def exported(algorithm: str = 'sac') -> bytes:
    """Return the file of a small policy, traced once a test process."""
    agent = shaken(small_agent(algorithm, observation_normalisation='fixed'))
    return Exporter(agent.policy, CONTRACT, algorithm, 'run-1').export(agent.updates, 50)
