# SPDX-License-Identifier: Apache-2.0
"""Batch samplers for an agent: from its settings, the replay and offline data."""

from typing import TYPE_CHECKING

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.environments.tasks import Task
from rl_control.learning.replay import Hindsight, ReplayBuffer, Sampler, SymmetricSampler

if TYPE_CHECKING:
    from rl_control.learning.algorithms.agent import Agent


def make_symmetric_sampler(
    agent: 'Agent', replay: ReplayBuffer, offline: ReplayBuffer, task: Task | None = None
) -> SymmetricSampler:
    """
    Return a sampler of `replay` and `offline` as the agent's settings describe.

    Half of each batch comes from `offline`, less where it has fewer rows. Both buffers draw from
    the generator of `replay`, so that a checkpoint holds one generator state.
    """
    offline.generator = replay.generator
    return SymmetricSampler(make_sampler(agent, replay, task), make_sampler(agent, offline, task))


def make_sampler(agent: 'Agent', replay: ReplayBuffer, task: Task | None = None) -> Sampler:
    """
    Return a sampler of one buffer as the agent's settings describe.

    Raise InvalidInput for hindsight with a task that has no goals.
    """
    contract, settings = agent.contract, agent.settings
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    if settings.hindsight and task is None:
        raise InvalidInput(
            f'setting hindsight is {settings.hindsight} but {contract.task} has no goals to '
            'relabel; set it to 0, or train a task of rl_control')
    hindsight = None
    if settings.hindsight and task is not None:
        hindsight = Hindsight(replay, task, settings.hindsight, low, high)
    evaluate = agent.evaluate if settings.correction == 'retrace' else None
    return Sampler(
        replay, settings, (high - low) / 2, lambda batch: agent.td_error(batch).numpy(),
        agent.act, hindsight, evaluate)
