# SPDX-License-Identifier: Apache-2.0
"""Sum tree for prioritized replay: draw slots in proportion to their priorities."""

from itertools import pairwise

import numpy as np

from rl_control.common.errors import InvalidInput

# Children of a node. Two need four times as many levels, and each level costs several calls of
# numpy; above 16 the running sums within a node cost more than the saved levels.
FAN = 16


class SumTree:
    """
    A tree over `capacity` priorities, each node the sum of its children.

    As Schaul et al. 2016, appendix B.2.1, with FAN children instead of two. `levels` run from the
    leaves to the root, (nodes, FAN) each; all methods are vectorised over slots. float64, so
    that the sum of a million small numbers stays exact enough.
    """

    def __init__(self, capacity: int) -> None:
        self.levels = [np.zeros((-(-capacity // FAN), FAN))]
        while len(self.levels[-1]) > 1:
            self.levels.append(np.zeros((-(-len(self.levels[-1]) // FAN), FAN)))

    @property
    def total(self) -> float:
        """Return the sum of all priorities."""
        return float(self.levels[-1].sum())

    def get(self, slots: np.ndarray) -> np.ndarray:
        """Return the priorities of `slots` (n,)."""
        return self.levels[0].reshape(-1)[slots]

    def set(self, slots: np.ndarray, priorities: np.ndarray) -> None:
        """Set the priorities of `slots` (n,); for a repeated slot the last value counts."""
        if not (np.isfinite(priorities).all() and (priorities >= 0.0).all()):
            raise InvalidInput(
                'priorities have NaN, infinity or a negative number: the critic has diverged; '
                'lower its learning rate'
            )
        self.levels[0].reshape(-1)[slots] = priorities
        for lower, upper in pairwise(self.levels):
            slots = slots // FAN
            upper.reshape(-1)[slots] = lower[slots].sum(1)

    def find(self, sums: np.ndarray) -> np.ndarray:
        """Return for each of `sums` (n,) the first slot at which the running sum exceeds it."""
        nodes = np.zeros(len(sums), np.int64)
        rows = np.arange(len(sums))
        for level in reversed(self.levels):
            running = level[nodes].cumsum(1)
            # Rounding may leave the whole sum or more: stay on a child with a priority.
            rest = np.minimum(sums, np.nextafter(running[:, -1], 0.0))
            child = (running <= rest[:, None]).sum(1)
            sums = rest - np.where(child > 0, running[rows, child - 1], 0.0)
            nodes = nodes * FAN + child
        return nodes
