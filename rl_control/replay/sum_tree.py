# SPDX-License-Identifier: Apache-2.0
"""Numbers whose sum is known, so that one can be drawn in proportion to itself."""

import numpy as np

from rl_control.errors import Refused


class SumTree:
    """
    A binary tree over `capacity` priorities, each node the sum of its two children.

    Node 1 is the root, the children of k are 2 k and 2 k + 1 (Schaul et al. 2016, appendix
    B.2.1). Whole arrays go up and down the levels together. float64, so that a million small
    numbers still add up.
    """

    def __init__(self, capacity: int) -> None:
        self.leaves = 1 << max(1, (capacity - 1).bit_length())
        self.nodes = np.zeros(2 * self.leaves)

    @property
    def total(self) -> float:
        """Return the sum of all priorities."""
        return float(self.nodes[1])

    def get(self, slots: np.ndarray) -> np.ndarray:
        """Return the priorities of `slots` (n,)."""
        return self.nodes[slots + self.leaves]

    def set(self, slots: np.ndarray, priorities: np.ndarray) -> None:
        """Set the priorities of `slots` (n,); of a slot that comes twice the last one counts."""
        if not (np.isfinite(priorities).all() and (priorities >= 0.0).all()):
            raise Refused(
                'priorities have NaN, infinity or a negative number; the critic has diverged: '
                'lower its step size'
            )
        nodes = slots + self.leaves
        self.nodes[nodes] = priorities
        while nodes[0] > 1:
            nodes = nodes >> 1
            self.nodes[nodes] = self.nodes[2 * nodes] + self.nodes[2 * nodes + 1]

    def find(self, sums: np.ndarray) -> np.ndarray:
        """Return for each of `sums` (n,) the first slot at which the running sum exceeds it."""
        nodes, rest = np.ones(len(sums), np.int64), sums.copy()
        while nodes[0] < self.leaves:
            nodes *= 2
            left = self.nodes[nodes]
            # Rounding may leave a rest beyond the last priority: never go where there is none.
            right = (rest >= left) & (self.nodes[nodes + 1] > 0.0)
            rest -= np.where(right, left, 0.0)
            nodes += right
        return nodes - self.leaves
