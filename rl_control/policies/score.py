# SPDX-License-Identifier: Apache-2.0
"""Score of a policy version: success rate with its Wilson interval, and mean return."""

from dataclasses import dataclass

from rl_control.common.statistics import wilson_interval


@dataclass
class Score:
    """
    The episodes of one pinned version: their number, successes and sum of returns.

    Of `unknown` of them the environment did not say whether they succeeded.
    """

    version: int
    episodes: int = 0
    successes: int = 0
    return_sum: float = 0.0
    unknown: int = 0

    def add(self, success: bool | None, episode_return: float) -> None:
        """Count one episode, whose success may be unknown (None)."""
        self.episodes += 1
        self.successes += bool(success)
        self.unknown += success is None
        self.return_sum += episode_return

    @property
    def judged(self) -> int:
        """Return the number of episodes whose success is known."""
        return self.episodes - self.unknown

    @property
    def success_rate(self) -> float | None:
        """Return the share of the judged episodes that succeeded, None if there are none."""
        return self.successes / self.judged if self.judged else None

    @property
    def shown(self) -> str:
        """Return successes and judged episodes for people, '-' if there are none."""
        return f'{self.successes}/{self.judged}' if self.judged else '-'

    @property
    def interval(self) -> tuple[float, float]:
        """Return the Wilson interval (95 %) of the success rate."""
        return wilson_interval(self.successes, self.judged)

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
