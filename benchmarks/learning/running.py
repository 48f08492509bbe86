# SPDX-License-Identifier: Apache-2.0
"""Run trainings, several in parallel."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from importlib.metadata import version
import multiprocessing
import os
import signal
import time
from typing import Any

import numpy as np
import torch

from benchmarks.learning import ours
from benchmarks.learning.cells import OURS, Run
from benchmarks.learning.results import Result
import rl_control
from rl_control.environments.gymnasium import GymnasiumEnvironment
from rl_control.policies.evaluate import evaluate

# Seeds of evaluations, which are equal for both libraries.
EVALUATION, FINAL = 1_000_000, 2_000_000

_reports: Any = None  # a worker process's queue of progress


def train_one(run: Run, report: Callable[[int], None]) -> Result:
    """Train and evaluate; `report(step)` at each evaluation."""
    began = time.monotonic()
    cell = run.cell
    world, last_world = (GymnasiumEnvironment(cell.environment) for _ in range(2))
    rows: list[tuple[int, float, float]] = []

    def tell(step: int, policy: Any) -> None:
        last = step >= cell.steps
        results = (
            evaluate(policy, last_world, cell.final_episodes, FINAL + run.seed) if last else
            evaluate(policy, world, cell.episodes, EVALUATION + run.seed))
        rows.append((step, float(np.mean([result.episode_return for result in results])),
                     float(np.mean([bool(result.success) for result in results]))))
        report(step)

    if run.who == OURS:
        number = rl_control.__version__
        ours.train(run, tell)
    else:
        from benchmarks.learning import peer  # optional: only for the peer's runs

        number = version('stable_baselines3')
        peer.train(run, tell)
    world.close()
    last_world.close()
    step, returns, successes = map(list, zip(*rows, strict=True))
    return Result(*run.key, number, dict(run.entry.settings), step, returns, successes,
                  round(time.monotonic() - began, 1))


def train_all(
    runs: Sequence[Run], jobs: int, report: Callable[[Run, int], None]
) -> Iterator[tuple[Run, Result]]:
    """Yield each run with its result as it ends; call `report(run, step)` in between."""
    context = multiprocessing.get_context('spawn')
    reports = context.Queue()
    pool = ProcessPoolExecutor(jobs, context, _begin, (reports,))
    try:
        pending = {pool.submit(_work, index, run): run for index, run in enumerate(runs)}
        while pending:
            done, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            while not reports.empty():
                index, step = reports.get()
                report(runs[index], step)
            for future in done:
                yield pending.pop(future), future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(reports: Any) -> None:
    global _reports
    _reports = reports
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a run at once
    torch.set_num_threads(1)  # processes share the cores, threads would fight for them


def _work(index: int, run: Run) -> Result:
    parent = os.getppid()

    def report(step: int) -> None:
        if os.getppid() != parent:
            os._exit(1)  # the parent is gone, so the result would be lost
        _reports.put((index, step))

    return train_one(run, report)
