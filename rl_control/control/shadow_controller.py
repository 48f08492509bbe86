# SPDX-License-Identifier: Apache-2.0
"""Shadow mode: compare a policy's commands with the arm's motion without sending them."""

import numpy as np

from rl_control.common.types import Command
from rl_control.control.policy_controller import WAITING, PolicyController
from rl_control.control.stop_trajectory import Plan

SHADOWING = 'shadowing'


class ShadowController(PolicyController):
    """
    PolicyController whose previous command is always the measured motion.

    `difference` is the root mean square over the joints, in rad/s, of the velocity it would have
    commanded one period ago minus the measured one; NaN before the first.
    """

    difference = float('nan')

    def tick(self, now: float, due: float, steady: float | None = None) -> Plan | None:
        """Return the plan from the measured state. Do not send it."""
        previous, self.command = self.command, None
        self.reason = self._waiting_for(now if steady is None else steady) or self._fault
        if self.reason:
            self.mode, self._fault, self.difference = WAITING, '', float('nan')
            return None
        _, q, dq = self._joints
        if previous is not None:
            self.difference = float(np.sqrt(np.mean((previous.dq - dq) ** 2)))
        self.command = Command(q, dq, np.zeros_like(q))
        dt = self._time_to_target(now, due)
        self.command = self._limited_command(now, dt)
        if self.command is None:
            return None
        self.mode, self.reason = SHADOWING, ''
        return Plan.of(self.command, dt, self._arm.limits)

    def _waiting_for_rest(self) -> str:
        """Return '': another controller may be moving the arm."""
        return ''
