# SPDX-License-Identifier: Apache-2.0
"""What each update learns from: which rows, over how many steps, and with what weight."""

from collections.abc import Callable

import numpy as np

from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning.replay.hindsight import Hindsight
from rl_control.learning.replay.n_step_returns import n_step, window
from rl_control.learning.replay.off_policy_corrections import cut, retrace
from rl_control.learning.replay.replay_buffer import NO_ROW, Batch, ReplayBuffer
from rl_control.learning.replay.sum_tree import SumTree

# Added to each error, so that no row is lost for ever (Schaul et al. 2016, section 3.3).
LEAST_ERROR = 1e-6
PASS = 4096  # rows of one critic pass over what came in

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


class Sampler:
    """
    Draws batches from a ring: uniformly or by priority, of one step or several.

    `td_error(batch) -> (b,)` is the critic's, for the first priority of each row; `act(observation
    (b, o)) -> (b, a)` the current policy's action without noise, in SI units, against which
    traces are cut; `half_range` (a,) is half the range of each action column; `hindsight` gives a
    share of the rows other goals; `evaluate` is what `retrace` needs. Owned by the ring's thread.
    """

    def __init__(
        self,
        ring: ReplayBuffer,
        settings: AlgorithmSettings,
        half_range: np.ndarray,
        td_error: Callable[[Batch], np.ndarray],
        act: Callable[[np.ndarray], np.ndarray],
        hindsight: Hindsight | None = None,
        evaluate: Evaluate | None = None,
    ) -> None:
        self._ring = ring
        self._settings = settings
        self._half_range = half_range
        self._td_error = td_error
        self._act = act
        self._hindsight = hindsight
        self._evaluate = evaluate
        self._tree = SumTree(ring.capacity) if settings.priority_exponent else None
        self._known = ring.total - len(ring)  # rows that have a priority, counted as ring.total
        self._slots = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return how many rows there are to draw from."""
        return len(self._ring)

    def sample(self, batch_size: int) -> tuple[Batch, np.ndarray | None]:
        """
        Return a batch, which the next call overwrites, and its weights, None for all 1.

        Raise InvalidInput when there is no row, and for priorities that are not finite.
        """
        if self._tree is None:
            return self._batch(self._ring.draw(batch_size)), None
        self._take_in(self._tree)
        # One draw in each of equal parts of the sum: section B.2.1.
        parts = np.arange(batch_size) + self._ring.generator.random(batch_size)
        self._slots = self._tree.find(parts * (self._tree.total / batch_size))
        # Equation 2 of section 3.4; what is the same for all rows goes with the largest weight.
        weight = self._tree.get(self._slots) ** -self._settings.importance_exponent
        return self._batch(self._slots), (weight / weight.max()).astype(np.float32)

    def learned(self, error: np.ndarray) -> None:
        """Take the errors (b,) of the last batch as its rows' new priorities."""
        if self._tree is not None:
            self._tree.set(self._slots, self._priority(error))

    def _batch(self, slots: np.ndarray) -> Batch:
        settings = self._settings
        if settings.n_step == 1 and self._hindsight is None:
            return self._ring.take(slots)
        path, fields = window(self._ring, slots, settings.n_step)
        alive = path != NO_ROW
        if self._hindsight is not None:
            alive = self._hindsight.relabel(path, fields)
        reward = weight = None
        if settings.correction == 'cut':
            alive = cut(fields, alive, self._act, settings.trace_tolerance * self._half_range)
        elif settings.correction == 'retrace':
            assert self._evaluate is not None, 'retrace is refused where there is no density'
            alive, reward, weight = retrace(
                fields, alive, self._ring.log_prob[path], self._evaluate, settings.trace_decay)
        return n_step(fields, alive, settings.gamma, reward, weight)

    def _priority(self, error: np.ndarray) -> np.ndarray:
        return (error.astype(np.float64) + LEAST_ERROR) ** self._settings.priority_exponent

    def _take_in(self, tree: SumTree) -> None:
        """Give what came since the last sample its first priority, by batched critic passes."""
        total = self._ring.total
        for first in range(max(self._known, total - self._ring.capacity), total, PASS):
            slots = np.arange(first, min(first + PASS, total)) % self._ring.capacity
            tree.set(slots, self._priority(self._td_error(self._batch(slots))))
        self._known = total
