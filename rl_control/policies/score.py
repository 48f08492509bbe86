# SPDX-License-Identifier: Apache-2.0
"""Score of a policy version: success rate with its Wilson interval, and mean return."""

from dataclasses import dataclass

from rl_control.common.statistics import wilson_interval


@dataclass
class Score:
    """The episodes of one pinned version: their number, successes and sum of returns."""

    version: int
    episodes: int = 0
    successes: int = 0
    return_sum: float = 0.0

    def add(self, success: bool, episode_return: float) -> None:
        """Count one episode."""
        self.episodes += 1
        self.successes += success
        self.return_sum += episode_return

    @property
    def success_rate(self) -> float:
        """Return the share of episodes that succeeded, 0 without episodes."""
        return self.successes / max(1, self.episodes)

    @property
    def interval(self) -> tuple[float, float]:
        """Return the Wilson interval (95 %) of the success rate."""
        return wilson_interval(self.successes, self.episodes)

    @property
    def mean_return(self) -> float:
        """Return the mean return of an episode, 0 without episodes."""
        return self.return_sum / max(1, self.episodes)

    @property
    def rank(self) -> tuple[float, float]:
        """
        Return the sort key of versions: success rate, then mean return.

        The rate counts by the lower end of its interval, so that luck in few episodes ranks below
        the same rate over many.
        """
        return self.interval[0], self.mean_return
