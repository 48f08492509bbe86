# SPDX-License-Identifier: Apache-2.0
"""
Normalized advantage functions: Q-learning whose maximum over actions is known in closed form.

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

SLOPING, PRESSURE = 1.5, 0.1  # of mu in front of tanh, and of the loss for each unit beyond


class Naf(Agent):
    """One network for V, mu and P, whose mu is the policy; the target needs V alone."""

    settings: NafSettings

    def __init__(self, contract: Contract, settings: NafSettings) -> None:
        super().__init__(contract, settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.policy = DeterministicPolicy(
                contract, settings.hidden_sizes, settings.observation_normalisation,
                settings.exploration_scale, settings.exploration_correlation,
                settings.layer_norm)
            self.critic = Quadratic(self.policy.actor)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)

        self.critic_weights = Weights(self.critic.parameters())
        self.target_weights = Weights(self.target_critic.parameters())
        self.critic_optimiser = Adam(self.critic_weights, settings.critic_learning_rate)
        self.networks = {
            'policy': self.policy, 'critic': self.critic, 'target_critic': self.target_critic,
        }
        self.optimisers = {'critic': self.critic_optimiser}

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Make one step of the network and its target."""
        observation, action, reward, next_observation, discount = self._prepared(batch)

        with torch.no_grad():
            target_q = self.target_q(reward, discount, next_observation)
        q, before = self.critic.with_before(observation, action)
        critic_loss = self.critic_loss(q, target_q, self._weight(weight))
        self.error = (q.detach() - target_q).abs()
        self.critic_optimiser.step(critic_loss + critic_loss.detach() * self.pressure(before))

        self.updates += 1
        self._follow(self.target_weights, self.critic_weights)
        return {'critic_loss': critic_loss.detach(), 'target_q': target_q.mean()}

    @torch.no_grad()
    def td_error(self, batch: Batch) -> Tensor:
        """Return |q - target_q| (b,), see Agent."""
        observation, action, reward, next_observation, discount = self._prepared(batch)
        target_q = self.target_q(reward, discount, next_observation)
        return (self.critic(observation, action) - target_q).abs()

    def target_q(self, reward: Tensor, discount: Tensor, next_observation: Tensor) -> Tensor:
        """Return target_q (b,): y of algorithm 1; the largest next_q is V by construction."""
        next_q = self.target_critic.value(next_observation)
        target_q = reward + self.settings.gamma * discount * next_q
        return target_q

    def critic_loss(self, q: Tensor, target_q: Tensor, weight: Tensor | float) -> Tensor:
        """Return the mean squared error of algorithm 1."""
        return (weight * (q - target_q).square()).mean()

    def pressure(self, before: Tensor) -> Tensor:
        """
        Return what keeps mu where its tanh has a slope, for mu in front of that, (b, a).

        While V is still far off, q is brought down by moving mu away from what was done, and P
        down, until neither has a gradient left. Measured in the loss, so that it has no unit.
        """
        return PRESSURE * (before.abs() - SLOPING).clamp_min(0.0).square().mean()


class Quadratic(nn.Module):
    """
    q(s, a) = V(s) - (a - mu(s))' P(s) (a - mu(s)) / 2, section 4, in normalised actions.

    P = L L' with L lower triangular and its diagonal an exponential, hence P positive definite.
    V, mu and L share all layers but the last; `actor` is that of the policy: what leads to mu.
    """

    def __init__(self, actor: nn.Sequential) -> None:
        super().__init__()
        self.hidden, self.mean = actor[:-2], actor[-2:]
        width, action_size = actor[-2].in_features, actor[-2].out_features
        rows, columns = torch.tril_indices(action_size, action_size)
        self.value_head = nn.Linear(width, 1)
        self.triangle_head = nn.Linear(width, len(rows))
        self.register_buffer('diagonal', rows == columns, persistent=False)
        # Where each entry stands in L: a product with this is quicker, and its gradient more so,
        # than to put them there by index.
        places = torch.zeros(len(rows), action_size, action_size)
        places[torch.arange(len(rows)), rows, columns] = 1.0
        self.register_buffer('places', places.flatten(1), persistent=False)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return q (b,) of normalised observation (b, o) and action (b, a)."""
        return self.with_before(observation, action)[0]

    def with_before(self, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return q (b,) as `forward` does, and mu (b, a) in front of its tanh."""
        value, before, entries = self._heads(self.hidden(observation))
        away = action - self.mean[1](before)
        # (a - mu)' L L' (a - mu) is the square of L' (a - mu).
        stretched = (self._triangle(entries) * away.unsqueeze(-1)).sum(1)
        return value.squeeze(-1) - 0.5 * stretched.square().sum(-1), before

    def value(self, observation: Tensor) -> Tensor:
        """Return V (b,), the largest q."""
        return self.value_head(self.hidden(observation)).squeeze(-1)

    def precision(self, observation: Tensor) -> Tensor:
        """Return P (b, a, a)."""
        triangle = self._triangle(self._heads(self.hidden(observation))[2])
        return triangle @ triangle.mT

    def _heads(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Return V (b, 1), mu before its tanh (b, a), entries of L (b, e), by one product."""
        heads = self.value_head, self.mean[0], self.triangle_head
        whole = nn.functional.linear(
            hidden, torch.cat([head.weight for head in heads]),
            torch.cat([head.bias for head in heads]))
        return whole.split([head.out_features for head in heads], 1)

    def _triangle(self, entries: Tensor) -> Tensor:
        """Return L (b, a, a), of which `entries` gives the diagonal as its logarithm."""
        # Elsewhere it is the exponential of 0, whose gradient is finite.
        exponential = torch.where(self.diagonal, entries, 0.0).exp()
        lower = torch.where(self.diagonal, exponential, entries) @ self.places
        return lower.unflatten(1, (self.mean[0].out_features, -1))
