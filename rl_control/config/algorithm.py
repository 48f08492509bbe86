# SPDX-License-Identifier: Apache-2.0
"""Settings of the algorithms: what they share, then what each adds."""

from dataclasses import dataclass

from rl_control.config.base import Settings, required, setting
from rl_control.errors import Refused


@dataclass(frozen=True)
class AlgorithmSettings(Settings):
    """What every off-policy algorithm here has: networks, replay, pace and targets."""

    gamma: float = setting(
        0.99, 'discount of one step', low=0.0, high=1.0)
    tau: float = setting(
        0.005, 'part of the way that a target network goes at each update', low=0.0, high=1.0)
    batch_size: int = setting(256, 'transitions of one update', low=1, high=65536)
    hidden_sizes: tuple[int, ...] = setting(
        (256, 256), 'widths of the hidden layers, actor and critic alike', low=1, high=8192)
    critic_learning_rate: float = setting(
        3e-4, 'step size of the critic, for Adam', low=0.0, high=1.0)
    replay_capacity: int = setting(
        1_000_000, 'transitions kept; the oldest goes first', low=1, high=100_000_000)
    learning_starts: int = setting(
        1_000, 'transitions collected before the first update', low=0, high=100_000_000)
    updates_per_transition: float = setting(
        1.0, 'updates made for each transition received', low=0.0, high=1000.0, live=True)
    observation_normalisation: str = setting(
        'none',
        'where mean and scale of the observations come from: nowhere, the data before the first '
        'update, or all data so far',
        choices=('none', 'fixed', 'running'))
    seed: int = setting(
        0, 'seed of the weights, of the replay and of the noise in updates',
        low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        required(self.hidden_sizes, 'algorithm.hidden_sizes')
        if self.replay_capacity < self.learning_starts:
            raise Refused(
                f'setting replay_capacity is {self.replay_capacity}, less than learning_starts '
                f'{self.learning_starts}; make it at least as large'
            )


@dataclass(frozen=True)
class SacSettings(AlgorithmSettings):
    """Soft actor-critic; the defaults are those of Haarnoja et al. 2018b, table 1."""

    actor_learning_rate: float = setting(
        3e-4, 'step size of the actor, for Adam', low=0.0, high=1.0)
    alpha_learning_rate: float = setting(
        3e-4, 'step size of the temperature, for Adam; 0 keeps initial_alpha',
        low=0.0, high=1.0)
    initial_alpha: float = setting(
        1.0, 'temperature before the first update', low=1e-6, high=100.0)
    target_entropy: float = setting(
        -1.0, 'entropy that the temperature aims at, per action column', unit='nat',
        low=-20.0, high=0.7)
