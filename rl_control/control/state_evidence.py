# SPDX-License-Identifier: Apache-2.0
"""State evidence: joint states that agree, before the arm is commanded and while it moves."""

import numpy as np

from rl_control.environments.arm_model import Arm

EVIDENCE_SAMPLES = 10  # joint states in a row before the first command and after each stop
MARGINS = {'rad': 0.05, 'm': 0.01}  # noise and calibration of a position, by the joint's unit


class StateEvidence:
    """
    Count the joint states in a row that can be those of the arm.

    Positions agree if each joint has moved no farther than at its velocity limit in the time
    between, plus MARGINS. That time is the smaller of the stamps' advance and the receipts'
    distance plus `delay_limit` (s), so that messages received together are judged by their stamps
    and stamps that run ahead by their receipts. Positions outside the URDF's limits by more than
    MARGINS are no evidence, and neither are zeros for all joints, which drivers publish before
    their first measurement, unless `robot.zero_is_valid` is set.
    """

    def __init__(self, arm: Arm, delay_limit: float) -> None:
        kinematics = arm.kinematics
        self._names, self._units = arm.settings.joint_names, arm.units
        self._zero_is_valid = arm.settings.zero_is_valid
        self._delay_limit = delay_limit
        self._margin = np.array([MARGINS[unit] for unit in arm.units])
        self._low = kinematics.position_low - self._margin
        self._high = kinematics.position_high + self._margin
        self._speed = np.where(
            np.isfinite(kinematics.velocity_limit), kinematics.velocity_limit,
            arm.limits.velocity)
        self._last: tuple[float, float, np.ndarray] | None = None
        self.count = 0
        self.reason = ''  # why the last one that did not count is no evidence

    def add(self, receipt: float, stamp: float, q: np.ndarray) -> str:
        """
        Count positions `q` (n,) of `stamp` s, received at `receipt` s of time.monotonic().

        Return which joint has moved faster than it can, or ''.
        """
        jump = ''
        if self._last is not None:
            passed, advance = receipt - self._last[0], stamp - self._last[1]
            # A clock that jumped back is the watchdog's to report.
            elapsed = min(advance, passed + self._delay_limit) if advance >= 0.0 else passed
            jump = self._jump(q, elapsed)
        self._last = receipt, stamp, q
        reason = jump or self._impossible(q)
        if reason:
            self.reset()
            self.reason = reason
        else:
            self.count += 1
        return jump

    def missing(self) -> str:
        """Return what is waited for, or '' if there is evidence enough."""
        if self.count >= EVIDENCE_SAMPLES:
            return ''
        return (f'waiting for {EVIDENCE_SAMPLES} joint states that agree'
                + (f': {self.reason}' if self.reason else ''))

    def reset(self) -> None:
        """Start the count anew."""
        self.count, self.reason = 0, ''

    def _jump(self, q: np.ndarray, elapsed: float) -> str:
        moved = np.abs(q - self._last[2])
        beyond = moved > self._speed * elapsed + self._margin
        if not beyond.any():
            return ''
        joint = int(np.argmax(beyond))
        return (f'joint {self._names[joint]} jumped by {moved[joint]:.3f} {self._units[joint]} in '
                f'{elapsed:.3f} s')

    def _impossible(self, q: np.ndarray) -> str:
        outside = (q < self._low) | (q > self._high)
        if outside.any():
            joint = int(np.argmax(outside))
            return (f'joint {self._names[joint]} is at {q[joint]:.3f} {self._units[joint]}, '
                    'outside the limits of the URDF')
        if not self._zero_is_valid and not q.any():
            return ('all joints are exactly 0.0, as before a driver has measured; set '
                    'robot.zero_is_valid if the arm starts there')
        return ''
