# SPDX-License-Identifier: Apache-2.0
"""Policy controller: run a policy within limits, one tick at a time. No ROS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math

import numpy as np

from rl_control.common.errors import InvalidInput, NonFinite
from rl_control.common.types import Command
from rl_control.config.motion import MotionSettings
from rl_control.control.interlocks import Interlock
from rl_control.control.policy_switch import Blend
from rl_control.control.state_evidence import EVIDENCE_SAMPLES, StateEvidence
from rl_control.control.stop_trajectory import Plan
from rl_control.control.watchdog import Watchdog, stale_age
from rl_control.control.workspace import Workspace
from rl_control.environments.arm_model import Arm
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.robots import limits

WAITING, DRIVING, STOPPING, STOPPED = 'waiting', 'driving', 'stopping', 'stopped'
CLOCK_RESET = 1.0  # s back: larger than any late tick aims ahead, so the clock has jumped
STALL_TIMEOUT = 0.5  # s without a tick after which the operator must resume
TRANSPORT_TIME = 2e-3  # s that a trajectory may take to its controller
REST_SPEED = 0.05  # of the velocity limit: slower counts as rest


@dataclass(frozen=True)
class Margins:
    """
    Safety margins of the arm.

    `stale_period` is the largest age of joint states in s; `tracking_limit` (rad) and
    `slide_tracking_limit` (m, prismatic joints) the largest distance of a joint from its command,
    0 for no limit; `blend_period` the time in s to pass from one policy to the next;
    `workspace_low`, `workspace_high` (3,) m, empty for no box; `collision_distance` in m from the
    arm to itself and to the table, 0 for no check.
    """

    stale_period: float = 0.1
    tracking_limit: float = 0.0
    slide_tracking_limit: float = 0.0
    blend_period: float = 0.0
    workspace_low: tuple[float, ...] = ()
    workspace_high: tuple[float, ...] = ()
    collision_distance: float = 0.0

    @classmethod
    def of(cls, settings: MotionSettings, blend_period: float = 0.0) -> 'Margins':
        """Return the margins in the settings of a node."""
        return cls(
            settings.stale_period, settings.tracking_limit, settings.slide_tracking_limit,
            blend_period, settings.workspace_low, settings.workspace_high,
            settings.collision_distance)


class PolicyController:
    """
    Follow a policy within limits; on a fault, stop and stay stopped until `resume`.

    `policy`, `goal` and `speed` may be set by another thread and are read once a tick. Each plan
    is a command followed by a stop, so a late tick starts from where the plan has led by then.
    Every `now` is of time.monotonic(). A tick's own `now` and `due` may be of another clock, which
    may stand still or jump, if `steady` is the time of time.monotonic().
    """

    def __init__(self, arm: Arm, margins: Margins, interlocks: Sequence[Interlock] = ()) -> None:
        self._arm = arm
        self._period = arm.control_period
        self._margins = margins
        self._workspace = Workspace(
            margins.workspace_low, margins.workspace_high, arm.kinematics, arm.limits,
            _clearance(arm, margins.collision_distance))
        self._blend = Blend(margins.blend_period)
        age_limit = stale_age(margins.stale_period, self._period)
        self.watchdog = Watchdog('joint_states', age_limit, age_limit)
        self._evidence = StateEvidence(arm, age_limit)
        self._tracking_limit = arm.by_unit(
            margins.tracking_limit or np.inf, margins.slide_tracking_limit or np.inf)
        self._interlocks = interlocks
        self.policy: OnnxPolicy | None = None
        self.goal: np.ndarray | None = None
        self.mode = WAITING
        self.reason = 'no input received yet'
        self.command: Command | None = None
        self.speed = 1.0  # fraction of each velocity limit that requests may use
        self.goal_refusal = ''  # why the last goal was rejected
        self.unused_states = ''  # which joint states come and are not the arm's
        self.workspace_stops = 0  # ticks at which the workspace stopped a motion
        self.target_time = 0.0  # the instant of the ticks' grid that the last plan leads to
        self._command_time = 0.0  # when `command` is to be reached
        self._tick_time = 0.0  # of the last tick, on the steady clock
        self._joints: tuple[float, np.ndarray, np.ndarray] | None = None
        self._fault = ''
        self._resume = False

    def receive(self, receipt: float, stamp: float, q: np.ndarray, dq: np.ndarray) -> None:
        """Store measured joints (n,) rad, (n,) rad/s of `stamp` s, received at `receipt` s."""
        if self.watchdog.receive(receipt, stamp):
            if self.watchdog.fresh <= 1:
                self._evidence.reset()
            self._joints = stamp, q, dq
            jump = self._evidence.add(receipt, stamp, q)
            if jump and self.command is not None:
                self.fault(f'{jump}, faster than it can')

    def fault(self, reason: str) -> None:
        """Bring the arm to rest at the next ticks and stay there until `resume`."""
        if not self._fault:
            self._fault = reason
            self._forget_states()

    def resume(self, now: float) -> str:
        """Continue from the measured state at the next tick; return why not, or ''."""
        if self.mode == STOPPING:
            return 'the arm is not at rest yet'
        if self.mode != STOPPED:
            return f'there is no stop to resume from: {self.mode}'
        for interlock in self._interlocks:
            if reason := interlock.fault(now):
                return reason
        if self.watchdog.age(now) > self.watchdog.age_limit:
            self._forget_states()
        if self._evidence.missing():
            why = f': {self._evidence.reason}' if self._evidence.reason else ''
            return (f'only {self._evidence.count} of {EVIDENCE_SAMPLES} fresh joint_states that '
                    f'agree received since the stop ({self._fault}){why}')
        self._resume = True
        return ''

    @property
    def resting(self) -> bool:
        """Return True if no motion is commanded."""
        return self.mode in (WAITING, STOPPED)

    def check(self, now: float) -> str:
        """Return why the arm must stop, or ''; the next tick starts the stop."""
        for interlock in self._interlocks:
            if reason := interlock.fault(now):
                self.fault(reason)
        if self.command is not None and (
                reason := self.watchdog.fault(now) or self._tracking_fault()):
            self.fault(reason)
        if self.mode == DRIVING:
            stalled = now - self._tick_time - self._period
            if stalled > STALL_TIMEOUT:
                self.fault(f'the loop stood still for {stalled:.3f} s')
            if self._fault:
                self.mode, self.reason = STOPPING, self._fault
        return self._fault

    def tick(self, now: float, due: float, steady: float | None = None) -> Plan | None:
        """
        Return the plan to send now, whose command is to be reached one period after `due`.

        A tick that is more than half a period late aims at a later instant of the same grid.
        Return None when there is nothing to send.
        """
        steady = now if steady is None else steady
        if self._resume:
            self._resume, self._fault, self.command = False, '', None
            self._blend.reset()
        self.check(steady)
        self._tick_time = steady
        if self.command is None:
            self.reason = self._fault or self._waiting_for(steady)
            if self.reason:
                self.mode = STOPPED if self._fault else WAITING
                return None
            self.command, self._command_time = Command.at_rest(self._joints[1]), now
        elif self._command_time - now > CLOCK_RESET:
            self.fault(f'the clock jumped back by {self._command_time - now:.3f} s')
            # The plan that was sent has ended, whatever the clock shows.
            self.command = Command.at_rest(limits.Stop(self.command, self._arm.limits).ends)
            self._command_time = now
        elif self._command_time - now >= 0.5 * self._period:
            return None  # the previous tick was late and aimed beyond this one
        elif now - self._command_time > STALL_TIMEOUT and self.mode == DRIVING:
            self.fault(f'the loop stood still for {now - self._command_time:.3f} s')
        if now > self._command_time:
            self.command = limits.stop(self.command, now - self._command_time, self._arm.limits)
        if self._fault and not (self.command.dq.any() or self.command.ddq.any()):
            self.mode, self.reason = STOPPED, self._fault
            return None
        dt = self._time_to_target(now, due)
        self.target_time = now + dt
        # The plan's stop begins when the joint states become stale, also between two ticks.
        valid = self.watchdog.age_limit - self.watchdog.age(steady) - TRANSPORT_TIME
        expiring = valid < 0.5 * self._period
        if not expiring:
            dt = min(dt, valid)
        # An early tick continues from a command that is still to be reached.
        span = min(dt, now + dt - self._command_time)
        command = None if self._fault or expiring else self._limited_command(now, span)
        if command is None:
            command = limits.stop(self.command, span, self._arm.limits)
        self.mode, self.reason = STOPPING if self._fault else DRIVING, self._fault
        self.command, self._command_time = command, now + dt
        return Plan.of(command, dt, self._arm.limits)

    def _time_to_target(self, now: float, due: float) -> float:
        """Return the time in s to the instant to aim at, half a period at least."""
        periods = max(1, math.ceil((now - due) / self._period + 0.5))
        return due + periods * self._period - now

    def _waiting_for(self, now: float) -> str:
        """Return what is missing before the first command, or ''."""
        for interlock in self._interlocks:
            if reason := interlock.waiting_for(now):
                return reason
        if reason := self._missing_source():
            return reason
        if self._joints is None or self.watchdog.fault(now):
            self._forget_states()
            unused = f': {self.unused_states}' if self.unused_states else ''
            return f'waiting for joint_states{unused}'
        if reason := self._evidence.missing():
            return reason
        if self.goal is None:
            refused = f'; the last one was rejected: {self.goal_refusal}' if (
                self.goal_refusal) else ''
            return f'waiting for a goal{refused}'
        return self._waiting_for_rest()

    def _forget_states(self) -> None:
        """Start the counts of fresh joint states and of those that agree anew."""
        self.watchdog.reset()
        self._evidence.reset()

    def _missing_source(self) -> str:
        """Return which source of requests is missing, or ''."""
        return 'waiting for a policy' if self.policy is None else ''

    def _waiting_for_rest(self) -> str:
        """Return which joint must come to rest before the first command, or ''."""
        moving = np.abs(self._joints[2]) > REST_SPEED * self._arm.limits.velocity
        if moving.any():
            return f'waiting for joint {self._name(moving)} to rest'
        return ''

    def _tracking_fault(self) -> str:
        """Return which joint exceeds the tracking limit, or ''."""
        error = np.abs(self._joints[1] - self.command.q)
        beyond = error > self._tracking_limit
        if not beyond.any():
            return ''
        joint = int(np.argmax(beyond))
        return (f'joint {self._name(beyond)} is {error[joint]:.3f} {self._arm.units[joint]} from '
                f'its command, more than {self._tracking_limit[joint]:g}')

    def _name(self, joints: np.ndarray) -> str:
        return self._arm.settings.joint_names[int(np.flatnonzero(joints)[0])]

    def _limited_command(self, now: float, dt: float) -> Command | None:
        """Return the requested command within limits; note a fault and return None on an error."""
        arm = self._arm
        try:
            request = self._scaled(self._requested(now))
            command = limits.limit(request, self.command, dt, arm.limits)
        except (NonFinite, InvalidInput) as error:
            self.fault(str(error))
            return None
        if not self._workspace.allows(command, self.command):
            self.workspace_stops += 1
            return limits.stop(self.command, dt, arm.limits)
        return command

    def _scaled(self, request: np.ndarray) -> np.ndarray:
        """Return `request` (n,) rad/s, scaled as a whole to the limits times `speed`."""
        if self.speed >= 1.0:
            return request
        factor = np.max(np.abs(request) / self._arm.limits.velocity) / self.speed
        return request / factor if factor > 1.0 else request

    def _requested(self, now: float) -> np.ndarray:
        """Return the velocities (n,) rad/s that the policy asks for."""
        state = self._arm.state(*self._joints, self.command, self.goal)
        return self._blend.act(self.policy, self._arm.task.observe(state), now)


def _clearance(arm: Arm, distance: float) -> Callable[[np.ndarray], float] | None:
    if distance == 0.0:
        return None
    from rl_control.control.collision import CollisionMargins  # imports PyBullet

    return CollisionMargins(arm, distance).excess
