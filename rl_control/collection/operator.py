# SPDX-License-Identifier: Apache-2.0
"""Operator beside the arm: takes over, gives reward and success, starts the next episode."""

import math

import numpy as np

COMMAND_TIMEOUT = 0.2  # s for which a command of the operator is valid


class Operator:
    """
    The newest message of each kind, written on one thread and read on another.

    Each is one assignment. Every `now` is of time.monotonic().
    """

    def __init__(self) -> None:
        self._asked = self._start_allowed = False
        self._command: tuple[float, np.ndarray] = -math.inf, np.zeros(0)
        self._reward = 0.0
        self._success: bool | None = None

    def request_start(self) -> None:
        """Wait from now on for the operator to start the next episode."""
        self._asked, self._start_allowed = True, False

    def start_episode(self) -> bool:
        """Let the next episode begin; return True if one was waiting."""
        asked, self._asked = self._asked, False
        self._start_allowed |= asked
        return asked

    @property
    def start_allowed(self) -> bool:
        """Return True once the operator has started the episode that was requested."""
        return self._start_allowed

    def set_command(self, now: float, velocities: np.ndarray) -> None:
        """Store joint velocities (n,) rad/s in the contract's order."""
        self._command = now, velocities

    def command(self, now: float) -> np.ndarray | None:
        """Return the operator's velocities (n,) rad/s; None without one in COMMAND_TIMEOUT s."""
        received, velocities = self._command
        return velocities if now - received < COMMAND_TIMEOUT else None

    def set_reward(self, reward: float) -> None:
        """Store the reward of the current step."""
        self._reward = reward

    def take_reward(self) -> float:
        """Return the newest reward since the last call, 0 without one."""
        reward, self._reward = self._reward, 0.0
        return reward

    def set_success(self, success: bool) -> None:
        """Store whether the episode has succeeded."""
        self._success = success

    def take_success(self) -> bool:
        """Return the newest success since the last call, False without one."""
        success, self._success = self._success, None
        return bool(success)

    def clear(self) -> None:
        """Drop reward and success from before the episode that begins."""
        self._reward, self._success = 0.0, None
