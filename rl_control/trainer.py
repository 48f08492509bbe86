# SPDX-License-Identifier: Apache-2.0
"""Training: replay, agent, pace and publication on one thread. Knows torch, no ROS."""

from collections.abc import Callable
from dataclasses import dataclass
import math
import os
from pathlib import Path
import queue
import threading
import time

import numpy as np
import torch

from rl_control import checkpoint
from rl_control.algorithms import make_agent
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.config.nodes import LearnerSettings
from rl_control.export import Exporter
from rl_control.replay import Ring
from rl_control.types import Contract

METRICS_PERIOD = 1.0  # s
PATIENCE = 0.02  # s to wait for transitions when no update is due


@dataclass(frozen=True, slots=True)
class Steps:
    """Transitions of one collector run, in order: arrays (n, ...), see Transition."""

    stream: str
    episode: np.ndarray
    step: np.ndarray
    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next_observation: np.ndarray
    discount: np.ndarray


class Trainer:
    """
    Learns from what `put` brings, at `updates_per_transition`, and publishes candidates.

    `publish(data, version)` is called on the training thread with a verified ONNX file. `metrics`
    is replaced as a whole once a second; any thread may read it, `transitions` and `updates`.
    """

    def __init__(
        self,
        contract: Contract,
        algorithm: str,
        settings: AlgorithmSettings,
        learner: LearnerSettings,
        run: str,
        publish: Callable[[bytes, int], None],
    ) -> None:
        torch.set_num_threads(learner.threads or _spare_cores(learner.busy_processes))
        self.contract = contract
        self.algorithm = algorithm
        self.agent = make_agent(algorithm, contract, settings)
        self.replay = Ring(
            len(contract.observation), len(contract.action), settings.replay_capacity,
            settings.seed)
        self.transitions = 0
        self.versions = 0  # candidates published
        self.parity = 0.0  # the largest difference of torch and ONNX so far, of the action range
        self.metrics: dict[str, float] = {}
        self.stopped = threading.Event()
        self._run = run
        self._settings = settings
        self._learner = learner
        self._exporter = Exporter(self.agent.policy, contract, algorithm, run)
        self._publish = publish
        self._arrived: queue.SimpleQueue[Steps] = queue.SimpleQueue()

    @property
    def updates(self) -> int:
        """Return how many updates were made."""
        return self.agent.updates

    @property
    def allowance(self) -> int:
        """Return how many transitions collectors may have made in all by now."""
        paid = self.updates / max(self._settings.updates_per_transition, 1e-9)
        return self._settings.learning_starts + math.ceil(paid) + self._learner.headroom

    def put(self, steps: Steps) -> None:
        """Hand over transitions, from any thread."""
        self._arrived.put(steps)

    def run(self) -> None:
        """Train until `stopped` is set; then take in what still came, and save a checkpoint."""
        clock = time.monotonic
        published = checkpointed = measured = clock()
        published_version, measured_updates = 0, self.updates
        while not self.stopped.is_set():
            due = self._due()
            self._ingest(wait=not due)
            if due:
                losses = self.agent.update(self.replay.sample(self._settings.batch_size))
            now = clock()
            if now - measured >= METRICS_PERIOD:
                rate = (self.updates - measured_updates) / (now - measured)
                measured, measured_updates = now, self.updates
                if self.updates:
                    self._measure(losses, rate)
            if (self.updates > published_version
                    and now - published >= self._learner.publish_period):
                published, published_version = now, self.updates
                self._export()
            if now - checkpointed >= self._learner.checkpoint_period:
                checkpointed = now
                self.save()
        self._ingest(wait=False)
        self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        state = {
            'algorithm': self.algorithm,
            'settings': self._settings.to_mapping(),
            'contract': self.contract.to_json(),
            'run': self._run,
            'transitions': self.transitions,
        }
        checkpoint.save(
            Path(self._learner.out) / 'checkpoints', self.updates, self.agent.tensors(), state)

    def _due(self) -> bool:
        learned_from = self.transitions - self._settings.learning_starts
        return (self.transitions > 0 and learned_from >= 0 and
                self.updates < learned_from * self._settings.updates_per_transition)

    def _ingest(self, *, wait: bool) -> None:
        """Take what arrived into normaliser and replay; wait a moment for the first if told."""
        try:
            steps = self._arrived.get(timeout=PATIENCE) if wait else self._arrived.get_nowait()
            while True:
                self._store(steps)
                steps = self._arrived.get_nowait()
        except queue.Empty:
            return

    def _store(self, steps: Steps) -> None:
        self.agent.observe(steps.observation)
        self.replay.extend(
            steps.stream, steps.episode, steps.step, steps.observation, steps.action,
            steps.reward, steps.next_observation, steps.discount)
        self.transitions += len(steps.reward)

    def _measure(self, losses: dict[str, torch.Tensor], rate: float) -> None:
        self.metrics = {
            **{name: float(value) for name, value in losses.items()},
            'updates_per_second': rate,
            'updates': float(self.updates),
            'transitions': float(self.transitions),
            'parity_max_abs_error': self.parity,
        }

    def _export(self) -> None:
        data = self._exporter.export(self.updates, self.transitions)
        self.parity = max(self.parity, self._exporter.verify(data))
        self.versions += 1
        self._publish(data, self.updates)


def _spare_cores(busy_processes: int) -> int:
    """Return cores less busy processes: a thread that waits for a core stalls the others."""
    return max(1, len(os.sched_getaffinity(0)) - busy_processes)
