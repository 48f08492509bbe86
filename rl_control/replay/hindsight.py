# SPDX-License-Identifier: Apache-2.0
"""Hindsight: what was reached is taken for what was wanted."""

from collections.abc import Callable

import numpy as np

from rl_control.replay.returns import n_step
from rl_control.replay.ring import NO_ROW, Batch, Ring
from rl_control.tasks.task import Task


class Hindsight:
    """
    Relabels a share of the rows of a batch (Andrychowicz et al. 2017, strategy `future`).

    The goal of such a row is what a step drawn evenly from itself to the newest of its episode
    reached. A return of several steps has one goal, and ends where that was reached: what was
    done behind it was done for another. `low` and `high` (a,) are the bounds of the actions.
    """

    def __init__(
        self, ring: Ring, task: Task, share: float, low: np.ndarray, high: np.ndarray
    ) -> None:
        self._ring = ring
        self._task = task
        self._share = share
        self._centre, self._half_range = (low + high) / 2, (high - low) / 2

    def batch(
        self, slots: np.ndarray, steps: int, gamma: float,
        goes_on: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Batch:
        """Return the rows in `slots` (b,) as `n_step` does, a share of them with other goals."""
        fields, generator = self._ring.fields, self._ring.generator
        chosen = generator.random(len(slots)) < self._share
        ends = np.full(len(slots), NO_ROW)
        ends[chosen] = self._later(slots[chosen])
        goal = self._task.achieved(fields.next_observation[ends])

        def reward(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
            earned = fields.reward[at]
            new = chosen[rows]
            _, _, earned[new] = self._task.relabel(
                fields.observation[at[new]], self._normalised(fields.action[at[new]]),
                fields.next_observation[at[new]], goal[rows[new]])
            return earned

        batch = n_step(self._ring, slots, steps, gamma, goes_on, reward, ends)
        batch.observation[chosen], batch.next_observation[chosen], _ = self._task.relabel(
            batch.observation[chosen], self._normalised(batch.action[chosen]),
            batch.next_observation[chosen], goal[chosen])
        return batch

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
