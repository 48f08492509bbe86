# SPDX-License-Identifier: Apache-2.0
"""
Implicit Q-learning (IQL, Kostrikov et al. 2022): evaluate only actions of the data.

Kostrikov et al. 2022, 'Offline Reinforcement Learning with Implicit Q-Learning',
arXiv:2110.06169, algorithm 1. Equation numbers below are that paper's.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from rl_control.common.types import Contract
from rl_control.config.offline_algorithms import IqlSettings
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.networks import Critics, DeterministicPolicy, min_q, mlp
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch


class Iql(Agent):
    """Critics, a state value at an upper expectile of q, an advantage-weighted actor."""

    settings: IqlSettings

    def __init__(self, contract: Contract, settings: IqlSettings) -> None:
        super().__init__(contract, settings)
        observation_size, action_size = len(contract.observation), len(contract.action)
        hidden_sizes = settings.hidden_sizes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.policy = GaussianPolicy(
                contract, hidden_sizes, settings.observation_normalisation)
            self.critic = Critics(
                observation_size, action_size, hidden_sizes, settings.critics,
                settings.layer_norm)
            self.value = mlp((observation_size, *hidden_sizes, 1), settings.layer_norm)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)

        self.critic_weights = Weights(self.critic.parameters())
        self.target_weights = Weights(self.target_critic.parameters())
        self.critic_optimiser = Adam(self.critic_weights, settings.critic_learning_rate)
        self.value_optimiser = Adam(
            Weights(self.value.parameters()), settings.value_learning_rate)
        self.actor_optimiser = Adam(
            Weights([*self.policy.actor.parameters(), self.policy.log_std]),
            settings.actor_learning_rate)
        self.networks = {
            'policy': self.policy, 'critic': self.critic, 'target_critic': self.target_critic,
            'value': self.value,
        }
        self.optimisers = {
            'critic': self.critic_optimiser, 'value': self.value_optimiser,
            'actor': self.actor_optimiser,
        }

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Update value, critics, actor and target once, in the paper's order."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        row_weight = self._weight(weight)

        with torch.no_grad():
            q = self.target_critic(observation, action)
            q = min_q(q, self.settings.target_critics, self.generator)
        advantage = q - self.value(observation)[:, 0]
        value_loss = self.value_loss(advantage, row_weight)
        self.value_optimiser.step(value_loss)

        with torch.no_grad():
            target_q = self.target_q(reward, discount, next_observation)
        q = self.critic(observation, action)
        critic_loss = self.critic_loss(q, target_q, row_weight)
        self.error = (q.detach() - target_q).abs().mean(0)
        self.critic_optimiser.step(critic_loss)

        actor_loss = self.actor_loss(observation, action, advantage.detach(), row_weight)
        self.actor_optimiser.step(actor_loss)

        self.updates += 1
        self._update_target(self.target_weights, self.critic_weights)
        return {
            'critic_loss': critic_loss.detach(),
            'value_loss': value_loss.detach(),
            'actor_loss': actor_loss.detach(),
            'target_q': target_q.mean(),
            'advantage': advantage.detach().mean(),
        }

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,), the mean over the critics."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        target_q = self.target_q(reward, discount, next_observation)
        return (self.critic(observation, action) - target_q).abs().mean(0)

    def target_q(self, reward: Tensor, discount: Tensor, next_observation: Tensor) -> Tensor:
        """Return target_q (b,) of equation 6, where V(s') stands for next_q."""
        next_q = self.value(next_observation)[:, 0]
        target_q = reward + self.settings.gamma * discount * next_q
        return target_q

    def value_loss(self, advantage: Tensor, weight: Tensor | float) -> Tensor:
        """Return equation 5: the expectile loss of the advantage q - V."""
        expectile = self.settings.expectile
        expectile_weight = torch.where(advantage > 0.0, expectile, 1.0 - expectile)
        return (weight * expectile_weight * advantage.square()).mean()

    def critic_loss(self, q: Tensor, target_q: Tensor, weight: Tensor | float) -> Tensor:
        """Return equation 6, summed over the critics."""
        return (weight * (q - target_q).square()).mean(1).sum()

    def actor_loss(
        self, observation: Tensor, action: Tensor, advantage: Tensor, weight: Tensor | float
    ) -> Tensor:
        """Return equation 7, negated for descent, its weights clipped at `weight_limit`."""
        advantage_weight = (self.settings.inverse_temperature * advantage).exp()
        advantage_weight = advantage_weight.clamp_max(self.settings.weight_limit)
        log_prob = self.policy.log_prob(observation, action)
        return -(weight * advantage_weight * log_prob).mean()


class GaussianPolicy(DeterministicPolicy):
    """
    A Gaussian policy with a tanh mean and a deviation that does not depend on the state.

    `forward` is that of DeterministicPolicy, with a learned exploration scale for each column.
    """

    LOG_STD_LIMITS = (-5.0, 2.0)

    def __init__(self, contract: Contract, hidden_sizes: tuple[int, ...], mode: str) -> None:
        super().__init__(contract, hidden_sizes, mode, 1.0, 0.0)
        self.log_std = nn.Parameter(torch.zeros(self.noise_size))

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """Return action (b, a) in SI units, see DeterministicPolicy."""
        return super().forward(observation, noise * self._log_std().exp())

    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return the log density (b,) of normalised actions (b, a), up to a constant."""
        log_std = self._log_std()
        noise = (action - self.actor(observation)) * (-log_std).exp()
        return -(0.5 * noise.square() + log_std).sum(-1)

    def _log_std(self) -> Tensor:
        return self.log_std.clamp(*self.LOG_STD_LIMITS)
