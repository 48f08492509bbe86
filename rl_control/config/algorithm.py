# SPDX-License-Identifier: Apache-2.0
"""Algorithm settings: those that all algorithms share, then those that each adds."""

from dataclasses import dataclass
import math
from typing import ClassVar

from rl_control.common.errors import InvalidInput
from rl_control.config.base import Settings, defaults, required, setting

# Online Q-learning: learn from each transition once, alone, on arrival.
ONLINE_SETTINGS = {
    'replay_capacity': 1, 'batch_size': 1, 'learning_starts': 0, 'updates_per_transition': 1.0,
}


@dataclass(frozen=True)
class AlgorithmSettings(Settings):
    """Settings of every off-policy algorithm: networks, replay, pace and targets."""

    RENAMED = {'speed': ('update_schedule', {'replay': 'hard'})}  # noqa: RUF012
    HAS_LOG_PROB: ClassVar[bool] = False  # True where the policy has a density of its actions

    gamma: float = setting(
        0.99, 'discount of one step', low=0.0, high=1.0)
    tau: float = setting(
        0.005, 'Polyak coefficient: fraction by which a target network moves at each update',
        low=0.0, high=1.0)
    update_schedule: str = setting(
        'polyak',
        'schedule of targets, updates and collection: polyak, targets follow by tau; hard, '
        'targets are copied each target_period; fitted, as hard, and the transitions of the next '
        'target_period updates are collected before the first of them; online, each transition '
        'is learned from once, on arrival',
        choices=('online', 'hard', 'polyak', 'fitted'))
    target_period: int = setting(
        1000, 'updates between two copies to the targets, where update_schedule is hard or fitted',
        low=1, high=10_000_000)
    batch_size: int = setting(256, 'transitions of one update', low=1, high=65536)
    hidden_sizes: tuple[int, ...] = setting(
        (256, 256), 'widths of the hidden layers, actor and critic alike', low=1, high=8192)
    critic_learning_rate: float = setting(
        3e-4, 'step size of the critic, for Adam', low=0.0, high=1.0)
    layer_norm: bool = setting(
        False, 'layer normalisation in the hidden layers of the critics')
    replay_capacity: int = setting(
        1_000_000, 'transitions kept; the oldest is overwritten first', low=1, high=100_000_000)
    learning_starts: int = setting(
        1_000, 'transitions collected before the first update', low=0, high=100_000_000)
    updates_per_transition: float = setting(
        1.0, 'updates made for each transition received', low=0.0, high=1000.0)
    observation_normalisation: str = setting(
        'none',
        'source of mean and scale of the observations: none, fixed (the data before the first '
        'update) or running (all data so far)',
        choices=('none', 'fixed', 'running'))
    n_step: int = setting(
        1, 'rewards summed before the bootstrap value (n-step returns)', low=1, high=1000)
    correction: str = setting(
        'ignore',
        'off-policy correction of n-step returns: ignore; cut, the return ends before an action '
        'that differs from the current one by more than trace_tolerance; retrace, later rewards '
        'are weighted by truncated importance ratios (sac alone)',
        choices=('ignore', 'cut', 'retrace'))
    trace_tolerance: float = setting(
        0.3, 'largest difference of a stored action from the current one that does not cut the '
        'trace, in half action ranges', low=0.0, high=2.0)
    trace_decay: float = setting(
        1.0, 'lambda of retrace: largest weight of the trace at each step',
        low=0.0, high=1.0)
    priority_exponent: float = setting(
        0.0, 'exponent of the TD error in prioritized replay; 0 draws uniformly',
        low=0.0, high=1.0)
    importance_exponent: float = setting(
        0.4, 'exponent of the importance weights of prioritized replay; 1 corrects the whole bias',
        low=0.0, high=1.0)
    hindsight: float = setting(
        0.0, 'share of the rows of a batch that HER relabels with goals achieved later',
        low=0.0, high=1.0)
    compiled: str = setting(
        'auto',
        'compile the updates in the background, once a machine: auto, where there is a C++ '
        'compiler; or never', choices=('auto', 'never'))
    seed: int = setting(
        0, 'seed of the weights, of the replay and of the noise in updates',
        low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        if self.update_schedule == 'online':
            for name, value in ONLINE_SETTINGS.items():
                object.__setattr__(self, name, value)
        super().__post_init__()
        required(self.hidden_sizes, 'algorithm.hidden_sizes')
        if self.update_schedule == 'online' and (self.n_step > 1 or self.priority_exponent > 0.0):
            raise InvalidInput(
                'update_schedule is online, which keeps one transition; set n_step to 1 and '
                'priority_exponent to 0, or another update_schedule')
        if self.correction == 'retrace' and not self.HAS_LOG_PROB:
            raise InvalidInput(
                'setting correction is retrace, which needs the log density of each action, and '
                'sac alone has one; set it to ignore or cut')
        if self.replay_capacity < self.learning_starts:
            raise InvalidInput(
                f'setting replay_capacity is {self.replay_capacity}, less than learning_starts '
                f'{self.learning_starts}; make it at least as large'
            )

    @property
    def sweep(self) -> int:
        """Return how many updates are made before the next ones wait for more transitions."""
        return self.target_period if self.update_schedule == 'fitted' else 1

    def updates_due(self, transitions: int) -> float:
        """
        Return how many updates so many transitions beyond `learning_starts` pay for in all.

        Where `update_schedule` is fitted, whole sweeps alone: each ends with the targets' copy.
        """
        updates = transitions * self.updates_per_transition
        return updates // self.sweep * self.sweep if self.sweep > 1 else updates

    def transitions_paid(self, updates: int) -> int:
        """Return how many transitions beyond `learning_starts` so many updates take."""
        return math.ceil(updates / max(self.updates_per_transition, 1e-9))


@dataclass(frozen=True)
class ExploringSettings(AlgorithmSettings):
    """Settings of algorithms with a deterministic policy: exploration noise."""

    exploration_scale: float = setting(
        0.1, 'standard deviation of the exploration noise, in half action ranges',
        low=0.0, high=10.0)
    exploration_correlation: float = setting(
        0.0,
        'part of the exploration noise kept from one step to the next: 0 is Gaussian noise, a '
        'larger value an Ornstein-Uhlenbeck process of the same standard deviation',
        low=0.0, high=0.999)


@dataclass(frozen=True)
class EnsembleSettings(AlgorithmSettings):
    """Settings of algorithms whose target is the minimum of several critics."""

    critics: int = setting(2, 'number of critics', low=1, high=100)
    target_critics: int = setting(
        2, 'critics of which the target takes the minimum; a random subset where there are more',
        low=1, high=100)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target_critics > self.critics:
            raise InvalidInput(
                f'setting target_critics is {self.target_critics}, more than critics '
                f'{self.critics}; make it at most as large'
            )


@dataclass(frozen=True)
@defaults(batch_size=100, hidden_sizes=(400, 300), critic_learning_rate=1e-3)
class DdpgSettings(ExploringSettings):
    """
    Deep deterministic policy gradient; the defaults are those of Fujimoto et al. 2018 for DDPG.

    Those of Lillicrap et al. 2016, section 7: tau 0.001, batch_size 64, actor_learning_rate 1e-4,
    exploration_scale 0.38 and exploration_correlation 0.85. The latter two are their
    Ornstein-Uhlenbeck process, theta 0.15 and sigma 0.2, which keeps 1 - theta of itself and has
    the standard deviation sigma / sqrt(1 - (1 - theta)^2).
    """

    actor_learning_rate: float = setting(
        1e-3, 'step size of the actor, for Adam', low=0.0, high=1.0)


@dataclass(frozen=True)
@defaults(batch_size=100, hidden_sizes=(400, 300), critic_learning_rate=1e-3)
class Td3Settings(EnsembleSettings, ExploringSettings):
    """Twin delayed DDPG; the defaults are those of Fujimoto et al. 2018, section 6.1."""

    actor_learning_rate: float = setting(
        1e-3, 'step size of the actor, for Adam', low=0.0, high=1.0)
    policy_delay: int = setting(
        2, 'critic updates for each update of actor and targets', low=1, high=1000)
    smoothing_scale: float = setting(
        0.2, 'standard deviation of the noise on the target action, in half action ranges',
        low=0.0, high=10.0)
    smoothing_limit: float = setting(
        0.5, 'largest noise on the target action, in half action ranges', low=0.0, high=10.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.update_schedule in ('hard', 'fitted') and self.target_period % self.policy_delay:
            raise InvalidInput(
                f'setting target_period is {self.target_period}, no multiple of policy_delay '
                f'{self.policy_delay}, at which targets change; make it one')


@dataclass(frozen=True)
@defaults(hidden_sizes=(200, 200), critic_learning_rate=5e-4, exploration_scale=0.38,
          exploration_correlation=0.85)
class NafSettings(ExploringSettings):
    """
    Normalized advantage functions, Gu et al. 2016.

    The paper tunes step size and noise for each environment; here the noise is the process of
    Lillicrap et al. 2016, and step size, tau and batch_size are tuned on Pendulum-v1.
    """


@dataclass(frozen=True)
@defaults(batch_size=64, hidden_sizes=(128, 128), critic_learning_rate=1e-3, critics=1,
          target_critics=1)
class QtOptSettings(EnsembleSettings, ExploringSettings):
    """
    QT-Opt; targets and cross-entropy method as in Kalashnikov et al. 2018, section 4.

    Their gamma 0.9, tau 0.0001 and lag 6000 are for short grasps and millions of updates; the
    defaults are for some 10,000.
    """

    lag: int = setting(
        100, 'updates between two copies of the averaged network to the lagged one',
        low=1, high=10_000_000)
    cem_samples: int = setting(
        64, 'actions sampled in one iteration of the cross-entropy method', low=2, high=4096)
    cem_elites: int = setting(
        6, 'best actions, to which the next sampling distribution is fitted', low=2, high=4096)
    cem_iterations: int = setting(
        2, 'iterations of the cross-entropy method', low=1, high=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cem_elites > self.cem_samples:
            raise InvalidInput(
                f'setting cem_elites is {self.cem_elites}, more than cem_samples '
                f'{self.cem_samples}; make it at most as large'
            )


@dataclass(frozen=True)
class SacSettings(EnsembleSettings):
    """Soft actor-critic; the defaults are those of Haarnoja et al. 2018b, table 1."""

    HAS_LOG_PROB = True

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
