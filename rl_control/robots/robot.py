# SPDX-License-Identifier: Apache-2.0
"""Robot and simulator: the interfaces of an arm and of a simulated one."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from rl_control.common.types import Command
from rl_control.robots.scene import SceneBodies


class Robot(Protocol):
    """An arm that is read and commanded at a fixed period, from one thread."""

    def read(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the newest (stamp s, q (n,) rad, dq (n,) rad/s) in contract order, copied."""

    def send(self, command: Command) -> None:
        """Move the arm to `command` within one control period; return after that period."""

    def reset(self, q: np.ndarray) -> None:
        """Bring the arm to rest at `q` (n,) rad; return after it has arrived."""

    def close(self) -> None:
        """Release the arm; safe to call twice."""


class Simulator(Robot, Protocol):
    """
    An arm on a fixed base in a physics engine, in this process, stepped by hand.

    `engine` is its name in `robots.engines`, `substep_period` (s) the engine's time step, the
    same in each: whole substeps of at most 1/240 s make a control period. `bodies` are those of
    the scene; `reset` puts its objects where the scene has them, at rest.
    """

    engine: str
    substep_period: float
    bodies: SceneBodies

    def track(self, setpoints: ArrayLike) -> None:
        """Advance k substeps to the setpoints (k, 2, n): q and dq at the end of each."""

    @property
    def masses(self) -> np.ndarray:
        """Return the mass of the base and of each link (l,) in kg."""

    def set_dynamics(self, masses: np.ndarray, damping: np.ndarray, latency: float) -> None:
        """
        Set masses, friction and latency from the next `reset` on.

        `masses` (l,) kg of base and links, with inertias in proportion, viscous friction
        `damping` (n,) N m s/rad, `latency` s by which commands take effect late.
        """

    def restart_clock(self) -> None:
        """Let the stamps begin at 0 again, as in a new world."""

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return copies of joints, objects, setpoints and clock, which `restore` takes back."""

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Be in the state of a simulator of the same arm, engine and scene."""

    def picture(self, goal: np.ndarray) -> np.ndarray:
        """Return an image (h, w, 3) uint8 of the arm and a goal (7,)."""
