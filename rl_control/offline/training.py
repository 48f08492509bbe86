# SPDX-License-Identifier: Apache-2.0
"""An agent trained from fixed data: so many updates, with checkpoints that it goes on from."""

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

POINTS = 200  # of a curve
SHOW_PERIOD = 0.5  # s between two calls of `show`
CURVE = 'metrics.jsonl'  # as a learner's logbook
SLOWER = 'take smaller learning rates and name another out'

logger = logging.getLogger(__name__)
Show = Callable[[str, Mapping[str, float]], None]


class OfflineTraining:
    """
    `settings.updates` updates of one agent, from all rows of a dataset.

    `curve` holds what the updates said, `POINTS` times by the way, as metrics.jsonl does.
    Stopped or killed and made anew in the same directory it goes on from its checkpoint, and
    comes to the same weights, bit for bit, unless rows are drawn by priority: priorities are
    computed anew.
    """

    def __init__(
        self, settings: OfflineSettings, algorithm: AlgorithmSettings, dataset: Dataset,
        run: str, task: Task | None = None,
    ) -> None:
        if algorithm.update_schedule == 'online':
            raise InvalidInput(
                'update_schedule is online, which learns from each transition as it comes; for '
                'fixed data set another update_schedule'
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
        Train until all updates are made or `stopped` says so; save; say whether all are made.

        Raise InvalidInput where the training is no longer finite, and OSError where the last
        checkpoint cannot be written: the one before is whole.
        """
        goal, agent, sampler = self.settings.updates, self.agent, self._sampler
        every = max(1, goal // POINTS)
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
                    logger.warning('%s; training goes on, make space', self._saver.error)
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
                    f'after {self.agent.updates} updates {name} is {value}; {SLOWER}'
                )
        self.curve.append({'time': round(time.time(), 3), 'updates': self.agent.updates, **row})

    def _write_curve(self) -> None:
        lines = ''.join(json.dumps(row) + '\n' for row in self.curve)
        write_atomically(Path(self.settings.out) / CURVE, lines.encode())

    def _save(self) -> None:
        """Begin to write a checkpoint, whose state a learner's is like; write the curve."""
        tensors = self.agent.tensors()
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise InvalidInput(
                    f'after {self.agent.updates} updates {name} is not finite; {SLOWER}')
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
        with suppress(OSError):  # the checkpoint meets the same, and says so
            self._write_curve()

    def _load(self, saved: checkpoint.Checkpoint) -> None:
        """Take a checkpoint over; raise InvalidInput for one of other data or settings."""
        state = saved.state
        here = self.algorithm.to_mapping()
        saved.require(here, sorted(here.keys() | state['settings'].keys()))
        if state.get('data') != self.dataset.digest:
            raise InvalidInput(
                f'checkpoint {saved.path} was trained from other data than '
                f'{self.settings.data}; give that, or name another directory with out')
        self.agent.load(saved.tensors)
        self.curve, self.seconds = list(state['curve']), state['seconds']
        self._replay.generator.bit_generator.state = state['replay_generator']
