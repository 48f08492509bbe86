# SPDX-License-Identifier: Apache-2.0
"""
Implicit Q-learning: no action is ever judged that is not in the data.

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
from rl_control.learning.algorithms.networks import Critics, DeterministicPolicy, mlp, smallest
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch


class Iql(Agent):
    """Critics, a state value that is an upper expectile of them, an actor cloned by advantage."""

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
        """Make one step of value, critics, actor and target, in the paper's order."""
        observation, action, reward, next_observation, discount = self._prepared(batch)
        row_weight = self._weight(weight)

        with torch.no_grad():
            q = self.target_critic(observation, action)
            q = smallest(q, self.settings.target_critics, self.generator)
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
        self._follow(self.target_weights, self.critic_weights)
        return {
            'critic_loss': critic_loss.detach(),
            'value_loss': value_loss.detach(),
            'actor_loss': actor_loss.detach(),
            'target_q': target_q.mean(),
            'advantage': advantage.detach().mean(),
        }

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,), see Agent."""
        observation, action, reward, next_observation, discount = self._prepared(batch)
        target_q = self.target_q(reward, discount, next_observation)
        return (self.critic(observation, action) - target_q).abs().mean(0)

    def target_q(self, reward: Tensor, discount: Tensor, next_observation: Tensor) -> Tensor:
        """Return target_q (b,), which equation 6 regresses on: no next action is needed."""
        next_q = self.value(next_observation)[:, 0]
        target_q = reward + self.settings.gamma * discount * next_q
        return target_q

    def value_loss(self, advantage: Tensor, weight: Tensor | float) -> Tensor:
        """Return equation 5: squares of q - v, which count as the expectile says by their sign."""
        expectile = self.settings.expectile
        side = torch.where(advantage > 0.0, expectile, 1.0 - expectile)
        return (weight * side * advantage.square()).mean()

    def critic_loss(self, q: Tensor, target_q: Tensor, weight: Tensor | float) -> Tensor:
        """Return equation 6, summed over the critics."""
        return (weight * (q - target_q).square()).mean(1).sum()

    def actor_loss(
        self, observation: Tensor, action: Tensor, advantage: Tensor, weight: Tensor | float
    ) -> Tensor:
        """Return equation 7, turned to descend, its weights cut at `weight_limit`."""
        worth = (self.settings.inverse_temperature * advantage).exp()
        worth = worth.clamp_max(self.settings.weight_limit)
        return -(weight * worth * self.policy.log_prob(observation, action)).mean()


class GaussianPolicy(DeterministicPolicy):
    """
    A Gaussian about a mean within tanh, as wide in every state: the noise that explores.

    `forward` is that of DeterministicPolicy, with a learned `exploration_scale` for each column.
    """

    LOG_STD_LIMITS = (-5.0, 2.0)

    def __init__(self, contract: Contract, hidden_sizes: tuple[int, ...], mode: str) -> None:
        super().__init__(contract, hidden_sizes, mode, 1.0, 0.0)
        self.log_std = nn.Parameter(torch.zeros(self.noise_size))

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """Return the action, see the class."""
        return super().forward(observation, noise * self._log_std().exp())

    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return the log density (b,), but for a constant, of normalised actions (b, a)."""
        log_std = self._log_std()
        away = (action - self.actor(observation)) * (-log_std).exp()
        return -(0.5 * away.square() + log_std).sum(-1)

    def _log_std(self) -> Tensor:
        return self.log_std.clamp(*self.LOG_STD_LIMITS)
