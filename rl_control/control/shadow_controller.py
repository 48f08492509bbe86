# SPDX-License-Identifier: Apache-2.0
"""Shadow mode: what a policy would do, beside what the arm does, commanding nothing."""

import numpy as np

from rl_control.common.types import Command
from rl_control.control.policy_controller import WAITING, PolicyController
from rl_control.control.stop_trajectory import Plan

SHADOWING = 'shadowing'


class ShadowController(PolicyController):
    """
    Driving whose previous command is always the measured motion.

    `difference` is the root mean square over the joints, in rad/s, of what it would have
    commanded one period ago less what the arm then did; NaN before there is one.
    """

    difference = float('nan')

    def tick(self, now: float, due: float, steady: float | None = None) -> Plan | None:
        """Return what would be sent from the measured state on; it is not to be sent."""
        would, self.command = self.command, None
        self.why = self._missing(now if steady is None else steady) or self._fault
        if self.why:
            self.mode, self._fault, self.difference = WAITING, '', float('nan')
            return None
        _, q, dq = self._joints
        if would is not None:
            self.difference = float(np.sqrt(np.mean((would.dq - dq) ** 2)))
        self.command = Command(q, dq, np.zeros_like(q))
        dt = self._ahead(now, due)
        self.command = self._followed(now, dt)
        if self.command is None:
            return None
        self.mode, self.why = SHADOWING, ''
        return Plan.of(self.command, dt, self._arm.limits)

    def _rested(self) -> str:
        """Return '': somebody else moves the arm."""
        return ''
