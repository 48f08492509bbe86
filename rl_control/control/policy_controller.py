# SPDX-License-Identifier: Apache-2.0
"""What the policy node does at each tick, without ROS: state in, plan out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math

import numpy as np

from rl_control.common.errors import InvalidInput, NonFinite
from rl_control.common.types import Command
from rl_control.config.motion import MotionSettings
from rl_control.control.interlocks import Interlock
from rl_control.control.policy_switch import Blend
from rl_control.control.stop_trajectory import Plan
from rl_control.control.watchdog import Watchdog
from rl_control.control.workspace import Workspace
from rl_control.environments.arm_model import Arm
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.robots import limits

WAITING, DRIVING, STOPPING, STOPPED = 'waiting', 'driving', 'stopping', 'stopped'
FRESH = 10  # samples before the arm may be commanded again
CLOCK_RESET = 1.0  # s by which a clock jumps back, more than any late tick aims ahead
STALL = 0.5  # s without a tick after which a person decides whether to go on
RESTING = 0.05  # of the velocity limit: a measured speed that counts as rest


@dataclass(frozen=True)
class Margins:
    """
    How far the arm is trusted.

    `stale_period` is the age of joint states in s; `tracking_limit` how far in rad a joint may be
    from its command, 0 for no limit; `blend_period` the s from one policy to the next;
    `workspace_low`, `workspace_high` (3,) m, empty for no box; `collision_distance` in m from the
    arm to itself and to the table, 0 for not looking.
    """

    stale_period: float = 0.1
    tracking_limit: float = 0.0
    blend_period: float = 0.0
    workspace_low: tuple[float, ...] = ()
    workspace_high: tuple[float, ...] = ()
    collision_distance: float = 0.0

    @classmethod
    def of(cls, settings: MotionSettings, blend_period: float = 0.0) -> 'Margins':
        """Return what the settings of a node say."""
        return cls(
            settings.stale_period, settings.tracking_limit, blend_period, settings.workspace_low,
            settings.workspace_high, settings.collision_distance)


class PolicyController:
    """
    Follow a policy within limits; stop and stay stopped when something is not as it must be.

    `policy`, `goal` and `speed` may be set by another thread and are read once a tick. What the
    arm does is known from what it was sent: the command, and behind it the stop. So a tick that
    comes late begins from where that has led. Every `now` is of time.monotonic(); a tick's own
    `now` and `due` may be of another clock, which may stand still or jump, if `steady` says what
    that is.
    """

    def __init__(self, arm: Arm, margins: Margins, guards: Sequence[Interlock] = ()) -> None:
        self._arm = arm
        self._period = arm.control_period
        self._margins = margins
        self._workspace = Workspace(
            margins.workspace_low, margins.workspace_high, arm.kinematics, arm.limits,
            _clearance(arm, margins.collision_distance))
        self._blend = Blend(margins.blend_period)
        # At the next tick the newest sample would be one period older: too late to begin to stop.
        age_limit = max(margins.stale_period, 2.0 * self._period) - self._period
        self.watchdog = Watchdog(
            'joint_states', age_limit, max(margins.stale_period, self._period))
        self._guards = guards
        self.policy: OnnxPolicy | None = None
        self.goal: np.ndarray | None = None
        self.mode = WAITING
        self.why = 'nothing was heard yet'
        self.command: Command | None = None
        self.speed = 1.0  # the share of each velocity limit that requests may take
        self.held_back = 0  # ticks at which the workspace ended a motion
        self._reached = 0.0
        self._ticked = 0.0  # on the steady clock
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

    def resume(self, now: float) -> str:
        """Let the policy drive on from the measured state; return '', or what hinders it."""
        if self.mode == STOPPING:
            return 'the arm is not at rest yet'
        if self.mode != STOPPED:
            return f'nothing is to be resumed: {self.mode}'
        for guard in self._guards:
            if hindrance := guard.fault(now):
                return hindrance
        if self.watchdog.fresh < FRESH:
            return (f'only {self.watchdog.fresh} of {FRESH} fresh joint_states came since the '
                    f'stop ({self._fault})')
        self._resume = True
        return ''

    @property
    def resting(self) -> bool:
        """Say whether nothing moves by command."""
        return self.mode in (WAITING, STOPPED)

    def look(self, now: float) -> str:
        """Return why the arm must stop, which it will from the next tick on, or ''."""
        for guard in self._guards:
            if why := guard.fault(now):
                self.fault(why)
        if self.command is not None and (why := self.watchdog.fault(now) or self._strayed()):
            self.fault(why)
        if self.mode == DRIVING:
            still = now - self._ticked - self._period
            if still > STALL:
                self.fault(f'the loop stood still for {still:.3f} s')
            if self._fault:
                self.mode, self.why = STOPPING, self._fault
        return self._fault

    def tick(self, now: float, due: float, steady: float | None = None) -> Plan | None:
        """
        Return what to send now so that the arm is at the new command one period after `due`.

        A tick that comes more than half a period late aims at a later instant of the same grid.
        """
        steady = now if steady is None else steady
        if self._resume:
            self._resume, self._fault, self.command = False, '', None
            self._blend.reset()
        self.look(steady)
        self._ticked = steady
        if self.command is None:
            self.why = self._fault or self._missing(steady)
            if self.why:
                self.mode = STOPPED if self._fault else WAITING
                return None
            self.command, self._reached = Command.at_rest(self._joints[1]), now
        elif self._reached - now > CLOCK_RESET:
            self.fault(f'the clock jumped back by {self._reached - now:.3f} s')
            # What was sent has an end, whatever the time is now.
            self.command = Command.at_rest(limits.Stop(self.command, self._arm.limits).ends)
            self._reached = now
        elif self._reached - now >= 0.5 * self._period:
            return None  # the tick before was so late that it aimed beyond this one
        elif now - self._reached > STALL and self.mode == DRIVING:
            self.fault(f'the loop stood still for {now - self._reached:.3f} s')
        if now > self._reached:
            self.command = limits.stop(self.command, now - self._reached, self._arm.limits)
        if self._fault and not (self.command.dq.any() or self.command.ddq.any()):
            self.mode, self.why = STOPPED, self._fault
            return None
        dt = self._ahead(now, due)
        # A tick that comes early goes on from a command that is still to be reached.
        span = min(dt, now + dt - self._reached)
        command = None if self._fault else self._followed(now, span)
        if command is None:
            self.mode, self.why = STOPPING, self._fault
            command = limits.stop(self.command, span, self._arm.limits)
        else:
            self.mode, self.why = DRIVING, ''
        self.command, self._reached = command, now + dt
        return Plan.of(command, dt, self._arm.limits)

    def _ahead(self, now: float, due: float) -> float:
        """Return the time in s, half a period at least, to the instant that is aimed at."""
        periods = max(1, math.ceil((now - due) / self._period + 0.5))
        return due + periods * self._period - now

    def _missing(self, now: float) -> str:
        """Return what is waited for before the first command, or ''."""
        for guard in self._guards:
            if why := guard.awaited(now):
                return why
        if why := self._absent():
            return why
        if self._joints is None or self.watchdog.fault(now):
            self.watchdog.reset()
            return 'waiting for joint_states'
        if self.goal is None:
            return 'waiting for a goal'
        return self._rested()

    def _absent(self) -> str:
        """Return what is not there yet to be followed, or ''."""
        return 'waiting for a policy' if self.policy is None else ''

    def _rested(self) -> str:
        """Return which joint still moves before the first command, or ''."""
        moving = np.abs(self._joints[2]) > RESTING * self._arm.limits.velocity
        if moving.any():
            return f'waiting for joint {self._name(moving)} to rest'
        return ''

    def _strayed(self) -> str:
        """Return which joint is not where it was commanded, or ''."""
        most = self._margins.tracking_limit
        if not most:
            return ''
        away = np.abs(self._joints[1] - self.command.q)
        if not (away > most).any():
            return ''
        return (f'joint {self._name(away > most)} is {away.max():.3f} rad from its command, '
                f'more than {most}')

    def _name(self, which: np.ndarray) -> str:
        return self._arm.settings.joint_names[int(np.flatnonzero(which)[0])]

    def _followed(self, now: float, dt: float) -> Command | None:
        """Return the requested command within limits, or None with the fault noted."""
        arm = self._arm
        try:
            request = self._slowed(self._requested(now))
            command = limits.limit(request, self.command, dt, arm.limits)
        except (NonFinite, InvalidInput) as error:
            self.fault(str(error))
            return None
        if not self._workspace.allows(command, self.command):
            self.held_back += 1
            return limits.stop(self.command, dt, arm.limits)
        return command

    def _slowed(self, request: np.ndarray) -> np.ndarray:
        """Return `request` (n,) rad/s, as a whole as slow as `speed` has it."""
        if self.speed >= 1.0:
            return request
        share = np.max(np.abs(request) / self._arm.limits.velocity) / self.speed
        return request / share if share > 1.0 else request

    def _requested(self, now: float) -> np.ndarray:
        """Return the velocities (n,) rad/s that the policy asks for."""
        state = self._arm.state(*self._joints, self.command, self.goal)
        return self._blend.act(self.policy, self._arm.task.observe(state), now)


def _clearance(arm: Arm, distance: float) -> Callable[[np.ndarray], float] | None:
    if distance == 0.0:
        return None
    from rl_control.control.collision import CollisionMargins  # the one that needs PyBullet

    return CollisionMargins(arm, distance).excess
