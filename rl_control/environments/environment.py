# SPDX-License-Identifier: Apache-2.0
"""Environment interface: an arm with a task, or a Gymnasium environment."""

from typing import Protocol

import numpy as np

from rl_control.common.types import Contract, Outcome


class Interrupted(Exception):
    """The step was interrupted from outside; its outcome is invalid."""


class Environment(Protocol):
    """One environment, used from one thread; returned arrays are copies."""

    contract: Contract

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """Begin an episode; return its first observation (o,)."""

    def step(self, action: np.ndarray) -> Outcome:
        """Apply the requested `action` (a,) for one control period."""

    def close(self) -> None:
        """Release all resources; safe to call twice."""
