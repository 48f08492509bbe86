# SPDX-License-Identifier: Apache-2.0
"""
Command gate: sample trajectories into forward commands that always come to rest. No ROS.

A forward-command controller repeats its last command for ever. Every trajectory ends at rest, so
when the sender stops or hangs the arm stops too, as with a trajectory controller.
"""

import numpy as np

from rl_control.common.types import Command
from rl_control.control.emulated_controllers import TrajectoryController
from rl_control.control.watchdog import Watchdog
from rl_control.environments.arm_model import Arm

IDLE_TIMEOUT = 0.5  # s after the end of a trajectory until nothing is sent
CORRECTION_LIMIT = 0.1  # of the velocity limit: the largest position correction


class Gate:
    """
    Sample the newest trajectory, with a position correction of `position_gain` 1/s.

    Without fresh joint states no trajectory starts and no correction is added. After IDLE_TIMEOUT
    s without a trajectory the next one starts from the measured positions.
    """

    def __init__(
        self, arm: Arm, velocity: bool, position_gain: float, stale_period: float
    ) -> None:
        self._correction_limit = CORRECTION_LIMIT * arm.limits.velocity
        self._velocity_limit = arm.limits.velocity
        self._velocity = velocity
        self._gain = position_gain
        self._watchdog = Watchdog('joint_states', stale_period, stale_period)
        self._q: np.ndarray | None = None
        self._controller: TrajectoryController | None = None
        self._ends = -np.inf

    def receive(self, receipt: float, stamp: float, q: np.ndarray) -> None:
        """Store measured positions (n,) rad of `stamp` s, received at `receipt` s."""
        if self._watchdog.receive(receipt, stamp):
            self._q = q

    def follow(self, now: float, times: np.ndarray, commands: list[Command]) -> bool:
        """Start a trajectory; return False without fresh joint states to start it from."""
        if self._controller is None or self._idle(now):
            if self._q is None or self._watchdog.age(now) > self._watchdog.age_limit:
                return False
            self._controller = TrajectoryController(self._q)
        self._controller.follow(times, commands)
        self._ends = now + float(times[-1])
        return True

    def sample(self, now: float) -> np.ndarray | None:
        """Return the positions (n,) rad or velocities (n,) rad/s to send, None for nothing."""
        if self._controller is None:
            return None
        q, dq = self._controller.sample(now)
        if not self._velocity:
            return None if self._idle(now) else q
        if not self.moving(now):
            return dq  # at rest, a small position error is left as it is
        if self._watchdog.fault(now):
            self._watchdog.reset()
            return dq
        limit = self._correction_limit
        correction = np.clip(self._gain * (q - self._q), -limit, limit)
        return np.clip(dq + correction, -self._velocity_limit, self._velocity_limit)

    def moving(self, now: float) -> bool:
        """Return True until the trajectory has ended."""
        return now <= self._ends

    def _idle(self, now: float) -> bool:
        return now > self._ends + IDLE_TIMEOUT
