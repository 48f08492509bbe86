# SPDX-License-Identifier: Apache-2.0
"""
Deep deterministic policy gradient (DDPG, Lillicrap et al. 2016).

Lillicrap et al. 2016, 'Continuous control with deep reinforcement learning', arXiv:1509.02971,
algorithm 1. Equation numbers below are that paper's.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from rl_control.common.types import Contract
from rl_control.config.algorithm import DdpgSettings
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.networks import Critics, DeterministicPolicy
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch


class Ddpg(Agent):
    """A critic, a deterministic actor that maximises it, and a target network of each."""

    settings: DdpgSettings

    def __init__(self, contract: Contract, settings: DdpgSettings) -> None:
        super().__init__(contract, settings)
        observation_size, action_size = len(contract.observation), len(contract.action)
        hidden_sizes = settings.hidden_sizes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.policy = DeterministicPolicy(
                contract, hidden_sizes, settings.observation_normalisation,
                settings.exploration_scale, settings.exploration_correlation)
            self.critic = Critics(
                observation_size, action_size, hidden_sizes, 1, settings.layer_norm)
        self.target_actor = deepcopy(self.policy.actor).requires_grad_(False)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)

        self.actor_weights = Weights(self.policy.actor.parameters())
        self.critic_weights = Weights(self.critic.parameters())
        self.target_actor_weights = Weights(self.target_actor.parameters())
        self.target_critic_weights = Weights(self.target_critic.parameters())
        self.critic_optimiser = Adam(self.critic_weights, settings.critic_learning_rate)
        self.actor_optimiser = Adam(self.actor_weights, settings.actor_learning_rate)
        self.networks = {
            'policy': self.policy, 'critic': self.critic, 'target_actor': self.target_actor,
            'target_critic': self.target_critic,
        }
        self.optimisers = {'critic': self.critic_optimiser, 'actor': self.actor_optimiser}

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Update critic, actor and target networks once, in the paper's order."""
        observation, action, reward, next_observation, discount = self._normalised(batch)

        with torch.no_grad():
            target_q = self.target_q(reward, discount, next_observation)
        q = self.critic(observation, action)
        critic_loss = self.critic_loss(q, target_q, self._weight(weight))
        self.error = (q.detach() - target_q).abs().mean(0)
        self.critic_optimiser.step(critic_loss)

        actor_loss = self.actor_loss(observation)
        self.actor_optimiser.step(actor_loss)

        self.updates += 1
        self._update_target(self.target_critic_weights, self.critic_weights)
        self._update_target(self.target_actor_weights, self.actor_weights)
        return {
            'critic_loss': critic_loss.detach(),
            'actor_loss': actor_loss.detach(),
            'target_q': target_q.mean(),
        }

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,)."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        target_q = self.target_q(reward, discount, next_observation)
        return (self.critic(observation, action) - target_q).abs().mean(0)

    def target_q(self, reward: Tensor, discount: Tensor, next_observation: Tensor) -> Tensor:
        """Return target_q (b,): equation 5, with the target networks of algorithm 1."""
        next_action = self.target_actor(next_observation)
        next_q = self.target_critic(next_observation, next_action)[0]
        target_q = reward + self.settings.gamma * discount * next_q
        return target_q

    def critic_loss(self, q: Tensor, target_q: Tensor, weight: Tensor | float) -> Tensor:
        """Return equation 4."""
        return (weight * (q - target_q).square()).mean(1).sum()

    def actor_loss(self, observation: Tensor) -> Tensor:
        """Return -q at the actor's actions: its gradient is equation 6, negated for descent."""
        return -self.critic(observation, self.policy.actor(observation))[0].mean()
