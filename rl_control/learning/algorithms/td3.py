# SPDX-License-Identifier: Apache-2.0
"""
Twin delayed DDPG (TD3, Fujimoto et al. 2018).

Fujimoto et al. 2018, 'Addressing Function Approximation Error in Actor-Critic Methods',
arXiv:1802.09477, algorithm 1.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from rl_control.common.types import Contract
from rl_control.config.algorithm import Td3Settings
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.networks import Critics, DeterministicPolicy, min_q
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch


class Td3(Agent):
    """Two or more critics, a delayed deterministic actor, target networks of both."""

    settings: Td3Settings

    def __init__(self, contract: Contract, settings: Td3Settings) -> None:
        super().__init__(contract, settings)
        observation_size, action_size = len(contract.observation), len(contract.action)
        hidden_sizes = settings.hidden_sizes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.policy = DeterministicPolicy(
                contract, hidden_sizes, settings.observation_normalisation,
                settings.exploration_scale, settings.exploration_correlation)
            self.critic = Critics(
                observation_size, action_size, hidden_sizes, settings.critics,
                settings.layer_norm)
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

    @property
    def periods(self) -> tuple[int, ...]:
        """Return `policy_delay` and the target's period."""
        return self.settings.policy_delay, *super().periods

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Update the critics once, and actor and targets at each `policy_delay`-th update."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        noise = self._noise(*action.shape)

        with torch.no_grad():
            target_q = self.target_q(reward, discount, next_observation, noise)
        q = self.critic(observation, action)
        critic_loss = self.critic_loss(q, target_q, self._weight(weight))
        self.error = (q.detach() - target_q).abs().mean(0)
        self.critic_optimiser.step(critic_loss)
        metrics = {'critic_loss': critic_loss.detach(), 'target_q': target_q.mean()}

        self.updates += 1
        if self.updates % self.settings.policy_delay == 0:
            actor_loss = self.actor_loss(observation, action)
            self.actor_optimiser.step(actor_loss)
            metrics['actor_loss'] = actor_loss.detach()

            self._update_target(self.target_critic_weights, self.critic_weights)
            self._update_target(self.target_actor_weights, self.actor_weights)
        return metrics

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,), the mean over the critics."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        target_q = self.target_q(
            reward, discount, next_observation, self._noise(*action.shape))
        return (self.critic(observation, action) - target_q).abs().mean(0)

    def target_q(
        self, reward: Tensor, discount: Tensor, next_observation: Tensor, noise: Tensor
    ) -> Tensor:
        """Return target_q (b,): y of algorithm 1, clipped double Q at a smoothed action."""
        limit = self.settings.smoothing_limit
        noise = torch.clamp(self.settings.smoothing_scale * noise, -limit, limit)
        next_action = torch.clamp(self.target_actor(next_observation) + noise, -1.0, 1.0)
        next_q = self.target_critic(next_observation, next_action)
        next_q = min_q(next_q, self.settings.target_critics, self.generator)
        target_q = reward + self.settings.gamma * discount * next_q
        return target_q

    def critic_loss(self, q: Tensor, target_q: Tensor, weight: Tensor | float) -> Tensor:
        """Return the mean squared errors of algorithm 1, summed over the critics."""
        return (weight * (q - target_q).square()).mean(1).sum()

    def actor_loss(self, observation: Tensor, action: Tensor) -> Tensor:
        """
        Return -q of critic 1 at the actor's actions, whose gradient is algorithm 1's, negated.

        `action`, the batch's, is unused here; TD3+BC needs it.
        """
        return -self.critic(observation, self.policy.actor(observation), number=1).mean()
