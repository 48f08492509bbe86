# SPDX-License-Identifier: Apache-2.0
"""A box in space that the end effector does not leave."""

from collections.abc import Callable, Sequence

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.robots.kinematics import Kinematics
from rl_control.robots.limits import Limits, Stop


class Workspace:
    """
    The box `low` (3,) to `high` (3,) m in the base frame, for the end effector's origin.

    The rest of the arm is looked at by `clearance`, if there is one: it returns by how much (m)
    something is too near at q (n,) rad. Empty bounds are no box.
    """

    def __init__(
        self, low: Sequence[float], high: Sequence[float], kinematics: Kinematics,
        limits: Limits, clearance: Callable[[np.ndarray], float] | None = None,
    ) -> None:
        if len(low) != len(high) or len(low) not in (0, 3):
            raise InvalidInput(f'workspace has {len(low)} lower and {len(high)} upper bounds; '
                          'give 3 of each, or none')
        self._low, self._high = np.array(low, dtype=float), np.array(high, dtype=float)
        if not (self._low < self._high).all():
            raise InvalidInput(f'workspace reaches from {list(low)} to {list(high)} m; each lower '
                          'bound must be below its upper bound')
        self._kinematics = kinematics
        self._limits = limits
        self._clearance = clearance

    def excess(self, q: np.ndarray) -> float:
        """Return how far in m the end effector is outside, or another link too near; 0 inside."""
        near = self._clearance(q) if self._clearance is not None else 0.0
        if not len(self._low):
            return near
        position = self._kinematics.position(q)
        return max(near, float(
            np.maximum(self._low - position, position - self._high).max(initial=0.0)))

    def allows(self, command: Command, previous: Command) -> bool:
        """
        Say whether `command` and the stop behind it stay inside, or come nearer from outside.

        The stop is looked at half-way and at its end; it is short.
        """
        if not len(self._low) and self._clearance is None:
            return True
        end = Stop(command, self._limits).ends
        excess = max(self.excess(q) for q in (command.q, 0.5 * (command.q + end), end))
        return excess == 0.0 or excess < self.excess(Stop(previous, self._limits).ends)
