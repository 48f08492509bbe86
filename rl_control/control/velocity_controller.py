# SPDX-License-Identifier: Apache-2.0
"""Driving by velocities that are asked for tick by tick, in place of a policy and a goal."""

from collections.abc import Sequence

import numpy as np

from rl_control.control.interlocks import Interlock
from rl_control.control.policy_controller import Margins, PolicyController
from rl_control.control.stop_trajectory import Plan
from rl_control.environments.arm_model import Arm


class VelocityController(PolicyController):
    """
    As Driving, with its limits, watchdogs and latches, for whoever collects on an arm.

    `request` (n,) rad/s is read once a tick. As long as `idle` says why nothing is to move, an
    arm that has come to rest is commanded no more: a person may move it by hand meanwhile.
    """

    def __init__(self, arm: Arm, margins: Margins, guards: Sequence[Interlock] = ()) -> None:
        super().__init__(arm, margins, guards)
        self.goal = np.zeros(0)  # none is asked for
        self.request = np.zeros(len(arm.settings.joint_names))
        self.idle = ''

    @property
    def joints(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the newest (stamp s, q (n,) rad, dq (n,) rad/s), once there was one."""
        return self._joints

    def tick(self, now: float, due: float, steady: float | None = None) -> Plan | None:
        """Return what to send now so that the arm is at the new command at the next tick."""
        command = self.command
        if self.idle and command is not None and not (command.dq.any() or command.ddq.any()):
            self.command = None
        return super().tick(now, due, steady)

    def _absent(self) -> str:
        return self.idle

    def _requested(self, now: float) -> np.ndarray:
        return self.request
