# SPDX-License-Identifier: Apache-2.0
"""What a collector acts in: an arm with a task, or any Gymnasium environment."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rl_control.types import Contract


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What one step led to.

    `observation` (o,) is the next one; `applied` (a,) what was done after the limits, in the
    action's unit; `stamp` in s; `error` the distance from success (NaN where a task has none).
    """

    observation: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    applied: np.ndarray
    stamp: float
    success: bool = False
    error: float = float('nan')
    goal: np.ndarray = field(default_factory=lambda: np.full(3, np.nan))


class Environment(Protocol):
    """One world, used from one thread; arrays that come out are copies."""

    contract: Contract

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """Begin an episode; return its first observation (o,)."""

    def step(self, action: np.ndarray) -> Outcome:
        """Do the requested `action` (a,) for one control period."""

    def close(self) -> None:
        """Release the world; safe to call twice."""
