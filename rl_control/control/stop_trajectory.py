# SPDX-License-Identifier: Apache-2.0
"""Stop trajectory: each plan is a command followed by the shortest stop, so it ends at rest."""

from dataclasses import dataclass

import numpy as np

from rl_control.common.types import Command
from rl_control.robots.limits import Limits, Stop

STOP_POINTS = 8  # trajectory points of the stop
MIN_STOP_TIME = 8e-3  # s; controllers reject points at the same instant
POINTS = np.arange(1, STOP_POINTS + 1) / STOP_POINTS


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A trajectory to send: `points` (k, 3, n) of q, dq, ddq, the last at rest.

    Point i is to be reached `times[i]` s from now; `times` has shape (k,).
    """

    times: np.ndarray
    points: np.ndarray

    @classmethod
    def of(cls, command: Command, dt: float, limits: Limits) -> 'Plan':
        """Return the plan of `command` in `dt` s and the shortest stop after it."""
        first = np.stack((command.q, command.dq, command.ddq))[None]
        if not first[0, 1:].any():
            return cls(np.array([dt]), first)
        stop = Stop(command, limits)
        steps = max(float(stop.times.max()), MIN_STOP_TIME) * POINTS
        points = np.concatenate((first, stop.at(steps)))
        points[-1, 1:] = 0.0  # the last time may be rounded to just before the end
        return cls(np.concatenate(((dt,), dt + steps)), points)

    @property
    def commands(self) -> list[Command]:
        """Return the points one by one."""
        return [Command(*point) for point in self.points]
