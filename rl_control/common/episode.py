# SPDX-License-Identifier: Apache-2.0
"""The only place where a Transition is assembled."""

import numpy as np

from rl_control.common.types import Outcome, Transition

TRAINING, EVALUATION, CONFIRMATION = 0, 1, 2  # the phases, as they stand in a row of `episodes`


class Episode:
    """
    One episode in the making: keeps what the next transition begins with.

    `number` counts the episodes of a run. Arrays are copied on entry, so that a policy may reuse
    its buffers.
    """

    def __init__(self, number: int, observation: np.ndarray) -> None:
        self.number = number
        self.steps = 0
        self.reward_sum = 0.0
        self.observation = np.array(observation, dtype=float)

    def add(
        self, action: np.ndarray, log_prob: float, version: int, outcome: Outcome,
    ) -> Transition:
        """
        Return the transition of the requested `action` (a,) that led to `outcome`.

        What a person did in the policy's place is learned as it was applied, and no density of the
        policy's belongs to it.
        """
        if outcome.intervention:
            action, log_prob = outcome.applied, float('nan')
        next_observation = np.array(outcome.observation, dtype=float)
        transition = Transition(
            episode=self.number,
            step=self.steps,
            stamp=outcome.stamp,
            version=version,
            log_prob=log_prob,
            observation=self.observation,
            action=np.array(action, dtype=float),
            applied=np.array(outcome.applied, dtype=float),
            reward=outcome.reward,
            next_observation=next_observation,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            intervention=outcome.intervention,
        )
        self.observation = next_observation
        self.steps += 1
        self.reward_sum += outcome.reward
        return transition
