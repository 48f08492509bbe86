# SPDX-License-Identifier: Apache-2.0
"""Episode: assemble the transitions of one episode, step by step."""

import numpy as np

from rl_control.common.types import Outcome, Transition

TRAINING, EVALUATION, CONFIRMATION = 0, 1, 2  # phase of an episode, a column of `episodes`


class Episode:
    """
    One running episode; keeps the observation that the next transition begins with.

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

        For an intervention the action is the applied one and `log_prob` is NaN: the policy did
        not draw it.
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
