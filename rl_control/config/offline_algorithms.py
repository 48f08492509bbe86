# SPDX-License-Identifier: Apache-2.0
"""Offline algorithm settings: TD3+BC, IQL and behaviour cloning."""

from dataclasses import dataclass

from rl_control.config.algorithm import EnsembleSettings, ExploringSettings, Td3Settings
from rl_control.config.base import defaults, setting


@dataclass(frozen=True)
@defaults(batch_size=256, hidden_sizes=(256, 256), critic_learning_rate=3e-4,
          actor_learning_rate=3e-4, observation_normalisation='fixed')
class Td3BcSettings(Td3Settings):
    """TD3+BC; the defaults are those of Fujimoto & Gu 2021, table 3."""

    value_weight: float = setting(
        2.5, 'weight of q against the behaviour-cloning term: alpha of the paper',
        low=0.0, high=1e6)


@dataclass(frozen=True)
class IqlSettings(EnsembleSettings):
    """Implicit Q-learning; the defaults of Kostrikov et al. 2022, for MuJoCo, rewards scaled."""

    actor_learning_rate: float = setting(
        3e-4, 'step size of the actor, for Adam', low=0.0, high=1.0)
    value_learning_rate: float = setting(
        3e-4, 'step size of the state value, for Adam', low=0.0, high=1.0)
    expectile: float = setting(
        0.7, 'expectile of q over the actions of the data that the state value estimates: 0.5 '
        'is the mean, 1 the maximum', low=0.5, high=0.999)
    inverse_temperature: float = setting(
        3.0, 'weight of the advantage in the policy: beta of the paper; 0 is behaviour cloning',
        low=0.0, high=1e4)
    weight_limit: float = setting(
        100.0, 'largest weight of one action in the policy', low=1.0, high=1e6)


@dataclass(frozen=True)
class BcSettings(ExploringSettings):
    """Behaviour cloning; it has no critic, so settings of critics have no effect."""

    actor_learning_rate: float = setting(
        3e-4, 'step size of the actor, for Adam', low=0.0, high=1.0)
