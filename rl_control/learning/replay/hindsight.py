# SPDX-License-Identifier: Apache-2.0
"""Hindsight: what was reached is taken for what was wanted."""

import numpy as np

from rl_control.environments.tasks.task import Task
from rl_control.learning.replay.replay_buffer import NO_ROW, Batch, ReplayBuffer


class Hindsight:
    """
    Relabels a share of the rows of a batch (Andrychowicz et al. 2017, strategy `future`).

    The goal of such a row is what a step drawn evenly from itself to the newest of its episode
    reached. A return of several steps has one goal, and ends with the first step that reached it:
    what was done behind it was done for another. `low` and `high` (a,) are the bounds of the
    actions.
    """

    def __init__(
        self, ring: ReplayBuffer, task: Task, share: float, low: np.ndarray, high: np.ndarray
    ) -> None:
        self._ring = ring
        self._task = task
        self._share = share
        self._centre, self._half_range = (low + high) / 2, (high - low) / 2

    def relabel(self, path: np.ndarray, fields: Batch) -> np.ndarray:
        """
        Give a share of the columns of a `window` other goals, in place.

        Return which rows (m, b) are still there: those up to the first that reached the goal.
        """
        alive = path != NO_ROW
        slots = path[0]
        chosen = self._ring.generator.random(len(slots)) < self._share
        steps, number = len(path), int(chosen.sum())
        if not number:
            return alive
        goal = self._task.achieved(
            self._ring.fields.next_observation[self._later(slots[chosen])])
        goal = np.tile(goal, (steps, 1))
        observation, action, next_observation = (
            field[:, chosen].reshape(steps * number, -1)
            for field in (fields.observation, fields.action, fields.next_observation))
        relabelled = self._task.relabel(
            observation, self._normalised(action), next_observation, goal)
        if steps > 1:
            reached = self._task.reached(relabelled[1]).reshape(steps, number)
            alive[1:, chosen] &= ~np.logical_or.accumulate(reached)[:-1]
        for field, values in zip(
            (fields.observation, fields.next_observation, fields.reward), relabelled, strict=True,
        ):
            field[:, chosen] = values.reshape(steps, number, *field.shape[2:])
        return alive

    def _later(self, slots: np.ndarray) -> np.ndarray:
        """Return for each slot one drawn evenly from it to the end of its episode."""
        walk = [slots]
        while (walk[-1] != NO_ROW).any():
            # NO_ROW stays NO_ROW: the last slot's successor is not asked for it.
            here = walk[-1]
            walk.append(np.where(here == NO_ROW, NO_ROW, self._ring.successor[here]))
        walked = np.stack(walk)
        steps = (walked != NO_ROW).sum(0)
        drawn = (self._ring.generator.random(len(slots)) * steps).astype(int)
        return walked[drawn, np.arange(len(slots))]

    def _normalised(self, action: np.ndarray) -> np.ndarray:
        return (action - self._centre) / self._half_range
