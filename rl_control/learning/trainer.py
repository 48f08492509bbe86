# SPDX-License-Identifier: Apache-2.0
"""Training: replay, agent, pace and publication on one thread. Knows torch, no ROS."""

from collections.abc import Callable, Iterable, Mapping
import logging
import os
from pathlib import Path
import queue
import threading
import time

import torch

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.config.nodes import LearnerSettings
from rl_control.environments.tasks import Task
from rl_control.learning.algorithms import make_agent
from rl_control.learning.batch_sampler import make_symmetric_sampler
from rl_control.learning.checkpoint import Checkpoint
from rl_control.learning.checkpoint_writer import CheckpointWriter
from rl_control.learning.compilation.compiled_updates import CompiledUpdates
from rl_control.learning.divergence import Rollback, finite
from rl_control.learning.export import Exporter, kept_exporter
from rl_control.learning.replay import ReplayBuffer, TransitionBatch

METRICS_PERIOD = 1.0  # s
IDLE_WAIT = 0.02  # s to wait for transitions when no update is due
# s to the first checkpoint of a start; each wait after it is twice as long, up to
# `checkpoint_period`: a learner that is killed again and again still gets on.
FIRST_CHECKPOINT = 1.0
# What a checkpoint's weights mean, so that it cannot change within a run.
FIXED_SETTINGS = {'hidden_sizes', 'observation_normalisation', 'layer_norm'}

GRAPH = 'graph.onnx'

logger = logging.getLogger(__name__)


class Trainer:
    """
    Learns from what `put` brings, at `updates_per_transition`, and publishes candidates.

    `task` is what hindsight relabels by. A half of each batch is of `taught`, which holds
    `offline` and what people did in the policy's place, less where there is less of it.
    With `start`, tensors as `agent.load` takes them, collectors act with that policy at once.
    `publish(data, version)` is called on the training thread with a verified ONNX file. `metrics`
    is replaced as a whole once a second; any thread may read it, `transitions`, `updates`,
    `turns`, which grows as long as the thread is not stuck, and `error`.
    """

    def __init__(
        self,
        contract: Contract,
        algorithm: str,
        settings: AlgorithmSettings,
        learner: LearnerSettings,
        run: str,
        publish: Callable[[bytes, int], None],
        task: Task | None = None,
        offline: TransitionBatch | None = None,
        start: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        torch.set_num_threads(learner.threads or _spare_cores(learner.busy_processes))
        self.contract = contract
        self.algorithm = algorithm
        self.agent = make_agent(algorithm, contract, settings)
        self._updates = CompiledUpdates(self.agent, algorithm)
        sizes = len(contract.observation), len(contract.action)
        self.replay = ReplayBuffer(*sizes, settings.replay_capacity, settings.seed)
        # Old data, and what people did (HIL-SERL, Luo et al. 2024): room for both.
        known = 0 if offline is None else len(offline)
        self.demonstrations = ReplayBuffer(*sizes, known + settings.replay_capacity, settings.seed)
        self.sampler = make_symmetric_sampler(self.agent, self.replay, self.demonstrations, task)
        if offline is not None:
            self.demonstrations.extend_mixed(offline)
            self.agent.observe(offline.observation)
        if start is not None:
            self.agent.load(start)
        self._acts_at_once = start is not None
        self.transitions = 0
        self.versions = 0  # candidates published
        self.parity = 0.0  # the largest difference of torch and ONNX so far, of the action range
        self.turns = 0
        self.metrics: dict[str, float] = {}
        self.stopped = threading.Event()
        self._run = run
        self._settings = settings
        self.apply_settings(learner)
        self._publish = publish
        self._saver = CheckpointWriter(Path(learner.out) / 'checkpoints')
        self.recovery = Rollback(self.agent, Path(learner.out) / 'checkpoints')
        self._arrived: queue.SimpleQueue[TransitionBatch] = queue.SimpleQueue()

    def apply_settings(self, learner: LearnerSettings) -> None:
        """Go on with other settings of the learner, of which the live ones may differ."""
        self._learner = learner
        for optimiser in self.agent.optimisers.values():
            optimiser.factor = learner.learning_rate_factor

    @property
    def updates(self) -> int:
        """Return how many updates were made."""
        return self.agent.updates

    @property
    def error(self) -> str:
        """Return why the newest checkpoint could not be written, or nothing."""
        return self._saver.error

    @property
    def allowance(self) -> int:
        """Return how many transitions collectors may have made in all by now."""
        settings = self._settings
        ahead = settings.sweep if settings.sweep > 1 else 0
        return (settings.learning_starts + settings.transitions_paid(self.updates + ahead)
                + self._learner.headroom)

    def put(self, steps: TransitionBatch) -> None:
        """Hand over transitions, from any thread."""
        for part in steps.singly() if self._settings.update_schedule == 'online' else (steps,):
            self._arrived.put(part)

    def resume(self, saved: Checkpoint | None, recorded: Iterable[TransitionBatch]) -> None:
        """
        Go on from a checkpoint and from all transitions `recorded` so far, in their order.

        To be called before `run`. What was recorded after the checkpoint is learned from as if
        it had just come: the updates that were lost are made again. Raise InvalidInput for a
        checkpoint of other settings.
        """
        known = self._load(saved) if saved is not None else 0
        for steps in recorded:
            self._store(steps, known=max(0, known - self.transitions))
        if self.transitions < known:
            logger.warning(
                'the journal has %d transitions but the checkpoint knew %d; training waits until '
                'as many are there again', self.transitions, known)

    def run(self) -> None:
        """Train until `stopped` is set; then take in what still came, and save a checkpoint."""
        if self._settings.compiled == 'auto':
            self._updates.begin()
        exporter = kept_exporter(
            Path(self._learner.out) / GRAPH, self.agent.policy, self.contract, self.algorithm,
            self._run)
        self.recovery.keep()
        published = checkpointed = measured = time.monotonic()
        saved = published_version = measured_updates = self.updates
        checkpoint_wait = FIRST_CHECKPOINT
        losses: dict[str, torch.Tensor] = {}
        if self._acts_at_once and not self.updates:
            self._export(exporter)
        while not self.stopped.is_set():
            self.turns += 1
            due = self._due()
            self._ingest(wait=not due)
            if due:
                # Not every update has each of them: an actor's may come every other time.
                found = self._learn()
                losses = {**losses, **found} if found else {}
            now = time.monotonic()
            if now - measured >= METRICS_PERIOD:
                rate = max(0, self.updates - measured_updates) / (now - measured)
                measured, measured_updates = now, self.updates
                self._measure(losses, rate)
                self._updates.look()
            if (self.updates > published_version
                    and now - published >= self._learner.publish_period):
                published, published_version = now, self.updates
                self._export(exporter)
            if (self.updates > saved and not self._saver.busy and now - checkpointed >= min(
                    checkpoint_wait, self._learner.checkpoint_period)):
                checkpointed, saved = now, self.updates
                checkpoint_wait *= 2.0
                self._save()
        self._updates.close()
        self._ingest(wait=False)
        self._save()
        self._saver.finish()

    def _load(self, saved: Checkpoint) -> int:
        """Take a checkpoint over; return how many transitions it knew."""
        state = saved.state
        saved.require(self._settings.to_mapping(), FIXED_SETTINGS & state['settings'].keys())
        self.agent.load(saved.tensors)
        self.versions, self.parity = state['versions'], state['parity']
        self.replay.generator.bit_generator.state = state['replay_generator']
        return state['transitions']

    def _save(self) -> None:
        """Begin to write a checkpoint, of copies made here, if they are good."""
        tensors = self.agent.tensors()
        if not finite(tensors):
            self.recovery.take_back('its weights are not finite')
            return
        self._saver.save(self.updates, tensors, {
            'algorithm': self.algorithm,
            'settings': self._settings.to_mapping(),
            'contract': self.contract.to_json(),
            'run': self._run,
            'transitions': self.transitions,
            'versions': self.versions,
            'parity': self.parity,
            'replay_generator': self.replay.generator.bit_generator.state,
        })

    def _due(self) -> bool:
        due = self._settings.updates_due(self.transitions - self._settings.learning_starts)
        return not self._learner.paused and self.updates < due

    def _learn(self) -> dict[str, torch.Tensor]:
        """Make one update; return its losses, none where it was taken back."""
        # A compiled update has its learning rates inside.
        update = (self._updates.update if self._learner.learning_rate_factor == 1.0
                  else self.agent.update)
        try:
            losses = update(*self.sampler.sample(self._settings.batch_size))
            if self.recovery.check(losses):
                self.sampler.update_priorities(self.agent.error.numpy())
                return losses
        except InvalidInput as refused:  # priorities that are not finite
            self.recovery.take_back(str(refused))
        return {}

    def _ingest(self, *, wait: bool) -> None:
        """Take what arrived into normaliser and replay; wait a moment for the first if told."""
        online = self._settings.update_schedule == 'online'
        if online and self._due():
            return  # each row is learned from before the next one takes its place
        try:
            steps = self._arrived.get(timeout=IDLE_WAIT) if wait else self._arrived.get_nowait()
            while True:
                self._store(steps)
                if online:
                    return
                steps = self._arrived.get_nowait()
        except queue.Empty:
            return

    def _store(self, steps: TransitionBatch, known: int = 0) -> None:
        """Take steps in, the first `known` of which the normaliser has seen."""
        self.agent.observe(steps.observation[known:])
        self.replay.extend_mixed(steps)
        self.demonstrations.extend_mixed(steps.interventions())
        self.transitions += len(steps)

    def _measure(self, losses: dict[str, torch.Tensor], rate: float) -> None:
        if not losses:
            return
        self.metrics = {
            **{name: float(value) for name, value in losses.items()},
            'updates_per_second': rate,
            'updates': float(self.updates),
            'transitions': float(self.transitions),
            'parity_max_abs_error': self.parity,
        }

    def _export(self, exporter: Exporter) -> None:
        data = exporter.export(self.updates, self.transitions)
        try:
            error = exporter.verify(data)
        except InvalidInput as refused:
            self.recovery.take_back(str(refused))
            return
        if self.recovery.keep():
            self.parity = max(self.parity, error)
            self.versions += 1
            self._publish(data, self.updates)


def _spare_cores(busy_processes: int) -> int:
    """Return cores less busy processes: a thread that waits for a core stalls the others."""
    return max(1, len(os.sched_getaffinity(0)) - busy_processes)
