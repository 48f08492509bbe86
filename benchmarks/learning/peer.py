# SPDX-License-Identifier: Apache-2.0
"""Train the same cells with Stable-Baselines3."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3 import DDPG, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import (
    ActionNoise,
    NormalActionNoise,
    OrnsteinUhlenbeckActionNoise,
)

from benchmarks.learning.cells import Entry, Run
from benchmarks.learning.goals import GoalEnv, ReachFeatures, as_goal_observation
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning.algorithms import settings_of

# Settings that Stable-Baselines3 lacks: entries of both libraries keep their defaults.
ONLY_OURS = ('layer_norm', 'observation_normalisation', 'update_schedule', 'correction',
             'priority_exponent', 'n_step')
KINDS = {'sac': SAC, 'td3': TD3, 'ddpg': DDPG}


class Actor:
    """A deterministic Stable-Baselines3 model with the interface of OnnxPolicy."""

    def __init__(self, model: BaseAlgorithm, with_goals: bool) -> None:
        self._model = model
        self._with_goals = with_goals

    def act(self, observation: np.ndarray) -> tuple[np.ndarray, float]:
        """Return action (a,) for observation (o,)."""
        given = observation.astype(np.float32)
        if self._with_goals:
            given = as_goal_observation(given)
        return self._model.predict(given, deterministic=True)[0], float('nan')


class Interval(BaseCallback):
    """Calls `tell(step)` after each `interval` steps."""

    def __init__(self, interval: int, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._interval = interval
        self._tell = tell

    def _on_step(self) -> bool:
        if self.num_timesteps % self._interval == 0:
            self._tell(self.num_timesteps)
        return True


def train(run: Run, tell: Callable[[int, Actor], None]) -> None:
    """Train for the cell's steps; `tell(step, policy)` after each `interval` of them."""
    cell, entry = run.cell, run.entry
    world = gymnasium.make(cell.environment)
    with_goals = entry.settings.get('hindsight', 0.0) > 0.0
    if with_goals:
        world = GoalEnv(world)
    model = KINDS[entry.algorithm](
        'MultiInputPolicy' if with_goals else 'MlpPolicy', world, seed=run.seed, device='cpu',
        **_arguments(entry, world.action_space.shape[0]))
    actor = Actor(model, with_goals)
    model.learn(cell.steps, Interval(cell.interval, lambda step: tell(step, actor)))
    world.close()


def _arguments(entry: Entry, actions: int) -> dict[str, Any]:
    """Return our settings as arguments of Stable-Baselines3, which has one learning rate."""
    given = settings_of(entry.algorithm).from_mapping(entry.settings).to_mapping()
    for name in ONLY_OURS:
        assert given[name] == getattr(AlgorithmSettings, name), f'the peer has no {name}'
    rates = {value for name, value in given.items() if name.endswith('learning_rate')}
    assert len(rates) == 1, f'one learning rate for all, not {rates}'
    # One update every few steps, or several per step.
    pace = Fraction(given['updates_per_transition']).limit_denominator(100)
    kwargs: dict[str, Any] = {'net_arch': given['hidden_sizes']}
    arguments: dict[str, Any] = {
        'learning_rate': rates.pop(), 'buffer_size': given['replay_capacity'],
        'learning_starts': given['learning_starts'], 'batch_size': given['batch_size'],
        'tau': given['tau'], 'gamma': given['gamma'], 'train_freq': pace.denominator,
        'gradient_steps': pace.numerator, 'policy_kwargs': kwargs,
    }
    if entry.algorithm == 'sac':
        arguments['ent_coef'] = f'auto_{given["initial_alpha"]}'
        arguments['target_entropy'] = given['target_entropy'] * actions
    else:
        arguments['action_noise'] = _noise(
            given['exploration_scale'], given['exploration_correlation'], actions)
    if given['hindsight']:
        kwargs['features_extractor_class'] = ReachFeatures
        arguments['replay_buffer_class'] = HerReplayBuffer
        # A share h of relabelled rows is k = h / (1 - h) relabelled rows per original row.
        share = given['hindsight']
        arguments['replay_buffer_kwargs'] = {
            'n_sampled_goal': round(share / (1.0 - share)), 'goal_selection_strategy': 'future'}
    return arguments


def _noise(scale: float, kept: float, actions: int) -> ActionNoise:
    """Return noise of standard deviation `scale`, of which a step keeps the share `kept`."""
    mean = np.zeros(actions)
    if not kept:
        return NormalActionNoise(mean, np.full(actions, scale))
    sigma = np.full(actions, scale * np.sqrt(1.0 - kept * kept))
    return OrnsteinUhlenbeckActionNoise(mean, sigma, theta=1.0 - kept, dt=1.0)
