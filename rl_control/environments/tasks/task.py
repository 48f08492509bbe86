# SPDX-License-Identifier: Apache-2.0
"""Task interface: pure functions of the state, for simulator, arm and bag."""

from typing import Protocol

import numpy as np

from rl_control.common.types import Column, State
from rl_control.config.task import TaskSettings


class Task(Protocol):
    """
    Observation, reward and termination of one skill.

    Called by the environment, the policy node and the bag reader, each tick, from one thread.
    Implementations keep no state between calls and change no argument.
    """

    settings: TaskSettings

    def columns(self, joint_names: tuple[str, ...]) -> tuple[Column, ...]:
        """Return name and unit of each number of the observation."""

    def observe(self, state: State) -> np.ndarray:
        """Return the observation (o,) of a state, in the columns' units."""

    def reward(self, action: np.ndarray, next_state: State) -> float:
        """Return the reward for arriving in `next_state` by the normalised action (a,)."""

    def terminated(self, state: State) -> bool:
        """Return True if the episode terminates in `state`; a time-out does not terminate."""

    def target(self, state: State) -> np.ndarray:
        """Return the present target pose (7,) of the end effector, see `poses`."""

    def error(self, state: State) -> float:
        """Return the distance from success, in the unit of the success threshold."""

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return the goals (n, g) that observations (n, o) achieve."""

    def relabel(
        self, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray,
        goal: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return observation (n, o), next_observation (n, o) and reward (n,) for other goals (n, g).

        `action` (n, a) is normalised. Termination must not depend on the goal.
        """

    def reached(self, observation: np.ndarray) -> np.ndarray:
        """Return (n,) bool: True where an observation (n, o) is within the success threshold."""
