# SPDX-License-Identifier: Apache-2.0
"""
QT-Opt (Kalashnikov et al. 2018): Q-learning that maximises over actions by cross-entropy.

Kalashnikov et al. 2018, 'QT-Opt: Scalable Deep Reinforcement Learning for Vision-Based Robotic
Manipulation', arXiv:1806.10293, section 4.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from rl_control.common.types import Contract
from rl_control.config.algorithm import QtOptSettings
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.cross_entropy import maximise
from rl_control.learning.algorithms.networks import (
    ActionScale,
    Critics,
    Normaliser,
    actor_q,
    min_q,
)
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch

CHUNK = 32  # states whose candidates are evaluated at a time: their activations fit the cache


class QtOpt(Agent):
    """
    A critic, its Polyak average and a lagged copy of the average; the policy maximises the critic.

    With several critics the policy maximises their minimum, or their mean where the target takes
    a random subset. The target is the minimum over critics at the action that maximises the
    first averaged critic, since a search exploits the overestimates of a single critic.
    """

    settings: QtOptSettings

    def __init__(self, contract: Contract, settings: QtOptSettings) -> None:
        super().__init__(contract, settings)
        observation_size, action_size = len(contract.observation), len(contract.action)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.critic = Critics(
                observation_size, action_size, settings.hidden_sizes, settings.critics,
                layer_norm=settings.layer_norm)
            self.policy = CemPolicy(contract, self.critic, settings)
        self.averaged_critic = deepcopy(self.critic).requires_grad_(False)
        self.lagged_critic = deepcopy(self.critic).requires_grad_(False)

        self.critic_weights = Weights(self.critic.parameters())
        self.averaged_weights = Weights(self.averaged_critic.parameters())
        self.lagged_weights = Weights(self.lagged_critic.parameters())
        self.critic_optimiser = Adam(self.critic_weights, settings.critic_learning_rate)
        self.networks = {
            'policy': self.policy, 'averaged_critic': self.averaged_critic,
            'lagged_critic': self.lagged_critic,
        }
        self.optimisers = {'critic': self.critic_optimiser}

    @property
    def periods(self) -> tuple[int, ...]:
        """Return `lag` and the target's period."""
        return self.settings.lag, *super().periods

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Update critic and average once, and the lagged critic at each `lag`-th update."""
        observation, action, reward, next_observation, discount = self._normalised(batch)

        with torch.no_grad():
            target_q = self.target_q(reward, discount, next_observation)
        q = self.critic(observation, action)
        critic_loss = self.critic_loss(q, target_q, self._weight(weight))
        self.error = (q.detach() - target_q).abs().mean(0)
        self.critic_optimiser.step(critic_loss)

        self.updates += 1
        self._update_target(self.averaged_weights, self.critic_weights)
        if self.updates % self.settings.lag == 0:
            self.lagged_weights.polyak_update(self.averaged_weights, 1.0)
        return {'critic_loss': critic_loss.detach(), 'target_q': target_q.mean()}

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,), the mean over the critics."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        target_q = self.target_q(reward, discount, next_observation)
        return (self.critic(observation, action) - target_q).abs().mean(0)

    def target_q(self, reward: Tensor, discount: Tensor, next_observation: Tensor) -> Tensor:
        """Return target_q (b,) of section 4.2: clipped double Q at the best action found."""
        next_q = torch.cat([self.next_q(chunk) for chunk in next_observation.split(CHUNK)])
        target_q = reward + self.settings.gamma * discount * next_q
        return target_q

    def next_q(self, next_observation: Tensor) -> Tensor:
        """Return V (b,) of section 4.2, by candidates drawn for each state."""
        samples, columns = self.settings.cem_samples, len(self.contract.action)
        draws = self._noise(
            self.settings.cem_iterations * len(next_observation), samples * columns)
        next_action, _ = maximise(
            lambda actions: self.averaged_critic.of_candidates(next_observation, actions, 1)[0],
            draws.view(-1, len(next_observation), samples, columns), self.settings.cem_elites)
        next_q = torch.minimum(*(
            critic(next_observation, next_action)
            for critic in (self.averaged_critic, self.lagged_critic)))
        return min_q(next_q, self.settings.target_critics, self.generator)

    def critic_loss(self, q: Tensor, target_q: Tensor, weight: Tensor | float) -> Tensor:
        """Return the Bellman error of section 4.1, with the square, summed over the critics."""
        return (weight * (q - target_q).square()).mean(1).sum()


class CemPolicy(nn.Module):
    """
    A policy that maximises a critic by the cross-entropy method, with exploration noise.

    `forward` is that of DeterministicPolicy. The candidates are fixed, so that an observation has
    one action. The search is in float64, so that a machine's order of summation does not decide
    between two nearly equal candidates.
    """

    def __init__(self, contract: Contract, critic: Critics, settings: QtOptSettings) -> None:
        super().__init__()
        self.noise_size = len(contract.action)
        self.noise_correlation = settings.exploration_correlation
        self.exploration_scale = settings.exploration_scale
        self.elites = settings.cem_elites
        self.target_critics = settings.target_critics
        self.normaliser = Normaliser(
            len(contract.observation), settings.observation_normalisation)
        self.action_scale = ActionScale(contract)
        self.critic = critic
        self.register_buffer('draws', torch.randn(
            settings.cem_iterations, 1, settings.cem_samples, len(contract.action)))

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """Return action (b, a) in SI units, see DeterministicPolicy."""
        observation = self.normaliser(observation.double())
        draws = self.draws.double().expand(-1, len(observation), -1, -1)
        action, _ = maximise(
            lambda actions: actor_q(
                self.critic.of_candidates(observation, actions), self.target_critics),
            draws, self.elites)
        return self.action_scale(action.float() + self.exploration_scale * noise)
