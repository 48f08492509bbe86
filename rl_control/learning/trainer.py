# SPDX-License-Identifier: Apache-2.0
"""Trainer: replay, updates, pacing and export of an agent on one thread, without ROS."""

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
from rl_control.learning.export import Exporter, cached_exporter
from rl_control.learning.replay import ReplayBuffer, TransitionBatch

METRICS_PERIOD = 1.0  # s
IDLE_WAIT = 0.02  # s to wait for transitions when no update is due
# s to the first checkpoint of a start. Each following wait is twice as long, up to
# `checkpoint_period`: a learner that is killed repeatedly still makes progress.
FIRST_CHECKPOINT = 1.0
# Settings on which the meaning of a checkpoint's weights depends: fixed within a run.
FIXED_SETTINGS = {'hidden_sizes', 'observation_normalisation', 'layer_norm'}

GRAPH = 'graph.onnx'  # the policy's traced graph, cached in `out`

logger = logging.getLogger(__name__)


class Trainer:
    """
    Trains from the transitions of `put`, at `updates_per_transition`, and publishes candidates.

    `task` relabels goals for HER. Half of each batch is drawn from `demonstrations`, which holds
    `offline` and interventions, less where it has fewer rows. With `start`, tensors for
    `agent.load`, that policy is published before the first update. `publish(data, version)` is
    called on the training thread with a verified ONNX file. Any thread may read `metrics`, which
    is replaced as a whole once a second, `transitions`, `updates`, `error`, and `turns`, which
    grows as long as the training thread is not stuck.
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
        # Offline data and interventions (HIL-SERL, Luo et al. 2024): capacity for both.
        offline_rows = 0 if offline is None else len(offline)
        self.demonstrations = ReplayBuffer(
            *sizes, offline_rows + settings.replay_capacity, settings.seed)
        self.sampler = make_symmetric_sampler(self.agent, self.replay, self.demonstrations, task)
        if offline is not None:
            self.demonstrations.extend_mixed(offline)
            self.agent.observe(offline.observation)
        if start is not None:
            self.agent.load(start)
        self._publish_at_start = start is not None
        self.transitions = 0
        self.versions = 0  # candidates published
        self.parity = 0.0  # largest difference between torch and ONNX so far, of the action range
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
        """Apply changed settings of the learner; only the live ones may differ."""
        self._learner = learner
        for optimiser in self.agent.optimisers.values():
            optimiser.learning_rate_factor = learner.learning_rate_factor

    @property
    def updates(self) -> int:
        """Return the number of updates."""
        return self.agent.updates

    @property
    def error(self) -> str:
        """Return the reason why the newest checkpoint could not be written, or ''."""
        return self._saver.error

    @property
    def allowance(self) -> int:
        """Return how many transitions in all collectors may have produced by now."""
        settings = self._settings
        ahead = settings.sweep if settings.sweep > 1 else 0
        return (settings.learning_starts + settings.transitions_paid(self.updates + ahead)
                + self._learner.headroom)

    def put(self, transitions: TransitionBatch) -> None:
        """Queue transitions for training; may be called on any thread."""
        online = self._settings.update_schedule == 'online'
        for part in transitions.singly() if online else (transitions,):
            self._arrived.put(part)

    def resume(self, saved: Checkpoint | None, recorded: Iterable[TransitionBatch]) -> None:
        """
        Resume from a checkpoint and all transitions `recorded` so far, in their order.

        Call it before `run`. Transitions recorded after the checkpoint count as new: the lost
        updates are made again. Raise InvalidInput for a checkpoint with other fixed settings.
        """
        normalised = self._load(saved) if saved is not None else 0
        for transitions in recorded:
            self._store(transitions, normalised=max(0, normalised - self.transitions))
        if self.transitions < normalised:
            logger.warning(
                'the journal has %d transitions but the checkpoint was made from %d; training '
                'waits until as many are recorded again', self.transitions, normalised)

    def run(self) -> None:
        """Train until `stopped` is set; then store queued transitions and save a checkpoint."""
        if self._settings.compiled == 'auto':
            self._updates.begin()
        exporter = cached_exporter(
            Path(self._learner.out) / GRAPH, self.agent.policy, self.contract, self.algorithm,
            self._run)
        self.recovery.keep()
        published = checkpointed = measured = time.monotonic()
        saved = published_version = measured_updates = self.updates
        checkpoint_wait = FIRST_CHECKPOINT
        losses: dict[str, torch.Tensor] = {}
        if self._publish_at_start and not self.updates:
            self._export(exporter)
        while not self.stopped.is_set():
            self.turns += 1
            due = self._due()
            self._ingest(wait=not due)
            if due:
                # An update may lack some losses, such as a delayed actor's: keep the last ones.
                newest = self._learn()
                losses = {**losses, **newest} if newest else {}
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
        """Load a checkpoint; return the number of transitions it was made from."""
        state = saved.state
        saved.require(self._settings.to_mapping(), FIXED_SETTINGS & state['settings'].keys())
        self.agent.load(saved.tensors)
        self.versions, self.parity = state['versions'], state['parity']
        self.replay.generator.bit_generator.state = state['replay_generator']
        return state['transitions']

    def _save(self) -> None:
        """Begin to write a checkpoint of copies; roll back instead if they are not finite."""
        tensors = self.agent.tensors()
        if not finite(tensors):
            self.recovery.roll_back('its weights are not finite')
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
        """Make one update; return its losses, none where it was rolled back."""
        # A compiled update has constant learning rates.
        update = (self._updates.update if self._learner.learning_rate_factor == 1.0
                  else self.agent.update)
        try:
            losses = update(*self.sampler.sample(self._settings.batch_size))
            if self.recovery.check(losses):
                self.sampler.update_priorities(self.agent.error.numpy())
                return losses
        except InvalidInput as refused:  # for priorities that are not finite
            self.recovery.roll_back(str(refused))
        return {}

    def _ingest(self, *, wait: bool) -> None:
        """Store the queued transitions; with `wait`, wait IDLE_WAIT for the first."""
        online = self._settings.update_schedule == 'online'
        if online and self._due():
            return  # an update uses each row before the next one replaces it
        try:
            transitions = (
                self._arrived.get(timeout=IDLE_WAIT) if wait else self._arrived.get_nowait())
            while True:
                self._store(transitions)
                if online:
                    return
                transitions = self._arrived.get_nowait()
        except queue.Empty:
            return

    def _store(self, transitions: TransitionBatch, normalised: int = 0) -> None:
        """Store transitions; the normaliser has already counted the first `normalised`."""
        self.agent.observe(transitions.observation[normalised:])
        self.replay.extend_mixed(transitions)
        self.demonstrations.extend_mixed(transitions.interventions())
        self.transitions += len(transitions)

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
            self.recovery.roll_back(str(refused))
            return
        if self.recovery.keep():
            self.parity = max(self.parity, error)
            self.versions += 1
            self._publish(data, self.updates)


def _spare_cores(busy_processes: int) -> int:
    """Return the cores less busy processes: a thread without a core stalls torch's others."""
    return max(1, len(os.sched_getaffinity(0)) - busy_processes)
