# SPDX-License-Identifier: Apache-2.0
"""
Behaviour cloning: regress the actions of the data.

Pomerleau 1991, 'Efficient Training of Artificial Neural Networks for Autonomous Navigation',
Neural Computation 3(1). The baseline for every other offline algorithm; it ignores rewards.
"""

import numpy as np
import torch
from torch import Tensor

from rl_control.common.types import Contract
from rl_control.config.offline_algorithms import BcSettings
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.networks import DeterministicPolicy
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch


class Bc(Agent):
    """A deterministic actor fitted to the actions of the data by mean squared error."""

    settings: BcSettings

    def __init__(self, contract: Contract, settings: BcSettings) -> None:
        super().__init__(contract, settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.policy = DeterministicPolicy(
                contract, settings.hidden_sizes, settings.observation_normalisation,
                settings.exploration_scale, settings.exploration_correlation)
        self.actor_optimiser = Adam(
            Weights(self.policy.actor.parameters()), settings.actor_learning_rate)
        self.networks = {'policy': self.policy}
        self.optimisers = {'actor': self.actor_optimiser}

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Make one step of the actor."""
        observation, action, *_ = self._normalised(batch)
        distance = self.distance(observation, action)
        actor_loss = (self._weight(weight) * distance).mean()
        self.error = distance.detach().sqrt()
        self.actor_optimiser.step(actor_loss)
        self.updates += 1
        return {'actor_loss': actor_loss.detach()}

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return the actor's distance (b,) from the data's actions, since there is no critic."""
        observation, action, *_ = self._normalised(batch)
        return self.distance(observation, action).sqrt()

    def distance(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return the mean squared difference (b,) of both actions, in half ranges."""
        return (self.policy.actor(observation) - action).square().mean(1)
