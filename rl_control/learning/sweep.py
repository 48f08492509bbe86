# SPDX-License-Identifier: Apache-2.0
"""Sweep over seeds: the same training several times, with interquartile mean and interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.statistics import bootstrap_interval, interquartile_mean
from rl_control.environments.environment import Environment
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.in_process import train
from rl_control.learning.training_result import TrainingResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SweepResult:
    """
    Trainings of one setting, one for each seed.

    `transitions` (e,) of each evaluation; `returns` and `success_rates` (n, e) of the n runs,
    NaN where the environment tells no success.
    """

    runs: tuple[TrainingResult, ...]
    transitions: np.ndarray
    returns: np.ndarray
    success_rates: np.ndarray

    @property
    def interquartile_mean(self) -> np.ndarray:
        """Return the interquartile mean (e,) of the returns over the runs."""
        return interquartile_mean(self.returns)

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the 95 % bootstrap interval, (e,) each, of that mean."""
        return bootstrap_interval(self.returns)

    def plot(self, path: Path | str | None = None) -> 'Figure':
        """Return a figure of the interquartile mean with its interval; save it to `path`."""
        from rl_control.report.curves import interval_figure

        figure = interval_figure({'': (self.transitions, self.returns)}, 'return')
        if path is not None:
            figure.savefig(path, dpi=110)
        return figure


def sweep(
    environment: Callable[[], Environment], agent: Callable[..., Agent], transitions: int, *,
    seeds: Sequence[int] = range(5), evaluate_every: int, out: Path | str | None = None,
    **settings: Any,
) -> SweepResult:
    """
    Train an agent of its own for each seed; return the runs with their spread.

    Args:
        environment: returns a new environment, such as `lambda: rc.make('two_joint')`.
        agent: `rc.SAC` or another algorithm, called with the environment, `seed` and `settings`.
        transitions: of each training.
        seeds: one training each, in order.
        evaluate_every: transitions between two evaluations.
        out: directory; the run of a seed is kept in `out`/SEED, and resumed.

    Raises:
        InvalidInput: no seeds, or an unknown setting.

    Example: `rc.sweep(lambda: rc.make('two_joint'), rc.SAC, 5000, evaluate_every=1000).plot()`.
    """
    if not len(seeds):
        raise InvalidInput('seeds is empty; give one seed at least')
    runs = []
    for seed in seeds:
        world = environment()
        try:
            runs.append(train(
                world, agent(world, seed=seed, **settings), transitions, seed=seed,
                evaluate_every=evaluate_every,
                out=None if out is None else Path(out) / str(seed), progress=False))
        finally:
            world.close()
    number = min(len(run.evaluations) for run in runs)
    tallies = [run.evaluations[:number] for run in runs]
    return SweepResult(
        tuple(runs), np.array([tally.transitions for tally in tallies[0]]),
        np.array([[tally.mean_return for tally in row] for row in tallies]),
        np.array([[tally.success_rate for tally in row] for row in tallies], dtype=float))
