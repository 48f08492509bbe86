# SPDX-License-Identifier: Apache-2.0
"""What is sent to the arm: a command and, behind it, the way to rest."""

from dataclasses import dataclass

import numpy as np

from rl_control.common.types import Command
from rl_control.robots.limits import Limits, Stop

HORIZON = 8  # points of the stop behind each command
SHORTEST = 8e-3  # s of the stop, were it over sooner: controllers refuse points at one instant
POINTS = np.arange(1, HORIZON + 1) / HORIZON


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What to send: `points` (k, 3, n) of q, dq, ddq; the last is rest.

    Each is to be reached `times` (k,) s from now.
    """

    times: np.ndarray
    points: np.ndarray

    @classmethod
    def of(cls, command: Command, dt: float, limits: Limits) -> 'Plan':
        """Return `command` after `dt` s and then the shortest stop from it."""
        first = np.stack((command.q, command.dq, command.ddq))[None]
        if not first[0, 1:].any():
            return cls(np.array([dt]), first)
        stop = Stop(command, limits)
        steps = max(float(stop.times.max()), SHORTEST) * POINTS
        points = np.concatenate((first, stop.at(steps)))
        points[-1, 1:] = 0.0  # also where the last step is rounded to just before the end
        return cls(np.concatenate(((dt,), dt + steps)), points)

    @property
    def commands(self) -> list[Command]:
        """Return the points one by one."""
        return [Command(*point) for point in self.points]
