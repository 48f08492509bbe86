# SPDX-License-Identifier: Apache-2.0
"""What the learner knows of an algorithm."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from rl_control.common import memory
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch


class Agent(ABC):
    """
    An off-policy algorithm on one thread: `update` learns, `policy` acts.

    `policy` is a module whose forward takes observation (b, o) in SI units and noise
    (b, noise_size), zeros for the deterministic action, and returns action (b, a) in SI units,
    and log_prob (b,) behind it where there is one. It has `noise_size`, `noise_correlation`, the
    part of the last step's noise that whoever explores keeps, and `normaliser`. `updates` is the
    number of updates made, hence the policy's version; `error` (b,) is |q - target_q| of each row
    of the last batch, before it was learned from. A subclass fills `networks` and
    `optimisers`: what stands there is what a checkpoint holds, beside the random generator.
    """

    policy: nn.Module

    def __init__(self, contract: Contract, settings: AlgorithmSettings) -> None:
        memory.tune_malloc()
        self.contract = contract
        self.settings = settings
        self.updates = 0
        self.error = torch.empty(0)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.networks: dict[str, nn.Module] = {}
        self.optimisers: dict[str, Adam] = {}

    @property
    def periods(self) -> tuple[int, ...]:
        """Return what an update's number is divided by to tell what it does beside others."""
        copies = self.settings.update_schedule in ('hard', 'fitted')
        return (self.settings.target_period,) if copies else ()

    @abstractmethod
    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """
        Learn once from `batch`, which is not kept; return what a plot would show.

        `weight` (b,) float32 is what the squared error of each row counts, 1 without it.
        The values are scalars without gradient, left as tensors: reading one is the caller's
        choice, and cost.
        """

    def observe(self, observation: np.ndarray) -> None:
        """Take observations (n, o) that came in into the normaliser's statistics."""
        self.policy.normaliser.observe(torch.from_numpy(np.asarray(observation)))

    @torch.no_grad()
    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return the actions (b, a) without noise at observations (b, o), in SI units."""
        result = self.policy(
            torch.from_numpy(observation), torch.zeros(len(observation), self.policy.noise_size))
        return (result[0] if isinstance(result, tuple) else result).numpy()

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of everything that `load` needs to go on as if never stopped."""
        return {name: tensor.detach().clone() for name, tensor in self._named().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` of the same algorithm and sizes returned, or raise InvalidInput."""
        here = self._named()
        for name in sorted(here.keys() ^ tensors.keys()):
            side = 'is missing from' if name in here else 'is unknown in'
            raise InvalidInput(f'tensor {name} {side} the checkpoint; use the settings it had')
        for name, tensor in here.items():
            if tensor.shape != tensors[name].shape or tensor.dtype != tensors[name].dtype:
                raise InvalidInput(
                    f'tensor {name} is {tensors[name].dtype} {tuple(tensors[name].shape)} in the '
                    f'checkpoint and {tensor.dtype} {tuple(tensor.shape)} here; '
                    'use the settings it was made with'
                )
        with torch.no_grad():
            for name, tensor in here.items():
                tensor.copy_(tensors[name])
        self.updates = int(tensors['updates'])
        self.generator.set_state(tensors['generator'])

    @abstractmethod
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,), the mean over the critics, without learning from it."""

    def _prepared(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the fields of `batch` as tensors, observations and action normalised."""
        self.policy.normaliser.freeze()
        observation, action, reward, next_observation, discount = map(torch.as_tensor, batch)
        return (
            self.policy.normaliser(observation), self.policy.action_scale.normalise(action),
            reward, self.policy.normaliser(next_observation), discount)

    def _weight(self, weight: np.ndarray | None) -> Tensor | float:
        return 1.0 if weight is None else torch.as_tensor(weight)

    def _follow(self, target: Weights, online: Weights) -> None:
        """Move a target network as `update_schedule` says, after an update was counted."""
        schedule = self.settings.update_schedule
        if schedule == 'polyak':
            target.polyak_update(online, self.settings.tau)
        elif schedule == 'online' or self.updates % self.settings.target_period == 0:
            target.polyak_update(online, 1.0)

    def _noise(self, rows: int, columns: int) -> Tensor:
        """Return standard normal noise (rows, columns) from the agent's own generator."""
        return torch.randn(rows, columns, generator=self.generator)

    def _named(self) -> dict[str, Tensor]:
        named = {'updates': torch.tensor(self.updates), 'generator': self.generator.get_state()}
        for network, module in self.networks.items():
            for name, tensor in module.state_dict().items():
                named[f'{network}.{name}'] = tensor
        for name, optimiser in self.optimisers.items():
            for key, tensor in optimiser.tensors().items():
                named[f'optimiser.{name}.{key}'] = tensor
        return named
