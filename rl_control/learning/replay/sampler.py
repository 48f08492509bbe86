# SPDX-License-Identifier: Apache-2.0
"""Prioritized and n-step sampling: draw the batches of updates from a replay buffer."""

from collections.abc import Callable

import numpy as np

from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning.replay.hindsight import Hindsight
from rl_control.learning.replay.n_step_returns import n_step, window
from rl_control.learning.replay.off_policy_corrections import cut, retrace
from rl_control.learning.replay.replay_buffer import NO_ROW, Batch, ReplayBuffer
from rl_control.learning.replay.sum_tree import SumTree

# Added to each error, so that every row can still be drawn (Schaul et al. 2016, section 3.3).
LEAST_ERROR = 1e-6
CHUNK = 4096  # rows of one critic pass over new rows

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


class Sampler:
    """
    Draws batches from a replay buffer: uniformly or by priority, of one step or several.

    `td_error(batch) -> (b,)` is the critic's, for the first priority of each row; `act(observation
    (b, o)) -> (b, a)` the current policy's action without noise, in SI units, against which
    traces are cut; `half_range` (a,) is half the range of each action column; `hindsight` relabels
    a share of the rows; `evaluate` is passed to `retrace`. Owned by the buffer's thread.
    """

    def __init__(
        self,
        replay: ReplayBuffer,
        settings: AlgorithmSettings,
        half_range: np.ndarray,
        td_error: Callable[[Batch], np.ndarray],
        act: Callable[[np.ndarray], np.ndarray],
        hindsight: Hindsight | None = None,
        evaluate: Evaluate | None = None,
    ) -> None:
        self._replay = replay
        self._settings = settings
        self._half_range = half_range
        self._td_error = td_error
        self._act = act
        self._hindsight = hindsight
        self._evaluate = evaluate
        self._tree = SumTree(replay.capacity) if settings.priority_exponent else None
        self._prioritised = replay.total - len(replay)  # rows with a priority, of replay.total
        self._slots = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return the number of rows in the replay buffer."""
        return len(self._replay)

    def sample(self, batch_size: int) -> tuple[Batch, np.ndarray | None]:
        """
        Return a batch, which the next call overwrites, and its weights, None where all are 1.

        Raise InvalidInput when the buffer is empty, and for priorities that are not finite.
        """
        if self._tree is None:
            return self._batch(self._replay.draw(batch_size)), None
        self._prioritise_new(self._tree)
        # Stratified: one draw in each of equal parts of the sum, section B.2.1.
        parts = np.arange(batch_size) + self._replay.generator.random(batch_size)
        self._slots = self._tree.find(parts * (self._tree.total / batch_size))
        # Importance weights, section 3.4; the common factor cancels in weight / max(weight).
        weight = self._tree.get(self._slots) ** -self._settings.importance_exponent
        return self._batch(self._slots), (weight / weight.max()).astype(np.float32)

    def update_priorities(self, error: np.ndarray) -> None:
        """Set the priorities of the last batch's rows by their errors (b,)."""
        if self._tree is not None:
            self._tree.set(self._slots, self._priority(error))

    def _batch(self, slots: np.ndarray) -> Batch:
        settings = self._settings
        if settings.n_step == 1 and self._hindsight is None:
            return self._replay.take(slots)
        path, fields = window(self._replay, slots, settings.n_step)
        alive = path != NO_ROW
        if self._hindsight is not None:
            alive = self._hindsight.relabel(path, fields)
        reward = weight = None
        if settings.correction == 'cut':
            alive = cut(fields, alive, self._act, settings.trace_tolerance * self._half_range)
        elif settings.correction == 'retrace':
            assert self._evaluate is not None, 'settings reject retrace without a density'
            alive, reward, weight = retrace(
                fields, alive, self._replay.log_prob[path], self._evaluate, settings.trace_decay)
        return n_step(fields, alive, settings.gamma, reward, weight)

    def _priority(self, error: np.ndarray) -> np.ndarray:
        return (error.astype(np.float64) + LEAST_ERROR) ** self._settings.priority_exponent

    def _prioritise_new(self, tree: SumTree) -> None:
        """Set the first priorities of rows added since the last sample, by critic passes."""
        total = self._replay.total
        for first in range(max(self._prioritised, total - self._replay.capacity), total, CHUNK):
            slots = np.arange(first, min(first + CHUNK, total)) % self._replay.capacity
            tree.set(slots, self._priority(self._td_error(self._batch(slots))))
        self._prioritised = total
