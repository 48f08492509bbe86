# SPDX-License-Identifier: Apache-2.0
"""Cells of the comparison: environments, budgets, and the settings of both libraries."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
import hashlib
import json
from typing import Any

import gymnasium

from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.learning.algorithms import settings_of, values_of

OURS, PEER = 'rl_control', 'stable_baselines3'
ARM = 'rl_control.environments.registration:ArmEnv'
# Registered under these names also where rl_control is not installed.
VARIANTS = {'rl_control/Reach-v0': {}, 'rl_control/SparseReach-v0': {'sparse': True}}
for name, values in VARIANTS.items():
    if name not in gymnasium.registry:
        gymnasium.register(id=name, entry_point=ARM, kwargs=values)


@dataclass(frozen=True)
class Entry:
    """
    An `algorithm` with its `settings`.

    With `peer` Stable-Baselines3 runs it too.
    """

    algorithm: str
    settings: Mapping[str, Any]
    peer: bool = False


@dataclass(frozen=True)
class Cell:
    """
    An environment with a budget of `steps`.

    Evaluated by `episodes` each `interval` steps and by `final_episodes` at the end; `score` is
    the criterion, `return` or `success`.
    """

    name: str
    title: str
    environment: str
    steps: int
    interval: int
    episodes: int
    final_episodes: int
    seeds: int
    score: str
    entries: Mapping[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One training, identified by all of its fields except the cell's title."""

    cell: Cell
    who: str
    label: str
    seed: int

    @property
    def entry(self) -> Entry:
        """Return the algorithm and its settings."""
        return self.cell.entries[self.label]

    @property
    def name(self) -> str:
        """Return a name for display."""
        return f'{self.cell.name} {self.who} {self.label} seed {self.seed}'

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """Return the key of the result, with a digest of all settings."""
        cell = self.cell
        given = [cell.environment, cell.steps, cell.interval, cell.episodes, cell.final_episodes,
                 self.entry.algorithm, dict(self.entry.settings)]
        digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:12]
        return cell.name, self.who, self.label, self.seed, digest


def with_settings(cell: Cell, values: Mapping[str, Any]) -> Cell:
    """Return the cell with `values` over the settings of every entry."""
    return replace(cell, entries={
        label: replace(entry, settings={**entry.settings, **values})
        for label, entry in cell.entries.items()})


def _shipped(algorithm: str, **values: Any) -> dict[str, Any]:
    """Return the shipped settings for reach, updated with `values`."""
    return values_of(
        algorithm, read_parameter_file(parameter_file('tasks', 'reach'), 'algorithm')) | values


def _default(algorithm: str) -> dict[str, Any]:
    """Return the default settings of the algorithm."""
    return {name: value for name, value in settings_of(algorithm)().to_mapping().items()
            if name != 'seed'}


PENDULUM = {
    'gamma': 0.98, 'tau': 0.005, 'batch_size': 128, 'hidden_sizes': [64, 64],
    'critic_learning_rate': 1e-3, 'learning_starts': 1000, 'updates_per_transition': 1.0,
    'replay_capacity': 20_000,
}
ACTOR = {'actor_learning_rate': 1e-3}
ENTROPY = {'alpha_learning_rate': 1e-3, 'initial_alpha': 1.0}
# The peer has no normalisation in its networks; a smaller batch compensates for more updates.
SAME = {'observation_normalisation': 'none', 'updates_per_transition': 1.0, 'batch_size': 128}
GAUSSIAN = {'exploration_scale': 0.1, 'exploration_correlation': 0.0}
# Relabelled as in Andrychowicz et al. 2017: four rows for one.
SPARSE = {'hindsight': 0.8, 'gamma': 0.95, 'updates_per_transition': 0.5}
# Near those of RL Baselines3 Zoo for this environment, with smaller networks, a batch of 128, and
# without gSDE.
CHEETAH = {
    'gamma': 0.98, 'tau': 0.02, 'batch_size': 128, 'hidden_sizes': [256, 256],
    'critic_learning_rate': 7.3e-4, 'actor_learning_rate': 7.3e-4, 'learning_starts': 10_000,
    'updates_per_transition': 1.0, 'replay_capacity': 100_000,
}

CELLS = {cell.name: cell for cell in (
    Cell('pendulum', 'Pendulum-v1', 'Pendulum-v1', 20_000, 1000, 10, 50, 5, 'return', {
        'sac': Entry('sac', {**PENDULUM, **ACTOR, **ENTROPY}, peer=True),
        'td3': Entry('td3', {**PENDULUM, **ACTOR, **GAUSSIAN}, peer=True),
        'ddpg': Entry('ddpg', {**PENDULUM, **ACTOR, **GAUSSIAN}, peer=True),
        'naf': Entry('naf', {**PENDULUM, **GAUSSIAN, 'exploration_scale': 0.3}),
        'qt_opt': Entry('qt_opt', {
            **PENDULUM, **GAUSSIAN, 'exploration_scale': 0.2, 'lag': 100, 'batch_size': 64,
            'updates_per_transition': 0.5}),
    }),
    # As `rl-control launch train_sim robot:=gymnasium:Pendulum-v1 algorithm:=NAME` has it.
    Cell('pendulum_default', 'Pendulum-v1, no further argument', 'Pendulum-v1', 10_000, 1000, 10,
         50, 3, 'return', {
             name: Entry(name, _default(name)) for name in ('sac', 'td3', 'ddpg', 'naf')}),
    Cell('pendulum_default_qt_opt', 'Pendulum-v1, no further argument', 'Pendulum-v1', 20_000,
         2000, 10, 50, 3, 'return', {'qt_opt': Entry('qt_opt', _default('qt_opt'))}),
    # A third of the steps, and several updates for each of them.
    Cell('pendulum_third', 'Pendulum-v1, a third of the steps', 'Pendulum-v1', 6_600, 600, 10, 50,
         5, 'return', {
             'sac, 1 update': Entry('sac', {**PENDULUM, **ACTOR, **ENTROPY}),
             'sac, 4 updates': Entry('sac', {
                 **PENDULUM, **ACTOR, **ENTROPY, 'updates_per_transition': 4.0}),
         }),
    Cell('reach', 'rl_control/Reach-v0, iiwa', 'rl_control/Reach-v0', 20_000, 2000, 10, 100, 5,
         'success', {
             'sac': Entry('sac', _shipped('sac', **SAME), peer=True),
             'td3': Entry('td3', _shipped('td3', **SAME), peer=True),
             'ddpg': Entry('ddpg', _shipped('ddpg', **SAME), peer=True),
             'naf': Entry('naf', _shipped('naf')),
             'qt_opt': Entry('qt_opt', _shipped('qt_opt')),
         }),
    Cell('reach_third', 'rl_control/Reach-v0, iiwa, a third of the steps', 'rl_control/Reach-v0',
         6_600, 660, 10, 100, 5, 'success', {
             'sac, 1 update': Entry('sac', _shipped('sac', **SAME)),
             'sac, 6 updates': Entry('sac', _shipped(
                 'sac', **{**SAME, 'updates_per_transition': 6.0, 'layer_norm': True})),
             # As in Chen et al. 2021 (REDQ): more critics bear more updates.
             'sac, 10 critics, 4 updates': Entry('sac', _shipped(
                 'sac', **{**SAME, 'updates_per_transition': 4.0, 'critics': 10})),
         }),
    Cell('reach_sparse', 'rl_control/Reach-v0, sparse, hindsight', 'rl_control/SparseReach-v0',
         30_000, 3000, 10, 100, 5, 'success', {
             'sac': Entry('sac', _shipped('sac', **{**SAME, **SPARSE}), peer=True),
             'td3': Entry('td3', _shipped('td3', **{**SAME, **SPARSE}), peer=True),
             'qt_opt': Entry('qt_opt', _shipped('qt_opt', **SPARSE)),
         }),
    Cell('half_cheetah', 'HalfCheetahBulletEnv-v0',
         'pybullet_envs_gymnasium:HalfCheetahBulletEnv-v0', 100_000, 5000, 5, 20, 3, 'return', {
             'sac': Entry('sac', {**CHEETAH, 'alpha_learning_rate': 7.3e-4}, peer=True),
             'td3': Entry('td3', {**CHEETAH, **GAUSSIAN, 'tau': 0.005}, peer=True),
         }),
)}
