# SPDX-License-Identifier: Apache-2.0
"""Workspace limit: keep the end effector in a box and links away from obstacles."""

from collections.abc import Callable, Sequence

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.robots.kinematics import Kinematics
from rl_control.robots.limits import Limits, Stop


class Workspace:
    """
    A box from `low` (3,) to `high` (3,) m in the base frame, for the end effector's origin.

    Empty bounds: no box. `clearance`, if given, returns the violation (m) of the collision
    distance at q (n,) rad.
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
        """Return the largest violation (m) of box and collision distance at `q`, 0 inside."""
        violation = self._clearance(q) if self._clearance is not None else 0.0
        if not len(self._low):
            return violation
        position = self._kinematics.position(q)
        return max(violation, float(
            np.maximum(self._low - position, position - self._high).max(initial=0.0)))

    def allows(self, command: Command, previous: Command) -> bool:
        """
        Return True if `command` and its stop stay inside, or reduce the violation.

        The stop is short: it is checked half-way and at its end.
        """
        if not len(self._low) and self._clearance is None:
            return True
        end = Stop(command, self._limits).ends
        excess = max(self.excess(q) for q in (command.q, 0.5 * (command.q + end), end))
        return excess == 0.0 or excess < self.excess(Stop(previous, self._limits).ends)
