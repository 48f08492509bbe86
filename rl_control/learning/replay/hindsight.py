# SPDX-License-Identifier: Apache-2.0
"""Hindsight experience replay (HER): relabel goals with achieved goals."""

import numpy as np

from rl_control.environments.tasks.task import Task
from rl_control.learning.replay.replay_buffer import NO_ROW, Batch, ReplayBuffer


class Hindsight:
    """
    Relabels a share of the rows of a batch (Andrychowicz et al. 2017, strategy `future`).

    The new goal of a row is the achieved goal of a step drawn uniformly from that row to the
    newest row of its episode. An n-step return has one goal and ends at the first step that
    reaches it, since later actions pursued another goal. `low` and `high` (a,) are the action
    bounds in SI units.
    """

    def __init__(
        self, replay: ReplayBuffer, task: Task, share: float, low: np.ndarray, high: np.ndarray
    ) -> None:
        self._replay = replay
        self._task = task
        self._share = share
        self._centre, self._half_range = (low + high) / 2, (high - low) / 2

    def relabel(self, path: np.ndarray, fields: Batch) -> np.ndarray:
        """
        Relabel a share of the columns of a `window` in place.

        Return a mask (m, b) of the rows that the return keeps: up to the first that reached the
        new goal.
        """
        alive = path != NO_ROW
        slots = path[0]
        chosen = self._replay.generator.random(len(slots)) < self._share
        steps, number = len(path), int(chosen.sum())
        if not number:
            return alive
        goal = self._task.achieved(
            self._replay.fields.next_observation[self._future(slots[chosen])])
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

    def _future(self, slots: np.ndarray) -> np.ndarray:
        """Return for each slot one drawn uniformly from it to the end of its episode."""
        path = [slots]
        while (path[-1] != NO_ROW).any():
            # NO_ROW is index -1, so `successor` of it would be that of the last slot.
            here = path[-1]
            path.append(np.where(here == NO_ROW, NO_ROW, self._replay.successor[here]))
        future = np.stack(path)
        steps = (future != NO_ROW).sum(0)
        drawn = (self._replay.generator.random(len(slots)) * steps).astype(int)
        return future[drawn, np.arange(len(slots))]

    def _normalised(self, action: np.ndarray) -> np.ndarray:
        return (action - self._centre) / self._half_range
