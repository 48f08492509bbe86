# SPDX-License-Identifier: Apache-2.0
"""Evaluate a policy: run deterministic episodes in an environment."""

from dataclasses import dataclass

import numpy as np

from rl_control.environments.environment import Environment
from rl_control.policies.onnx_policy import OnnxPolicy


@dataclass(frozen=True)
class Result:
    """One episode: `error` is the final distance in m, `goal` (3,) in m, NaN without a goal."""

    success: bool
    episode_return: float
    length: int
    error: float
    goal: np.ndarray


def evaluate(
    policy: OnnxPolicy, environment: Environment, episodes: int, seed: int,
) -> list[Result]:
    """Return the results of `episodes` episodes, their starts and goals drawn from `seed`."""
    rng = np.random.default_rng(seed)
    return [_episode(policy, environment, rng) for _ in range(episodes)]


def _episode(
    policy: OnnxPolicy, environment: Environment, rng: np.random.Generator,
) -> Result:
    observation = environment.reset(rng)
    reward_sum, length = 0.0, 0
    while True:
        action, _ = policy.act(observation)
        outcome = environment.step(action)
        observation = outcome.observation
        reward_sum += outcome.reward
        length += 1
        if outcome.terminated or outcome.truncated:
            return Result(outcome.success, reward_sum, length, outcome.error, outcome.goal)
