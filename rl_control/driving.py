# SPDX-License-Identifier: Apache-2.0
"""What the policy node does at each tick, without ROS: state in, plan out."""

from dataclasses import dataclass

import numpy as np

from rl_control import limits
from rl_control.arm import Arm
from rl_control.errors import Refused
from rl_control.policy import NonFinite, OnnxPolicy
from rl_control.types import Command
from rl_control.watchdog import Watchdog

WAITING, DRIVING, STOPPING, STOPPED = 'waiting', 'driving', 'stopping', 'stopped'
FRESH = 10  # samples before the arm may be commanded again
STALL = 0.5  # s without a tick after which a person decides whether to go on
RESTING = 0.05  # of the velocity limit: a measured speed that counts as rest
HORIZON = 8  # points of the stop behind each command


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: `commands`, each to be reached `times` s from now; the last is rest."""

    times: list[float]
    commands: list[Command]


class Driving:
    """
    Follow a policy within limits; stop and stay stopped when something is not as it must be.

    `policy` and `goal` may be set by another thread and are read once a tick. What the arm does
    is known from what it was sent: the command, and behind it the stop. So a tick that comes late
    begins from where that has led. Every `now` and `due` is of time.monotonic().
    """

    def __init__(self, arm: Arm, stale_period: float) -> None:
        self._arm = arm
        self._period = arm.control_period
        # At the next tick the newest sample would be one period older: too late to begin to stop.
        age_limit = max(stale_period, 2.0 * self._period) - self._period
        self.watchdog = Watchdog('joint_states', age_limit, max(stale_period, self._period))
        self.policy: OnnxPolicy | None = None
        self.goal: np.ndarray | None = None
        self.mode = WAITING
        self.why = 'nothing was heard yet'
        self.command: Command | None = None
        self._reached = 0.0
        self._joints: tuple[float, np.ndarray, np.ndarray] | None = None
        self._fault = ''
        self._resume = False

    def receive(self, receipt: float, stamp: float, q: np.ndarray, dq: np.ndarray) -> None:
        """Take measured joints (n,) rad, rad/s of `stamp` s, received at `receipt` s."""
        if self.watchdog.receive(receipt, stamp):
            self._joints = stamp, q, dq

    def fault(self, why: str) -> None:
        """Bring the arm to rest at the next ticks and stay there until `resume`."""
        if not self._fault:
            self._fault = why
            self.watchdog.reset()

    def resume(self) -> str:
        """Let the policy drive on from the measured state; return '', or what hinders it."""
        if self.mode == STOPPING:
            return 'the arm is not at rest yet'
        if self.mode != STOPPED:
            return f'nothing is to be resumed: {self.mode}'
        if self.watchdog.fresh < FRESH:
            return (f'only {self.watchdog.fresh} of {FRESH} fresh joint_states came since the '
                    f'stop ({self._fault})')
        self._resume = True
        return ''

    @property
    def resting(self) -> bool:
        """Say whether nothing moves by command."""
        return self.mode in (WAITING, STOPPED)

    def tick(self, now: float, due: float) -> Plan | None:
        """Return what to send now so that the arm is at the new command one period after `due`."""
        if self._resume:
            self._resume, self._fault, self.command = False, '', None
        if self.command is None:
            self.why = self._fault or self._missing(now)
            if self.why:
                self.mode = STOPPED if self._fault else WAITING
                return None
            self.command, self._reached = Command.at_rest(self._joints[1]), now
        elif now - self._reached > STALL and self.mode == DRIVING:
            self.fault(f'the loop stood still for {now - self._reached:.3f} s')
        if now > self._reached:
            self.command = limits.stop(self.command, now - self._reached, self._arm.limits)
        if not self._fault and (why := self.watchdog.fault(now)):
            self.fault(why)
        dt = due + self._period - now
        if self._fault and self._rests():
            self.mode, self.why = STOPPED, self._fault
            return None
        command = self._followed(dt)
        if command is None:
            self.mode, self.why = STOPPING, self._fault
            command = limits.stop(self.command, dt, self._arm.limits)
        else:
            self.mode, self.why = DRIVING, ''
        self.command, self._reached = command, now + dt
        return self._plan(command, dt)

    def _missing(self, now: float) -> str:
        """Return what is waited for before the first command, or ''."""
        if self.policy is None:
            return 'waiting for a policy'
        if self._joints is None or self.watchdog.fault(now):
            self.watchdog.reset()
            return 'waiting for joint_states'
        if self.goal is None:
            return 'waiting for a goal'
        moving = np.abs(self._joints[2]) > RESTING * self._arm.limits.velocity
        if moving.any():
            joint = self._arm.settings.joint_names[int(np.flatnonzero(moving)[0])]
            return f'waiting for joint {joint} to rest'
        return ''

    def _rests(self) -> bool:
        return not (self.command.dq.any() or self.command.ddq.any())

    def _followed(self, dt: float) -> Command | None:
        """Return the policy's command within limits, or None with the fault noted."""
        if self._fault:
            return None
        arm, policy, goal = self._arm, self.policy, self.goal
        state = arm.state(*self._joints, self.command, goal)
        try:
            action, _ = policy.act(arm.task.observe(state))
            return limits.limit(action, self.command, dt, arm.limits)
        except (NonFinite, limits.NonFinite, Refused) as error:
            self.fault(str(error))
            return None

    def _plan(self, command: Command, dt: float) -> Plan:
        """Return `command` and behind it the stop, so that what is sent ends at rest."""
        times, _ = limits.stopping(command, self._arm.limits)
        length = float(times.max())
        if length == 0.0:
            return Plan([dt], [command])
        steps = length / HORIZON * np.arange(1, HORIZON + 1)
        stops = limits.profile(command, self._arm.limits, steps)
        stops[-1] = Command.at_rest(stops[-1].q)
        return Plan([dt, *(dt + steps)], [command, *stops])
