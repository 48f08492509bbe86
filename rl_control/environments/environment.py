# SPDX-License-Identifier: Apache-2.0
"""What a collector acts in: an arm with a task, or any Gymnasium environment."""

from typing import Protocol

import numpy as np

from rl_control.common.types import Contract, Outcome


class Interrupted(Exception):
    """Somebody or something stopped the world: what happened at this step tells nothing."""


class Environment(Protocol):
    """One world, used from one thread; arrays that come out are copies."""

    contract: Contract

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """Begin an episode; return its first observation (o,)."""

    def step(self, action: np.ndarray) -> Outcome:
        """Do the requested `action` (a,) for one control period."""

    def close(self) -> None:
        """Release the world; safe to call twice."""
