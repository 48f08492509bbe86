# SPDX-License-Identifier: Apache-2.0
"""An arm that moves in real time: driven at a fixed rate, stopped and resumed as by Steering."""

from collections.abc import Callable
import gc
import threading
import time
from typing import Protocol

import numpy as np

from rl_control.collection.operator import Operator
from rl_control.config.hardware import HardwareSettings
from rl_control.control.policy_controller import DRIVING
from rl_control.control.realtime_loop import Statistics, prefer, wait_until
from rl_control.control.stop_trajectory import Plan
from rl_control.control.velocity_controller import VelocityController
from rl_control.environments.arm_model import Arm
from rl_control.environments.environment import Interrupted

APPROACH = 0.25  # s: time constant with which the last bit of the way to a pose is gone
ARRIVED = 0.005  # rad from the pose from which on the arm just comes to rest


class Wire(Protocol):
    """What connects to the arm; used from the thread that collects."""

    def take(self, steering: VelocityController) -> None:
        """Hand over the joint states that came since the last call."""

    def send(self, plan: Plan) -> None:
        """Let the arm follow `plan` from now on."""

    def shift(self, now: float, free: bool) -> float:
        """Return by how much in s ticks should come later than now, to act on fresh states."""


class LiveArm:
    """
    The arm as a robot that is read and moved tick by tick, on an absolute steady clock.

    One thread collects; any other may call `steering.fault`, `steering.resume` and `end`. While
    a person commands, what the person asks for is followed in place of what is requested. Each
    plan ends at rest, so nothing moves on when the next tick does not come.
    """

    def __init__(
        self, arm: Arm, steering: VelocityController, person: Operator, wire: Wire,
        settings: HardwareSettings, notice: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = wait_until,
    ) -> None:
        self.steering = steering
        self.person = person
        self.statistics = Statistics()
        self.intervened = False  # whether a person moved the arm in the last period
        self._period = arm.control_period
        self._speed = settings.reset_speed * arm.limits.velocity
        self._timeout = settings.reset_timeout
        self._wire = wire
        self._real_time = settings.real_time
        self._notice = notice
        self._clock = clock
        self._wait = wait
        self._due: float | None = None
        self._zero = np.zeros_like(arm.home)
        self._answered = False  # whether the arm was heard of in the last period
        self._ended = threading.Event()

    def read(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the newest (stamp s, q (n,) rad, dq (n,) rad/s) of this tick, copied."""
        stamp, q, dq = self.steering.joints
        return stamp, q.copy(), dq.copy()

    def follow(self, request: np.ndarray) -> None:
        """
        Move as `request` (n,) rad/s asks for one control period; `steering.command` is applied.

        Raise Interrupted, naming the reason, when the arm must stop, or had to, and when nothing
        was heard of it: what an action led to is then not known.
        """
        self._tick(request)
        steering = self.steering
        why = steering.look(self._clock()) if steering.mode == DRIVING else steering.why
        if why or not self._answered:
            raise Interrupted(why or 'no joint_states came within a control period')

    def reset(self, q: np.ndarray) -> None:
        """Bring the arm slowly to rest at `q` (n,) rad; raise Interrupted when that fails."""
        began = self._clock()
        while np.abs(away := q - self.steering.command.q).max() > ARRIVED:
            if self.intervened:
                began = self._clock()
            elif self._clock() - began > self._timeout:
                self.steering.fault(
                    f'the start pose was not reached within {self._timeout} s')
            request = away / APPROACH
            self.follow(request / max(1.0, (np.abs(request) / self._speed).max()))
        while self.steering.command.dq.any() or self.steering.command.ddq.any():
            self.follow(self._zero)

    def wait(self, hindrance: Callable[[], str]) -> None:
        """
        Return when the arm may be moved and `hindrance` says nothing; until then it rests.

        A person may command it meanwhile. Raise Interrupted at the end.
        """
        steering = self.steering
        while True:
            now, why = self._clock(), hindrance()
            steering.idle = why if self.person.commanded(now) is None else ''
            if (self._answered and not why and steering.mode == DRIVING
                    and not steering.look(now)):
                return
            self._tick(self._zero)

    def end(self) -> None:
        """Let the thread that collects go, whatever it waits for."""
        self._ended.set()

    def _tick(self, request: np.ndarray) -> None:
        """Send what this period asks for; when it is over take what the arm says."""
        if self._ended.is_set():
            raise Interrupted('told to end')
        now = self._clock()
        if self._due is None:
            self._begin()
            now = self._due = self._clock()
        before = self.steering.joints
        self._wire.take(self.steering)  # while the request was thought of, time has passed
        commanded = self.person.commanded(now)
        self.intervened = commanded is not None
        self.steering.request = request if commanded is None else commanded
        plan = self.steering.tick(now, self._due)
        if plan is not None:
            self._wire.send(plan)
        missed = max(0, round((now - self._due) / self._period))
        due = self._due + (1 + missed) * self._period
        if plan is not None:
            due = now + plan.times[0]  # the instant of the same grid that the plan aims at
        self.statistics.add(self._due, now, self._clock(), missed)
        self._due = due = due + self._wire.shift(self._due, plan is None)
        self._wait(due)
        self._wire.take(self.steering)
        self._answered = self.steering.joints is not before

    def _begin(self) -> None:
        if self._real_time and (hindrance := prefer()):
            self._notice(hindrance)
        gc.freeze()  # what is there by now stays: the less there is to look through

