# SPDX-License-Identifier: Apache-2.0
"""What an arm is to the rest of the package."""

from typing import Protocol

import numpy as np

from rl_control.common.types import Command


class Robot(Protocol):
    """An arm that is read and commanded at a fixed period, from one thread."""

    def read(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the newest (stamp s, q (n,) rad, dq (n,) rad/s) in contract order, copied."""

    def send(self, command: Command) -> None:
        """Let the arm move to `command` within one control period; return when it has passed."""

    def reset(self, q: np.ndarray) -> None:
        """Bring the arm to rest at `q` (n,) rad; return when it is there."""

    def close(self) -> None:
        """Release the arm; safe to call twice."""
