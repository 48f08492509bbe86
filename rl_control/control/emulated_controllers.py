# SPDX-License-Identifier: Apache-2.0
"""
Emulated ros2_control controllers: joint trajectory, forward position and forward velocity.

For the simulator, which must fail as hardware would, and for the command gate. Each is commanded
on one thread and sampled on another; a command is one assignment.
"""

from collections.abc import Sequence

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command

REST_VELOCITY = 1e-6  # rad/s; slower counts as rest at the end of a trajectory


class TrajectoryController:
    """
    joint_trajectory_controller with `interpolate_from_desired_state`, else its defaults.

    A new trajectory replaces the running one and starts at the next sample, from the desired state
    of the running one. After the last point the arm stays there.
    """

    def __init__(self, q: np.ndarray) -> None:
        self._new: tuple[np.ndarray, list[Command]] | None = None
        self._times = np.zeros(1)
        self._points = [Command.at_rest(q)]
        self._began = 0.0

    def follow(self, times: np.ndarray, commands: Sequence[Command]) -> None:
        """Follow `commands`, to be reached `times` (k,) s after the next sample."""
        if np.abs(commands[-1].dq).max(initial=0.0) > REST_VELOCITY:
            raise InvalidInput(
                f'trajectory ends with velocities {commands[-1].dq.tolist()}; end it at rest')
        self._new = np.asarray(times, dtype=float), list(commands)

    def sample(self, now: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the desired (q (n,) rad, dq (n,) rad/s) at `now` s."""
        new, self._new = self._new, None
        if new is not None:
            times, points = new
            if times[0] > 0.0:
                times, points = np.append(0.0, times), [self._desired(now), *points]
            self._times, self._points, self._began = times, points, now
        desired = self._desired(now)
        return desired.q, desired.dq

    def _desired(self, now: float) -> Command:
        elapsed = now - self._began
        after = int(np.searchsorted(self._times, elapsed, side='right'))
        if after == len(self._points):
            return Command.at_rest(self._points[-1].q)
        start = self._times[after - 1]
        return spline(self._points[after - 1], self._points[after], self._times[after] - start,
                      elapsed - start)


class ForwardPosition:
    """forward_command_controller for positions: hold the last command for ever."""

    def __init__(self, q: np.ndarray) -> None:
        self._q = np.array(q, dtype=float)

    def forward(self, values: np.ndarray) -> None:
        """Set the positions (n,) rad."""
        self._q = values

    def sample(self, now: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the last command, at rest."""
        return self._q, np.zeros_like(self._q)


class ForwardVelocity:
    """forward_command_controller for velocities: continue the last command for ever."""

    def __init__(self, q: np.ndarray) -> None:
        self._q = np.array(q, dtype=float)
        self._dq = np.zeros_like(self._q)
        self._last: float | None = None

    def forward(self, values: np.ndarray) -> None:
        """Set the velocities (n,) rad/s."""
        self._dq = values

    def sample(self, now: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the integrated positions (n,) rad and the velocities (n,) rad/s."""
        dq = self._dq
        if self._last is not None:
            self._q = self._q + (now - self._last) * dq
        self._last = now
        return self._q, dq


def spline(start: Command, end: Command, period: float, t: float) -> Command:
    """
    Return the command `t` s after `start` on the spline that reaches `end` after `period` s.

    Chosen as joint_trajectory_controller does, by what both ends define: a quintic with positions,
    velocities and accelerations, a cubic without accelerations, a line with positions alone.
    """
    if not (len(start.dq) and len(end.dq)):
        slope = (end.q - start.q) / period
        return Command(start.q + t * slope, slope, np.zeros_like(slope))
    if not (len(start.ddq) and len(end.ddq)):
        gap = (end.q - start.q) / period  # then q0 + t dq0 + t² a + t³ b
        a = (3.0 * gap - 2.0 * start.dq - end.dq) / period
        b = (start.dq + end.dq - 2.0 * gap) / period**2
        return Command(
            start.q + t * (start.dq + t * (a + t * b)),
            start.dq + t * (2.0 * a + t * 3.0 * b),
            2.0 * a + t * 6.0 * b)
    gap = end.q - start.q - period * (start.dq + 0.5 * period * start.ddq)
    speed = (end.dq - start.dq - period * start.ddq) * period
    bend = (end.ddq - start.ddq) * period**2
    a = (10.0 * gap - 4.0 * speed + 0.5 * bend) / period**3
    b = (-15.0 * gap + 7.0 * speed - bend) / period**4
    c = (6.0 * gap - 3.0 * speed + 0.5 * bend) / period**5
    return Command(
        start.q + t * (start.dq + t * (0.5 * start.ddq + t * (a + t * (b + t * c)))),
        start.dq + t * (start.ddq + t * (3.0 * a + t * (4.0 * b + t * 5.0 * c))),
        start.ddq + t * (6.0 * a + t * (12.0 * b + t * 20.0 * c)),
    )
