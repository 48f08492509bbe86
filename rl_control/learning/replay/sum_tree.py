# SPDX-License-Identifier: Apache-2.0
"""Numbers whose sum is known, so that one can be drawn in proportion to itself."""

from itertools import pairwise

import numpy as np

from rl_control.common.errors import InvalidInput

# Children of a node. Two need four times as many levels, each of which costs several calls of
# numpy; with more, the running sums within a node cost more than levels saved.
FAN = 16


class SumTree:
    """
    A tree over `capacity` priorities, each node the sum of its children.

    As Schaul et al. 2016, appendix B.2.1, but for more children than two. `levels` are from the
    leaves to the root, (nodes, FAN) each; whole arrays go through them together. float64, so
    that a million small numbers still add up.
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
        """Set the priorities of `slots` (n,); of a slot that comes twice the last one counts."""
        if not (np.isfinite(priorities).all() and (priorities >= 0.0).all()):
            raise InvalidInput(
                'priorities have NaN, infinity or a negative number; the critic has diverged: '
                'lower its step size'
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
            # Rounding may leave a rest of all there is or more: never go where there is none.
            rest = np.minimum(sums, np.nextafter(running[:, -1], 0.0))
            child = (running <= rest[:, None]).sum(1)
            sums = rest - np.where(child > 0, running[rows, child - 1], 0.0)
            nodes = nodes * FAN + child
        return nodes
