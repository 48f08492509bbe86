# SPDX-License-Identifier: Apache-2.0
"""
Soft actor-critic (SAC, Haarnoja et al. 2018) with a learned temperature.

Haarnoja et al. 2018b, 'Soft Actor-Critic Algorithms and Applications', arXiv:1812.05905,
algorithm 1. Equation numbers below are that paper's.
"""

from copy import deepcopy
import math

import numpy as np
import torch
from torch import Tensor, nn

from rl_control.common.types import Contract
from rl_control.config.algorithm import SacSettings
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.networks import Critics, SquashedGaussian, actor_q, min_q
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch


class Sac(Agent):
    """Two or more critics, a squashed Gaussian actor, a temperature for a target entropy."""

    settings: SacSettings

    def __init__(self, contract: Contract, settings: SacSettings) -> None:
        super().__init__(contract, settings)
        observation_size, action_size = len(contract.observation), len(contract.action)
        hidden_sizes = settings.hidden_sizes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.policy = SquashedGaussian(
                contract, hidden_sizes, settings.observation_normalisation)
            self.critic = Critics(
                observation_size, action_size, hidden_sizes, settings.critics,
                settings.layer_norm)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.temperature = Temperature(settings.initial_alpha)
        self.target_entropy = settings.target_entropy * action_size  # appendix D: -dim(A)

        self.critic_weights = Weights(self.critic.parameters())
        self.target_weights = Weights(self.target_critic.parameters())
        self.critic_optimiser = Adam(self.critic_weights, settings.critic_learning_rate)
        self.actor_optimiser = Adam(
            Weights(self.policy.actor.parameters()), settings.actor_learning_rate)
        self.alpha_optimiser = Adam(
            Weights(self.temperature.parameters()), settings.alpha_learning_rate)
        self.networks = {
            'policy': self.policy, 'critic': self.critic, 'target_critic': self.target_critic,
            'temperature': self.temperature,
        }
        self.optimisers = {
            'critic': self.critic_optimiser, 'actor': self.actor_optimiser,
            'alpha': self.alpha_optimiser,
        }

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Update critics, actor, temperature and targets once, in the paper's order."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        next_noise, noise = self._noise(2 * len(action), action.shape[1]).chunk(2)

        with torch.no_grad():
            target_q = self.target_q(reward, discount, next_observation, next_noise)
        q = self.critic(observation, action)
        critic_loss = self.critic_loss(q, target_q, self._weight(weight))
        self.error = (q.detach() - target_q).abs().mean(0)
        self.critic_optimiser.step(critic_loss)

        actor_loss, log_prob = self.actor_loss(observation, noise)
        self.actor_optimiser.step(actor_loss)

        self.alpha_optimiser.step(self.alpha_loss(log_prob.detach()))

        self.updates += 1
        self._update_target(self.target_weights, self.critic_weights)
        return {
            'critic_loss': critic_loss.detach(),
            'actor_loss': actor_loss.detach(),
            'alpha': self.temperature().detach(),
            'entropy': -log_prob.detach().mean(),
            'target_q': target_q.mean(),
        }

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,), the mean over the critics."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        target_q = self.target_q(
            reward, discount, next_observation, self._noise(*action.shape))
        return (self.critic(observation, action) - target_q).abs().mean(0)

    @torch.no_grad()
    def evaluate(
        self, observation: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return q of actions (b, a), the soft value v, and log pi of the actions, (b,) each.

        Arguments are in SI units. The same target critics evaluate q and v, and v (equation 3) is
        estimated by one action of the policy.
        """
        observation = self.policy.normaliser(torch.from_numpy(observation))
        action = self.policy.action_scale.normalise(torch.from_numpy(action))
        policy_action, log_prob = self.policy.sample(observation, self._noise(*action.shape))
        q = self.target_critic(observation.repeat(2, 1), torch.cat((action, policy_action)))
        q, value = min_q(q, self.settings.target_critics, self.generator).chunk(2)
        value = value - self.temperature() * log_prob
        return q.numpy(), value.numpy(), self.policy.log_prob(observation, action).numpy()

    def target_q(
        self, reward: Tensor, discount: Tensor, next_observation: Tensor, noise: Tensor
    ) -> Tensor:
        """Return target_q (b,): equations 2 and 3, with the minimum of the target critics."""
        next_action, next_log_prob = self.policy.sample(next_observation, noise)
        next_q = self.target_critic(next_observation, next_action)
        next_q = min_q(next_q, self.settings.target_critics, self.generator)
        next_q = next_q - self.temperature() * next_log_prob
        target_q = reward + self.settings.gamma * discount * next_q
        return target_q

    def critic_loss(self, q: Tensor, target_q: Tensor, weight: Tensor | float) -> Tensor:
        """Return equation 5, summed over the critics."""
        return 0.5 * (weight * (q - target_q).square()).mean(1).sum()

    def actor_loss(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return equation 9, and the log_prob (b,) for the temperature's loss."""
        action, log_prob = self.policy.sample(observation, noise)
        q = self.critic(observation, action)
        q = actor_q(q, self.settings.target_critics)
        return (self.temperature().detach() * log_prob - q).mean(), log_prob

    def alpha_loss(self, log_prob: Tensor) -> Tensor:
        """Return equation 18."""
        return -self.temperature() * (log_prob.mean() + self.target_entropy)


class Temperature(nn.Module):
    """The temperature alpha, stored as its logarithm so that it stays positive."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))

    def forward(self) -> Tensor:
        """Return alpha, a scalar."""
        return self.log_alpha.exp()
