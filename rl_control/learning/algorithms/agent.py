# SPDX-License-Identifier: Apache-2.0
"""Agent: the interface between the learner and an algorithm."""

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
    followed by log_prob (b,) for stochastic policies. It has `noise_size`, `noise_correlation`
    (the share of the last step's noise that exploration keeps) and `normaliser`. `updates` counts
    the updates, hence is the policy's version; `error` (b,) is |q - target_q| of each row of the
    last batch before its update. A subclass fills `networks` and `optimisers`: a checkpoint holds
    these and the random generator.
    """

    policy: nn.Module
    algorithm = ''  # its name in `algorithms.ALGORITHMS`

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
        """Return the periods, in updates, of steps that only some updates make."""
        copies_target = self.settings.update_schedule in ('hard', 'fitted')
        return (self.settings.target_period,) if copies_target else ()

    @abstractmethod
    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """
        Make one update from `batch`, which is not kept; return losses and metrics by name.

        `weight` (b,) float32 weights the squared error of each row, 1 by default. Values are
        scalar tensors without gradient; the caller decides when to read them.
        """

    def observe(self, observation: np.ndarray) -> None:
        """Update the normaliser's statistics with new observations (n, o)."""
        self.policy.normaliser.observe(torch.from_numpy(np.asarray(observation)))

    @torch.no_grad()
    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return the actions (b, a) without noise at observations (b, o), in SI units."""
        result = self.policy(
            torch.from_numpy(observation), torch.zeros(len(observation), self.policy.noise_size))
        return (result[0] if isinstance(result, tuple) else result).numpy()

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of all tensors that `load` needs to resume exactly."""
        return {name: tensor.detach().clone() for name, tensor in self._named_tensors().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load `tensors` of the same algorithm and sizes; raise InvalidInput for any others."""
        here = self._named_tensors()
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
        """Return |q - target_q| (b,), the mean over the critics, without an update."""

    def _normalised(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the fields of `batch` as tensors, observations and action normalised."""
        self.policy.normaliser.freeze()
        observation, action, reward, next_observation, discount = map(torch.as_tensor, batch)
        return (
            self.policy.normaliser(observation), self.policy.action_scale.normalise(action),
            reward, self.policy.normaliser(next_observation), discount)

    def _weight(self, weight: np.ndarray | None) -> Tensor | float:
        return 1.0 if weight is None else torch.as_tensor(weight)

    def _update_target(self, target: Weights, online: Weights) -> None:
        """Update a target network by `update_schedule`, after the update was counted."""
        schedule = self.settings.update_schedule
        if schedule == 'polyak':
            target.polyak_update(online, self.settings.tau)
        elif schedule == 'online' or self.updates % self.settings.target_period == 0:
            target.polyak_update(online, 1.0)

    def _noise(self, rows: int, columns: int) -> Tensor:
        """Return standard normal noise (rows, columns) from the agent's own generator."""
        return torch.randn(rows, columns, generator=self.generator)

    def _named_tensors(self) -> dict[str, Tensor]:
        named = {'updates': torch.tensor(self.updates), 'generator': self.generator.get_state()}
        for network, module in self.networks.items():
            for name, tensor in module.state_dict().items():
                named[f'{network}.{name}'] = tensor
        for name, optimiser in self.optimisers.items():
            for key, tensor in optimiser.tensors().items():
                named[f'optimiser.{name}.{key}'] = tensor
        return named
