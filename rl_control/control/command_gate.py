# SPDX-License-Identifier: Apache-2.0
"""
The command gate, without ROS: follow trajectories, tell a forward-command controller.

Such a controller goes on with its last command for ever. What the gate follows ends at rest: when
its sender is silent for a period or hangs, the arm stops as by a trajectory controller.
"""

import numpy as np

from rl_control.common.types import Command
from rl_control.control.emulated_controllers import TrajectoryController
from rl_control.control.watchdog import Watchdog
from rl_control.environments.arm_model import Arm

IDLE = 0.5  # s after the end of a trajectory until the arm is left alone
CORRECTION = 0.1  # of the velocity limit: the most that is added to come back to the position


class Gate:
    """
    Samples the newest trajectory; adds `position_gain` 1/s times the way to it to the velocity.

    Without fresh joint states no trajectory is begun and nothing is added. After IDLE s without
    one the next begins from where the arm is.
    """

    def __init__(
        self, arm: Arm, velocity: bool, position_gain: float, stale_period: float
    ) -> None:
        self._most = CORRECTION * arm.limits.velocity
        self._limit = arm.limits.velocity
        self._velocity = velocity
        self._gain = position_gain
        self._watchdog = Watchdog('joint_states', stale_period, stale_period)
        self._q: np.ndarray | None = None
        self._controller: TrajectoryController | None = None
        self._ends = -np.inf

    def receive(self, receipt: float, stamp: float, q: np.ndarray) -> None:
        """Take measured positions (n,) rad of `stamp` s, received at `receipt` s."""
        if self._watchdog.receive(receipt, stamp):
            self._q = q

    def follow(self, now: float, times: np.ndarray, commands: list[Command]) -> bool:
        """Take a trajectory; return False if there are no fresh joint states to begin it from."""
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
            return dq  # rest is rest, also where the position is a little off
        if self._watchdog.fault(now):
            self._watchdog.reset()
            return dq
        way = np.clip(self._gain * (q - self._q), -self._most, self._most)
        return np.clip(dq + way, -self._limit, self._limit)

    def moving(self, now: float) -> bool:
        """Say whether a trajectory has not come to its end."""
        return now <= self._ends

    def _idle(self, now: float) -> bool:
        return now > self._ends + IDLE
