# SPDX-License-Identifier: Apache-2.0
"""Robot interface: read, command and reset one arm."""

from typing import Protocol

import numpy as np

from rl_control.common.types import Command


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
