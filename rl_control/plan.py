# SPDX-License-Identifier: Apache-2.0
"""What is sent to the arm: a command and, behind it, the way to rest."""

from dataclasses import dataclass

import numpy as np

from rl_control.limits import Limits, profile, stopping
from rl_control.types import Command

HORIZON = 8  # points of the stop behind each command
SHORTEST = 8e-3  # s of the stop, were it over sooner: controllers refuse points at one instant


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: `commands`, each to be reached `times` s from now; the last is rest."""

    times: list[float]
    commands: list[Command]

    @classmethod
    def of(cls, command: Command, dt: float, limits: Limits) -> 'Plan':
        """Return `command` after `dt` s and then the shortest stop from it."""
        length = float(stopping(command, limits)[0].max())
        if length == 0.0:
            return cls([dt], [command])
        steps = max(length, SHORTEST) / HORIZON * np.arange(1, HORIZON + 1)
        stops = profile(command, limits, steps)
        stops[-1] = Command.at_rest(stops[-1].q)
        return cls([dt, *(dt + steps)], [command, *stops])
