# SPDX-License-Identifier: Apache-2.0
"""Velocity controller: follow requested joint velocities in place of a policy."""

from collections.abc import Sequence

import numpy as np

from rl_control.control.interlocks import Interlock
from rl_control.control.policy_controller import Margins, PolicyController
from rl_control.control.stop_trajectory import Plan
from rl_control.environments.arm_model import Arm


class VelocityController(PolicyController):
    """
    PolicyController for data collection: the same limits, watchdogs and latched faults.

    `request` (n,) rad/s is read once a tick. While `idle` holds a reason, an arm at rest is sent
    no commands, so the operator may move it by hand.
    """

    def __init__(self, arm: Arm, margins: Margins, interlocks: Sequence[Interlock] = ()) -> None:
        super().__init__(arm, margins, interlocks)
        self.goal = np.zeros(0)  # not used
        self.request = np.zeros(len(arm.settings.joint_names))
        self.idle = ''

    @property
    def joints(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the newest (stamp s, q (n,) rad, dq (n,) rad/s), None before the first."""
        return self._joints

    def tick(self, now: float, due: float, steady: float | None = None) -> Plan | None:
        """Return the plan to send now, whose command is to be reached at the next tick."""
        command = self.command
        if self.idle and command is not None and not (command.dq.any() or command.ddq.any()):
            self.command = None
        return super().tick(now, due, steady)

    def _missing_source(self) -> str:
        return self.idle

    def _requested(self, now: float) -> np.ndarray:
        return self.request
