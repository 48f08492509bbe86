# SPDX-License-Identifier: Apache-2.0
"""
TD3+BC (Fujimoto & Gu 2021): TD3 with a behaviour-cloning term in the actor's loss.

Fujimoto & Gu 2021, 'A Minimalist Approach to Offline Reinforcement Learning', arXiv:2106.06860.
Equation numbers below are that paper's. All else is TD3, see `td3.py`.
"""

from torch import Tensor

from rl_control.config.offline_algorithms import Td3BcSettings
from rl_control.learning.algorithms.td3 import Td3


class Td3Bc(Td3):
    """TD3 whose actor is regularised towards the actions of the data."""

    settings: Td3BcSettings

    def actor_loss(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return the loss whose gradient is equation 3, with lambda of equation 5."""
        actor_action = self.policy.actor(observation)
        q = self.critic(observation, actor_action, number=1)[0]
        # As in the authors' code, lambda takes q at the actor's actions, not at the data's.
        scale = self.settings.value_weight / q.detach().abs().mean().clamp_min(1e-8)
        return (actor_action - action).square().mean() - scale * q.mean()
