# SPDX-License-Identifier: Apache-2.0
"""What an agent's batches are drawn from, made of settings, replay and old data."""

from typing import TYPE_CHECKING

import numpy as np

from rl_control.errors import Refused
from rl_control.replay import Hindsight, Ring, Sampler, Symmetric
from rl_control.tasks import Task

if TYPE_CHECKING:
    from rl_control.algorithms.agent import Agent


def make_sampler(
    agent: 'Agent', ring: Ring, old: Ring, task: Task | None = None
) -> Symmetric:
    """
    Return the sampler of `ring` that the agent's settings describe; Refused for hindsight alone.

    A half of each batch is of `old`, less where it has less, drawn by the ring's generator: its
    state is all that a checkpoint needs.
    """
    old.generator = ring.generator
    return Symmetric(sampler_of(agent, ring, task), sampler_of(agent, old, task))


def sampler_of(agent: 'Agent', ring: Ring, task: Task | None = None) -> Sampler:
    """Return the sampler of one ring that the agent's settings describe."""
    contract, settings = agent.contract, agent.settings
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    if settings.hindsight and task is None:
        raise Refused(
            f'setting hindsight is {settings.hindsight} but {contract.task} has no goals that '
            'can be exchanged; set it to 0, or train a task of rl_control')
    hindsight = None
    if settings.hindsight and task is not None:
        hindsight = Hindsight(ring, task, settings.hindsight, low, high)
    evaluate = agent.evaluate if settings.correction == 'retrace' else None
    return Sampler(
        ring, settings, (high - low) / 2, lambda batch: agent.td_error(batch).numpy(),
        agent.act, hindsight, evaluate)
