# SPDX-License-Identifier: Apache-2.0
"""Domain randomization: redraw masses, friction, latency and zero offsets at each reset."""

from dataclasses import replace

import numpy as np

from rl_control.common.types import Command
from rl_control.config.randomization import RandomizationSettings
from rl_control.robots.robot import Simulator


class RandomizedSimulator:
    """
    A Robot around a Simulator with properties drawn from the ranges in `settings` by `seed`.

    A joint with a zero offset d is measured at q + d and moves to q - d when commanded to q.
    """

    def __init__(self, simulator: Simulator, settings: RandomizationSettings, seed: int) -> None:
        self._simulator = simulator
        self._settings = settings
        self._rng = np.random.default_rng([seed, 2])  # distinct from the collector's two
        self._masses = simulator.masses
        self._offset = 0.0

    def read(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return (stamp s, q (n,) rad, dq (n,) rad/s) as measured."""
        stamp, q, dq = self._simulator.read()
        normal = self._rng.standard_normal
        return (stamp, q + self._offset + self._settings.position_noise * normal(len(q)),
                dq + self._settings.velocity_noise * normal(len(dq)))

    def send(self, command: Command) -> None:
        """Advance one control period towards `command`, with the drawn latency."""
        self._simulator.send(replace(command, q=command.q - self._offset))

    def reset(self, q: np.ndarray) -> None:
        """Redraw the arm's properties and put it at rest at the measured `q` (n,) rad."""
        settings, uniform = self._settings, self._rng.uniform
        self._simulator.set_dynamics(
            self._masses * uniform(
                1.0 - settings.mass_range, 1.0 + settings.mass_range, len(self._masses)),
            uniform(0.0, settings.damping_limit, len(q)),
            uniform(0.0, settings.latency_limit))
        self._offset = uniform(-settings.offset_limit, settings.offset_limit, len(q))
        self._simulator.reset(q - self._offset)

    def picture(self, goal: np.ndarray) -> np.ndarray:
        """Return an image (h, w, 3) uint8 of the arm and a goal (7,)."""
        return self._simulator.picture(goal)

    def close(self) -> None:
        """Destroy the world; safe to call twice."""
        self._simulator.close()
