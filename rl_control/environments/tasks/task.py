# SPDX-License-Identifier: Apache-2.0
"""What a task is: pure functions of the state, the same for a simulator, an arm and a bag."""

from typing import Protocol

import numpy as np

from rl_control.common.types import Column, State
from rl_control.config.task import TaskSettings


class Task(Protocol):
    """
    Observation, reward and end of one skill.

    Called by the environment, the policy node and the bag reader, each tick, from one thread.
    Nothing is kept between calls and no argument is changed.
    """

    settings: TaskSettings

    def columns(self, joint_names: tuple[str, ...]) -> tuple[Column, ...]:
        """Describe each number of the observation."""

    def observe(self, state: State) -> np.ndarray:
        """Return the observation (o,) of a state, in the columns' units."""

    def reward(self, action: np.ndarray, next_state: State) -> float:
        """Return the reward for arriving in `next_state` by the normalised action (a,)."""

    def terminated(self, state: State) -> bool:
        """Say whether the world ends here; time running out is no such end."""

    def target(self, state: State) -> np.ndarray:
        """Return the pose (7,), see `poses`, where the end effector should be now."""

    def error(self, state: State) -> float:
        """Return how far the state is from success, in the unit of the success threshold."""

    def achieved(self, observation: np.ndarray) -> np.ndarray:
        """Return the goals (n, g) that observations (n, o) fulfil."""

    def relabel(
        self, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray,
        goal: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return observation (n, o), next_observation (n, o) and reward (n,) for other goals (n, g).

        `action` (n, a) is normalised. Whether the world ends must not depend on the goal.
        """

    def reached(self, observation: np.ndarray) -> np.ndarray:
        """Say (n,) of which observations (n, o) `error` is within the success threshold."""
