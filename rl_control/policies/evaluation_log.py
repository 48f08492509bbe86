# SPDX-License-Identifier: Apache-2.0
"""Evaluation log: collect the evaluations of a training, and detect its confirmation."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rl_control.common.files import read_json
from rl_control.policies.score import Score

MAX_EVALUATIONS = 4000  # keeps the file below JSON_LIMIT


@dataclass
class Tally(Score):
    """The score of one phase; `began` in s and `transitions` since the training's start."""

    began: float = 0.0
    transitions: int = 0

    @classmethod
    def read(cls, figures: Mapping[str, Any]) -> 'Tally':
        """Return the tally of `figures`, the inverse of the method of that name."""
        counted = {one.name: figures[one.name] for one in fields(cls) if one.name in figures}
        return cls(**counted, return_sum=figures['mean_return'] * figures['episodes'])

    def figures(self) -> dict[str, Any]:
        """Return plain values, with rate, its Wilson interval and mean return."""
        counted = asdict(self)
        del counted['return_sum']
        return counted | {
            'success_rate': self.success_rate,
            'interval': list(self.interval),
            'mean_return': self.mean_return,
        }


class EvaluationLog:
    """
    Collects episodes into evaluations, and confirmation episodes into a confirmation.

    A long training keeps every second evaluation, then every fourth, and so on.
    """

    def __init__(self, evaluation_episodes: int, confirmation_episodes: int) -> None:
        self._wanted = evaluation_episodes
        self._confirmations_wanted = confirmation_episodes
        self.evaluations: dict[int, Tally] = {}
        self.confirmations: dict[int, Tally] = {}
        self.episodes = 0
        self.recent: list[bool] = []  # known successes of the newest training episodes, 50 at most

    @classmethod
    def read(
        cls, path: Path, evaluation_episodes: int, confirmation_episodes: int,
        tell: Callable[[str], None],
    ) -> tuple['EvaluationLog', float]:
        """
        Return the log that an earlier start wrote to `path`, and its seconds; empty without one.

        A former confirmation is left out, since it must not end the present training. A file that
        cannot be read is reported by `tell`.
        """
        training = cls(evaluation_episodes, confirmation_episodes)
        try:
            stored = read_json(path)
            tallies = [Tally.read(figures) for figures in stored['evaluations']]
            seconds, training.episodes = float(stored['train_seconds']), int(stored['episodes'])
        except FileNotFoundError:
            return training, 0.0
        except (OSError, ValueError, KeyError, TypeError) as error:
            tell(f'{path} cannot be read ({type(error).__name__}: {error}); the evaluation log '
                 'starts empty')
            return cls(evaluation_episodes, confirmation_episodes), 0.0
        training.evaluations = {tally.version: tally for tally in tallies}
        return training, seconds

    def figures(self) -> dict[str, Any]:
        """Return plain values, which `read` reads."""
        return {
            'episodes': self.episodes,
            'evaluations': [tally.figures() for tally in self.finished],
            'confirmation': self.confirmed and self.confirmed.figures(),
        }

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the newest evaluation and of the newest training episodes."""
        metrics = {}
        if self.finished:
            newest = self.finished[-1]
            metrics = {'mean_return': newest.mean_return}
            if newest.success_rate is not None:
                metrics['success_rate'] = newest.success_rate
        if self.recent:
            metrics['exploring_success'] = sum(self.recent) / len(self.recent)
        return metrics

    def add_training(self, success: bool | None) -> None:
        """Count a training episode, whose success may be unknown (None)."""
        self.episodes += 1
        if success is not None:
            self.recent = [*self.recent[-49:], success]

    def add_evaluation(
        self, version: int, success: bool | None, episode_return: float, elapsed: float,
        transitions: int, *, confirmation: bool,
    ) -> None:
        """Count a deterministic episode of a pinned `version`."""
        tallies = self.confirmations if confirmation else self.evaluations
        if len(self.evaluations) >= MAX_EVALUATIONS:
            for every_second in list(self.evaluations)[1:-1:2]:
                del self.evaluations[every_second]
        tally = tallies.setdefault(version, Tally(version, began=elapsed, transitions=transitions))
        tally.add(success, episode_return)

    @property
    def newest(self) -> int:
        """Return the newest version that was evaluated, -1 for none."""
        return max(self.evaluations, default=-1)

    @property
    def finished(self) -> list[Tally]:
        """Return the complete evaluations in their order."""
        return [tally for tally in self.evaluations.values() if tally.episodes >= self._wanted]

    @property
    def confirmed(self) -> Tally | None:
        """Return the first complete confirmation, or None."""
        for tally in self.confirmations.values():
            if tally.episodes >= self._confirmations_wanted:
                return tally
        return None
