# SPDX-License-Identifier: Apache-2.0
"""What an agent's batches are drawn from, made of settings, replay and old data."""

from typing import TYPE_CHECKING

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.environments.tasks import Task
from rl_control.learning.replay import Hindsight, ReplayBuffer, Sampler, SymmetricSampler

if TYPE_CHECKING:
    from rl_control.learning.algorithms.agent import Agent


def make_sampler(
    agent: 'Agent', ring: ReplayBuffer, old: ReplayBuffer, task: Task | None = None
) -> SymmetricSampler:
    """
    Return the sampler of `ring` that the agent's settings describe.

    A half of each batch is of `old`, less where it has less, drawn by the ring's generator: its
    state is all that a checkpoint needs.
    """
    old.generator = ring.generator
    return SymmetricSampler(sampler_of(agent, ring, task), sampler_of(agent, old, task))


def sampler_of(agent: 'Agent', ring: ReplayBuffer, task: Task | None = None) -> Sampler:
    """Return the sampler of one ring that the agent's settings describe."""
    contract, settings = agent.contract, agent.settings
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    if settings.hindsight and task is None:
        raise InvalidInput(
            f'setting hindsight is {settings.hindsight} but {contract.task} has no goals that '
            'can be exchanged; set it to 0, or train a task of rl_control')
    hindsight = None
    if settings.hindsight and task is not None:
        hindsight = Hindsight(ring, task, settings.hindsight, low, high)
    evaluate = agent.evaluate if settings.correction == 'retrace' else None
    return Sampler(
        ring, settings, (high - low) / 2, lambda batch: agent.td_error(batch).numpy(),
        agent.act, hindsight, evaluate)
