# SPDX-License-Identifier: Apache-2.0
"""What a person beside the arm says: takes over, scores, lets the next episode begin."""

import math

import numpy as np

LIVE = 0.2  # s for which a command of the person counts


class Operator:
    """
    The newest word of each kind; heard on one thread and read on another, by one assignment each.

    Every `now` is of time.monotonic().
    """

    def __init__(self) -> None:
        self._asked = self._invited = False
        self._command: tuple[float, np.ndarray] = -math.inf, np.zeros(0)
        self._reward = 0.0
        self._success: bool | None = None

    def ask(self) -> None:
        """Ask for leave to begin an episode."""
        self._asked, self._invited = True, False

    def invite(self) -> bool:
        """Hear that the episode may begin; return whether leave was asked for."""
        asked, self._asked = self._asked, False
        self._invited |= asked
        return asked

    @property
    def invited(self) -> bool:
        """Say whether the leave that was asked for is given."""
        return self._invited

    def command(self, now: float, velocities: np.ndarray) -> None:
        """Hear joint velocities (n,) rad/s in the contract's order."""
        self._command = now, velocities

    def commanded(self, now: float) -> np.ndarray | None:
        """Return the velocities (n,) rad/s that a person asks for, None when nobody does."""
        heard, velocities = self._command
        return velocities if now - heard < LIVE else None

    def score(self, reward: float) -> None:
        """Hear the reward of the step that is under way."""
        self._reward = reward

    def scored(self) -> float:
        """Return the newest reward heard since the last call, 0 without one."""
        reward, self._reward = self._reward, 0.0
        return reward

    def judge(self, success: bool) -> None:
        """Hear whether the episode has succeeded."""
        self._success = success

    def judged(self) -> bool:
        """Return whether success was told since the last call, the newest word."""
        success, self._success = self._success, None
        return bool(success)

    def forget(self) -> None:
        """Drop scores of before the episode that begins."""
        self._reward, self._success = 0.0, None
