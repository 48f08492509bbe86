# SPDX-License-Identifier: Apache-2.0
"""Offline training: update an agent from fixed data, with checkpoints to resume from."""

from collections.abc import Callable, Mapping
from contextlib import suppress
import json
import logging
import math
from pathlib import Path
import time

import torch
from torch import Tensor

from rl_control.bags.dataset import Dataset
from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_atomically
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.config.offline import OfflineSettings
from rl_control.environments.tasks import Task
from rl_control.learning import checkpoint
from rl_control.learning.algorithms import make_agent
from rl_control.learning.batch_sampler import make_sampler
from rl_control.learning.checkpoint_writer import CheckpointWriter
from rl_control.learning.replay import ReplayBuffer

CURVE_POINTS = 200  # points of the curve
SHOW_PERIOD = 0.5  # s between two calls of `show`
CURVE = 'metrics.jsonl'  # in the format of a learner's metrics log
LOWER_RATES = 'take smaller learning rates and name another out'

logger = logging.getLogger(__name__)
Show = Callable[[str, Mapping[str, float]], None]


class OfflineTraining:
    """
    Makes `settings.updates` updates of one agent, from all rows of a dataset.

    `curve` holds `CURVE_POINTS` rows of metrics, as metrics.jsonl does. A training that was
    stopped or killed resumes from its checkpoint in the same directory, and arrives at the same
    weights bit for bit, except with prioritized replay, whose priorities are computed again.
    """

    def __init__(
        self, settings: OfflineSettings, algorithm: AlgorithmSettings, dataset: Dataset,
        run: str, task: Task | None = None,
    ) -> None:
        if algorithm.update_schedule == 'online':
            raise InvalidInput(
                'update_schedule is online, which learns from each transition as it arrives; set '
                'another update_schedule for fixed data'
            )
        self.agent = make_agent(settings.algorithm, dataset.contract, algorithm)
        self.curve: list[dict[str, float]] = []
        self.seconds = 0.0
        self.name = run
        self.settings = settings
        self.algorithm = algorithm
        self.dataset = dataset
        steps = dataset.rows.steps(dataset.streams, dataset.stream)
        self._replay = ReplayBuffer(
            len(dataset.contract.observation), len(dataset.contract.action), len(steps),
            algorithm.seed)
        self._replay.extend_mixed(steps)
        self._sampler = make_sampler(self.agent, self._replay, task)
        self._saver = CheckpointWriter(Path(settings.out) / 'checkpoints')
        saved = checkpoint.latest(Path(settings.out) / 'checkpoints')
        if saved is None:
            self.agent.observe(steps.observation)
        else:
            self._load(saved)

    def run(self, show: Show, stopped: Callable[[], bool]) -> bool:
        """
        Train to the last update or until `stopped`; save; return whether all updates are made.

        Raise InvalidInput where the training diverges, and OSError where the last checkpoint
        cannot be written; the one before stays intact.
        """
        goal, agent, sampler = self.settings.updates, self.agent, self._sampler
        every = max(1, goal // CURVE_POINTS)
        batch_size = self.algorithm.batch_size
        began = shown = saved = time.monotonic()
        before, first = self.seconds, agent.updates
        metrics: dict[str, Tensor] = {}
        while agent.updates < goal and not stopped():
            metrics.update(agent.update(*sampler.sample(batch_size)))
            sampler.update_priorities(agent.error.numpy())
            if agent.updates % every == 0 or agent.updates == goal:
                self._record(metrics)
            now = time.monotonic()
            self.seconds = before + now - began
            if now - shown >= SHOW_PERIOD:
                shown = now
                show('training', self._figures(metrics, (agent.updates - first) / (now - began)))
            if now - saved >= self.settings.checkpoint_period and not self._saver.busy:
                saved = now
                if self._saver.error:
                    logger.warning('%s; training continues, free some space', self._saver.error)
                self._save()
        self._save()
        self._saver.finish()
        if self._saver.error:
            raise OSError(0, self._saver.error)
        return agent.updates >= goal

    def _figures(self, metrics: Mapping[str, Tensor], rate: float) -> dict[str, float]:
        figures = {'updates': self.agent.updates, 'of': self.settings.updates,
                   'updates_per_second': rate,
                   'seconds_left': (self.settings.updates - self.agent.updates) / rate}
        return figures | {name: float(value) for name, value in metrics.items()}

    def _record(self, metrics: Mapping[str, Tensor]) -> None:
        row = {name: float(value) for name, value in metrics.items()}
        for name, value in row.items():
            if not math.isfinite(value):
                raise InvalidInput(
                    f'after {self.agent.updates} updates {name} is {value}; {LOWER_RATES}'
                )
        self.curve.append({'time': round(time.time(), 3), 'updates': self.agent.updates, **row})

    def _write_curve(self) -> None:
        lines = ''.join(json.dumps(row) + '\n' for row in self.curve)
        write_atomically(Path(self.settings.out) / CURVE, lines.encode())

    def _save(self) -> None:
        """Begin to write a checkpoint in the learner's format; write the curve."""
        tensors = self.agent.tensors()
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise InvalidInput(
                    f'after {self.agent.updates} updates {name} is not finite; {LOWER_RATES}')
        self._saver.save(self.agent.updates, tensors, {
            'algorithm': self.settings.algorithm,
            'settings': self.algorithm.to_mapping(),
            'contract': self.dataset.contract.to_json(),
            'run': self.name,
            'transitions': len(self.dataset),
            'versions': 0,
            'parity': 0.0,
            'replay_generator': self._replay.generator.bit_generator.state,
            'data': self.dataset.digest,
            'curve': list(self.curve),
            'seconds': self.seconds,
        })
        with suppress(OSError):  # the checkpoint's own error reports a full disk
            self._write_curve()

    def _load(self, saved: checkpoint.Checkpoint) -> None:
        """Load a checkpoint; raise InvalidInput for one of other data or settings."""
        state = saved.state
        here = self.algorithm.to_mapping()
        saved.require(here, sorted(here.keys() | state['settings'].keys()))
        if state.get('data') != self.dataset.digest:
            raise InvalidInput(
                f'checkpoint {saved.path} was trained from other data than '
                f'{self.settings.data}; set the former data, or name another directory with out')
        self.agent.load(saved.tensors)
        self.curve, self.seconds = list(state['curve']), state['seconds']
        self._replay.generator.bit_generator.state = state['replay_generator']
