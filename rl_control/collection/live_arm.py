# SPDX-License-Identifier: Apache-2.0
"""Live arm: command an arm in real time, tick by tick, with stops and resumes."""

from collections.abc import Callable
import gc
import threading
import time
from typing import Protocol

import numpy as np

from rl_control.collection.operator import Operator
from rl_control.config.hardware import HardwareSettings
from rl_control.control.policy_controller import DRIVING
from rl_control.control.realtime_loop import Statistics, request_real_time, wait_until
from rl_control.control.stop_trajectory import Plan
from rl_control.control.velocity_controller import VelocityController
from rl_control.environments.arm_model import Arm
from rl_control.environments.environment import Interrupted

APPROACH_TIME = 0.25  # s; time constant of the last part of the way to a pose
ARRIVED = {'rad': 0.005, 'm': 0.001}  # from the pose; nearer, the arm just comes to rest


class ArmConnection(Protocol):
    """Connection to the arm, used from the collecting thread."""

    def update(self, controller: VelocityController) -> None:
        """Pass the joint states since the last call to `controller`."""

    def send(self, plan: Plan) -> None:
        """Send `plan` to the arm."""

    def phase_shift(self, now: float, idle: bool) -> float:
        """Return by how many s to delay the ticks so that they act on fresh states."""


class LiveArm:
    """
    The arm as a robot that is read and commanded tick by tick, on an absolute steady clock.

    One thread collects; any other may call `controller.fault`, `controller.resume` and `end`. The
    operator's commands replace the requested ones. Each plan ends at rest, so the arm stops if
    the next tick does not come.
    """

    def __init__(
        self, arm: Arm, controller: VelocityController, operator: Operator,
        connection: ArmConnection, settings: HardwareSettings,
        log_warning: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = wait_until,
    ) -> None:
        self.controller = controller
        self.operator = operator
        self.statistics = Statistics()
        self.intervened = False  # True if the operator moved the arm in the last period
        self._period = arm.control_period
        self._arrived = np.array([ARRIVED[unit] for unit in arm.units])
        self._speed = settings.reset_speed * arm.limits.velocity
        self._timeout = settings.reset_timeout
        self._connection = connection
        self._real_time = settings.real_time
        self._log_warning = log_warning
        self._clock = clock
        self._wait = wait
        self._due: float | None = None
        self._zero = np.zeros_like(arm.home)
        self._state_received = False  # True if a joint state came in the last period
        self._ended = threading.Event()

    def read(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the newest (stamp s, q (n,) rad, dq (n,) rad/s) of this tick, copied."""
        stamp, q, dq = self.controller.joints
        return stamp, q.copy(), dq.copy()

    def follow(self, request: np.ndarray) -> None:
        """
        Command `request` (n,) rad/s for one control period; `controller.command` is applied.

        Raise Interrupted with the reason when the arm must stop or has stopped, and when no joint
        state came, since the outcome of the action is then unknown.
        """
        self._tick(request)
        controller = self.controller
        reason = (controller.check(self._clock()) if controller.mode == DRIVING
                  else controller.reason)
        if reason or not self._state_received:
            raise Interrupted(reason or 'no joint_states came within a control period')

    def reset(self, q: np.ndarray) -> None:
        """Move slowly to rest at `q` (n,) rad; raise Interrupted when that fails."""
        began = self._clock()
        while (np.abs(away := q - self.controller.command.q) > self._arrived).any():
            if self.intervened:
                began = self._clock()
            elif self._clock() - began > self._timeout:
                self.controller.fault(
                    f'the start pose was not reached within {self._timeout} s')
            request = away / APPROACH_TIME
            self.follow(request / max(1.0, (np.abs(request) / self._speed).max()))
        while self.controller.command.dq.any() or self.controller.command.ddq.any():
            self.follow(self._zero)

    def wait(self, blocked: Callable[[], str]) -> None:
        """
        Return when the arm may move and `blocked` returns ''; keep it at rest until then.

        The operator may command it meanwhile. Raise Interrupted after `end`.
        """
        controller = self.controller
        while True:
            now, reason = self._clock(), blocked()
            controller.idle = reason if self.operator.command(now) is None else ''
            if (self._state_received and not reason and controller.mode == DRIVING
                    and not controller.check(now)):
                return
            self._tick(self._zero)

    def end(self) -> None:
        """Release the collecting thread; its next call raises Interrupted."""
        self._ended.set()

    def _tick(self, request: np.ndarray) -> None:
        """Send the plan of this period, wait for its end and read the arm."""
        if self._ended.is_set():
            raise Interrupted('shutting down')
        now = self._clock()
        if self._due is None:
            self._prepare_thread()
            now = self._due = self._clock()
        before = self.controller.joints
        self._connection.update(self.controller)  # states that came during inference
        commanded = self.operator.command(now)
        self.intervened = commanded is not None
        self.controller.request = request if commanded is None else commanded
        plan = self.controller.tick(now, self._due)
        if plan is not None:
            self._connection.send(plan)
        missed = max(0, round((now - self._due) / self._period))
        due = self._due + (1 + missed) * self._period
        if plan is not None:
            due = self.controller.target_time  # the instant of the grid that the plan aims at
        self.statistics.add(self._due, now, self._clock(), missed)
        self._due = due = due + self._connection.phase_shift(self._due, plan is None)
        self._wait(due)
        self._connection.update(self.controller)
        self._state_received = self.controller.joints is not before

    def _prepare_thread(self) -> None:
        if self._real_time and (refusal := request_real_time()):
            self._log_warning(refusal)
        gc.freeze()  # existing objects stay; the garbage collector skips them

