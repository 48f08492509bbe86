# SPDX-License-Identifier: Apache-2.0
"""Evaluate a policy: run deterministic episodes in an environment."""

from dataclasses import dataclass

import numpy as np

from rl_control.environments.environment import Environment
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.policies.score import Score


@dataclass(frozen=True)
class Result:
    """
    One episode: `error` is the final distance in m, `goal` (3,) in m, NaN without a goal.

    `success` is None where the environment says nothing of it.
    """

    success: bool | None
    episode_return: float
    length: int
    error: float
    goal: np.ndarray


class Results(list[Result]):
    """The episodes of one evaluation, and their summary."""

    @property
    def score(self) -> Score:
        """Return the number of episodes, of those whose success is known, and the successes."""
        score = Score(0)
        for result in self:
            score.add(result.success, result.episode_return)
        return score

    @property
    def success_rate(self) -> float | None:
        """Return the share of successful episodes, None where the environment tells no success."""
        return self.score.success_rate

    @property
    def interval(self) -> tuple[float, float]:
        """Return the Wilson interval (95 %) of the success rate."""
        return self.score.interval

    @property
    def mean_return(self) -> float:
        """Return the mean return of an episode."""
        return self.score.mean_return

    def __repr__(self) -> str:
        rate, (low, high) = self.success_rate, self.interval
        success = '-' if rate is None else f'{rate:.2f} ({low:.2f} to {high:.2f})'
        return (f'Results({len(self)} episodes, success {success}, '
                f'return {self.mean_return:.1f})')


def evaluate(
    policy: OnnxPolicy, environment: Environment, episodes: int = 100, seed: int = 0,
) -> Results:
    """
    Run `episodes` episodes without noise; return their results.

    Starts and goals are drawn from `seed`. Example: `evaluate(policy, environment).success_rate`.
    """
    rng = np.random.default_rng(seed)
    return Results(_episode(policy, environment, rng) for _ in range(episodes))


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
