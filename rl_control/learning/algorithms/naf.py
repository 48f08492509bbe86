# SPDX-License-Identifier: Apache-2.0
"""
Normalized advantage functions (NAF, Gu et al. 2016): a q whose maximum has a closed form.

Gu et al. 2016, 'Continuous Deep Q-Learning with Model-based Acceleration', arXiv:1603.00748,
section 4 and algorithm 1, without the model.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from rl_control.common.types import Contract
from rl_control.config.algorithm import NafSettings
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.networks import DeterministicPolicy
from rl_control.learning.algorithms.optimiser import Adam, Weights
from rl_control.learning.replay import Batch

SATURATION_START = 1.5  # |mu| before its tanh from which the penalty grows
SATURATION_WEIGHT = 0.1  # of the penalty, as a share of the critic loss


class Naf(Agent):
    """One network for V, mu and P; mu is the policy, and the target needs V only."""

    settings: NafSettings

    def __init__(self, contract: Contract, settings: NafSettings) -> None:
        super().__init__(contract, settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.policy = DeterministicPolicy(
                contract, settings.hidden_sizes, settings.observation_normalisation,
                settings.exploration_scale, settings.exploration_correlation,
                settings.layer_norm)
            self.critic = QuadraticCritic(self.policy.actor)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)

        self.critic_weights = Weights(self.critic.parameters())
        self.target_weights = Weights(self.target_critic.parameters())
        self.critic_optimiser = Adam(self.critic_weights, settings.critic_learning_rate)
        self.networks = {
            'policy': self.policy, 'critic': self.critic, 'target_critic': self.target_critic,
        }
        self.optimisers = {'critic': self.critic_optimiser}

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Update the network and its target once."""
        observation, action, reward, next_observation, discount = self._normalised(batch)

        with torch.no_grad():
            target_q = self.target_q(reward, discount, next_observation)
        q, pre_tanh = self.critic.q_and_pre_tanh(observation, action)
        critic_loss = self.critic_loss(q, target_q, self._weight(weight))
        self.error = (q.detach() - target_q).abs()
        penalty = critic_loss.detach() * self.saturation_penalty(pre_tanh)
        self.critic_optimiser.step(critic_loss + penalty)

        self.updates += 1
        self._update_target(self.target_weights, self.critic_weights)
        return {'critic_loss': critic_loss.detach(), 'target_q': target_q.mean()}

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,)."""
        observation, action, reward, next_observation, discount = self._normalised(batch)
        target_q = self.target_q(reward, discount, next_observation)
        return (self.critic(observation, action) - target_q).abs()

    def target_q(self, reward: Tensor, discount: Tensor, next_observation: Tensor) -> Tensor:
        """Return target_q (b,): y of algorithm 1; V is the largest next_q by construction."""
        next_q = self.target_critic.value(next_observation)
        target_q = reward + self.settings.gamma * discount * next_q
        return target_q

    def critic_loss(self, q: Tensor, target_q: Tensor, weight: Tensor | float) -> Tensor:
        """Return the mean squared error of algorithm 1."""
        return (weight * (q - target_q).square()).mean()

    def saturation_penalty(self, pre_tanh: Tensor) -> Tensor:
        """
        Return a penalty on mu before its tanh (b, a), which keeps the tanh from saturating.

        While V is still wrong, the loss lowers q by moving mu away from the batch's actions, until
        the tanh has no gradient left. The penalty is a factor of the critic loss, hence unitless.
        """
        excess = (pre_tanh.abs() - SATURATION_START).clamp_min(0.0)
        return SATURATION_WEIGHT * excess.square().mean()


class QuadraticCritic(nn.Module):
    """
    q(s, a) = V(s) - (a - mu(s))' P(s) (a - mu(s)) / 2, section 4, in normalised actions.

    P = L L' with L lower triangular and its diagonal an exponential, hence P positive definite.
    V, mu and L share all hidden layers; `actor` is the policy's network, whose output is mu.
    """

    def __init__(self, actor: nn.Sequential) -> None:
        super().__init__()
        self.hidden, self.mean = actor[:-2], actor[-2:]
        width, action_size = actor[-2].in_features, actor[-2].out_features
        rows, columns = torch.tril_indices(action_size, action_size)
        self.value_head = nn.Linear(width, 1)
        self.triangle_head = nn.Linear(width, len(rows))
        self.register_buffer('diagonal', rows == columns, persistent=False)
        # One-hot position of each entry in L: a product with it is faster than assigning entries
        # by index, and so is its gradient.
        positions = torch.zeros(len(rows), action_size, action_size)
        positions[torch.arange(len(rows)), rows, columns] = 1.0
        self.register_buffer('positions', positions.flatten(1), persistent=False)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return q (b,) of normalised observation (b, o) and action (b, a)."""
        return self.q_and_pre_tanh(observation, action)[0]

    def q_and_pre_tanh(self, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return q (b,) as `forward` does, and mu (b, a) before its tanh."""
        value, pre_tanh, entries = self._heads(self.hidden(observation))
        difference = action - self.mean[1](pre_tanh)
        # advantage = -(a - mu)' L L' (a - mu) / 2, a square of L' (a - mu)
        product = (self._triangle(entries) * difference.unsqueeze(-1)).sum(1)
        advantage = -0.5 * product.square().sum(-1)
        return value.squeeze(-1) + advantage, pre_tanh

    def value(self, observation: Tensor) -> Tensor:
        """Return V (b,), the largest q."""
        return self.value_head(self.hidden(observation)).squeeze(-1)

    def precision(self, observation: Tensor) -> Tensor:
        """Return P (b, a, a)."""
        triangle = self._triangle(self._heads(self.hidden(observation))[2])
        return triangle @ triangle.mT

    def _heads(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Return V (b, 1), mu before its tanh (b, a) and entries of L (b, e), by one product."""
        heads = self.value_head, self.mean[0], self.triangle_head
        outputs = nn.functional.linear(
            hidden, torch.cat([head.weight for head in heads]),
            torch.cat([head.bias for head in heads]))
        return outputs.split([head.out_features for head in heads], 1)

    def _triangle(self, entries: Tensor) -> Tensor:
        """Return L (b, a, a); `entries` (b, e) hold the logarithms of its diagonal."""
        # Off the diagonal this is exp(0), so that no gradient overflows.
        exponential = torch.where(self.diagonal, entries, 0.0).exp()
        lower = torch.where(self.diagonal, exponential, entries) @ self.positions
        return lower.unflatten(1, (self.mean[0].out_features, -1))
