# SPDX-License-Identifier: Apache-2.0
"""Trainers without a node, and what is put into them."""

from pathlib import Path
import threading
import time

from learning import ACTION, CONTRACT, HIGH, LOW, OBSERVATION, exported
import numpy as np
import torch

from rl_control.config.nodes import LearnerSettings
from rl_control.learning import trainer
from rl_control.learning.algorithms import settings_of
from rl_control.learning.replay import TransitionBatch
from rl_control.learning.trainer import Trainer

SETTINGS = {
    'hidden_sizes': (16, 12), 'batch_size': 8, 'learning_starts': 40, 'replay_capacity': 90,
    'updates_per_transition': 0.5, 'observation_normalisation': 'fixed',
}


def make(out: Path, publish=lambda data, version: None, learner=None, **values) -> Trainer:
    settings = settings_of('sac')(**{**SETTINGS, **values})
    return Trainer(CONTRACT, 'sac', settings, LearnerSettings(
        out=str(out), threads=1, **(learner or {})), 'run-1', publish)


def some_steps(first: int, number: int) -> TransitionBatch:
    """Return steps of two collector runs by turns, seven steps an episode."""
    rng = np.random.default_rng(first)
    of = (first + np.arange(number)) % 2
    own = (first + np.arange(number)) // 2
    return TransitionBatch(
        ('a', 'b'), of, own // 7, own % 7, rng.normal(1.0, 3.0, (number, OBSERVATION)),
        rng.uniform(LOW, HIGH, (number, ACTION)), rng.standard_normal(number),
        rng.normal(1.0, 3.0, (number, OBSERVATION)), np.ones(number))


def learn(one: Trainer) -> None:
    """Do on this thread what `run` does on its own, until nothing is due."""
    one._ingest(wait=False)
    while one._due():
        one.agent.update(one.replay.sample(one._settings.batch_size))


def save(one: Trainer) -> None:
    """Wait until a checkpoint is on the disk."""
    one._save()
    one._saver.finish()


def tensors_equal(one: Trainer, other: Trainer) -> bool:
    mine, its = one.agent.tensors(), other.agent.tensors()
    return mine.keys() == its.keys() and all(torch.equal(mine[k], its[k]) for k in mine)


class Running:
    """A trainer on a thread, with the graph at hand that would take seconds to trace."""

    def __init__(self, out: Path, **learner) -> None:
        (out / trainer.GRAPH).write_bytes(exported())
        self.published: list[tuple[int, bytes]] = []
        self.trainer = make(
            out, lambda data, version: self.published.append((version, data)),
            {'publish_period': 0.05, **learner})

    def __enter__(self) -> 'Running':
        self._thread = threading.Thread(target=self.trainer.run)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.trainer.stopped.set()
        self._thread.join(10.0)
        assert not self._thread.is_alive()

    def until(self, condition) -> None:
        deadline = time.monotonic() + 20.0
        first = self.trainer.transitions
        while not condition():
            assert time.monotonic() < deadline
            self.trainer.put(some_steps(first, 4))
            first += 4
            time.sleep(0.005)
