# SPDX-License-Identifier: Apache-2.0
"""
Cubic setpoints: what the joints follow between two commands, one setpoint a substep.

A position controller acts on the error at the start of a substep: it is given where the joints
should be then, on their way to the setpoint at the end, since it would lead by a substep else.
"""

from collections.abc import Mapping
import math

import numpy as np
from numpy.typing import ArrayLike

from rl_control.common.types import Command

MIN_SUBSTEP_RATE = 240.0  # Hz; PyBullet's default, for which its contact solver is tuned
GRAVITY = -9.81  # m/s²


class CubicSetpoints:
    """
    Setpoints on the cubic from the previous command to the next, as long as the latency late.

    The cubic has the position and velocity of both commands at its ends, as the one that a
    joint-trajectory controller follows. A control period of `period` s has `substeps` of them.
    """

    def __init__(self, substeps: int, period: float) -> None:
        self._substeps = substeps
        # (substeps * 2, 4), so that one product with the ends gives q and dq by turns.
        blend = np.swapaxes(hermite(substeps, period), 0, 1)
        self._blend = at_start(blend, period / substeps).reshape(-1, 4)
        self._latency = 0

    def delay(self, substeps: int) -> None:
        """Let the setpoints be `substeps` late from the next `restart` on."""
        self._latency = substeps

    def restart(self, q: np.ndarray) -> None:
        """Begin at rest at `q` (n,) rad or m, and stay there for the latency."""
        rest = Command.at_rest(q)
        self._ends = np.array([rest.q, rest.dq, rest.q, rest.dq])
        self._waiting = np.tile(self._ends[:2], (self._latency, 1, 1))

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return copies of the command and of the setpoints that wait."""
        return {'ends': self._ends.copy(), 'waiting': self._waiting.copy()}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Take back what `snapshot` returned."""
        self._ends, self._waiting = snapshot['ends'].copy(), snapshot['waiting'].copy()

    def advance(self, command: Command) -> np.ndarray:
        """
        Return (substeps, 2, n), what the controllers take in the period up to `command`.

        These are q at the start of each substep and dq at its end.
        """
        ends = self._ends
        ends[2], ends[3] = command.q, command.dq
        setpoints = self._blend.dot(ends).reshape(self._substeps, 2, -1)
        ends[:2] = ends[2:]
        if len(self._waiting):
            setpoints = np.concatenate((self._waiting, setpoints))
            setpoints, self._waiting = np.split(setpoints, [self._substeps])
        return setpoints


def hermite(substeps: int, period: float) -> np.ndarray:
    """Return (2, substeps, 4): q and dq on the cubic, linear in (q0, dq0, q1, dq1)."""
    s = np.arange(1, substeps + 1) / substeps
    q = [2 * s**3 - 3 * s**2 + 1, (s**3 - 2 * s**2 + s) * period,
         3 * s**2 - 2 * s**3, (s**3 - s**2) * period]
    dq = [(6 * s**2 - 6 * s) / period, 3 * s**2 - 4 * s + 1,
          (6 * s - 6 * s**2) / period, 3 * s**2 - 2 * s]
    return np.stack((np.stack(q, axis=-1), np.stack(dq, axis=-1)))


def substeps_of(control_period: float) -> int:
    """Return how many substeps a control period of that many s has: at 240 Hz or above."""
    return math.ceil(control_period * MIN_SUBSTEP_RATE - 1e-9)


def at_start(setpoints: ArrayLike, substep_period: float) -> np.ndarray:
    """Return setpoints (k, 2, n) for the ends of substeps as position controllers take them."""
    aimed = np.array(setpoints, dtype=float)
    aimed[:, 0] -= substep_period * aimed[:, 1]
    return aimed
