# SPDX-License-Identifier: Apache-2.0
"""Offline-to-online in the simplest environment: no dip, and faster than from scratch."""

import numpy as np
import pytest

from benchmarks.offline_online import Budget, after, back, curve, succeeds
from rl_control.bags.dataset import Dataset
from rl_control.common.types import Column, Contract, Outcome
from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.learning.algorithms import settings_of
from rl_control.offline.load_dataset import DATASET
from rl_control.offline.run import prepare
from rl_control.transport.transition_rows import TransitionRows, transition_columns

SETTINGS = {
    'gamma': 0.8, 'tau': 0.05, 'hidden_sizes': [32, 32], 'batch_size': 64,
    'actor_learning_rate': 2e-3, 'critic_learning_rate': 2e-3, 'exploration_scale': 0.3,
    'learning_starts': 100, 'updates_per_transition': 0.5, 'replay_capacity': 2000,
    'observation_normalisation': 'fixed',
}
EPISODE = 10


class Plane:
    """A point in [-1, 1]² m that steps of 0.2 m at most bring home; each costs its distance."""

    contract = Contract(
        'made_up', 'plane', (), (Column('x', 'm'), Column('y', 'm')),
        (Column('dx', 'm'), Column('dy', 'm')), (-0.2, -0.2), (0.2, 0.2), 'position', 0.1)

    def reset(self, rng):
        self._at, self._steps = rng.uniform(-1.0, 1.0, 2), 0
        return self._at.copy()

    def step(self, action):
        # What is asked for is turned by a quarter: at first every policy is wrong.
        self._at = np.clip(self._at + np.array([-action[1], action[0]]), -1.0, 1.0)
        self._steps += 1
        away = float(np.linalg.norm(self._at))
        return Outcome(self._at.copy(), -away, False, self._steps >= EPISODE, action.copy(),
                       0.1 * self._steps, away < 0.1, away)

    def close(self):
        pass


def made_by_chance(rows):
    """Return the dataset of steps drawn evenly."""
    world, rng, made = Plane(), np.random.default_rng(0), []
    columns = transition_columns(world.contract)
    for number in range(rows):
        if number % EPISODE == 0:
            before = world.reset(rng)
        action = rng.uniform(-0.2, 0.2, 2)
        outcome = world.step(action)
        made.append(np.r_[number // EPISODE, number % EPISODE, np.zeros(7), before, action, action,
                          outcome.observation])
        made[-1][columns.index('reward')] = outcome.reward
        made[-1][columns.index('truncated')] = outcome.truncated
        before = outcome.observation
    return Dataset(world.contract, TransitionRows.read(np.array(made), world.contract),
                   np.zeros(rows, np.int64), ('run',))


def test_no_dip_and_sooner_than_anew(tmp_path):
    made_by_chance(500).save(tmp_path / DATASET)
    assert prepare(
        OfflineSettings(data=str(tmp_path / DATASET), algorithm='td3_bc', updates=400,
                        out=str(tmp_path)),
        SETTINGS, SamplingSettings(),
    ).run(lambda *_: None, lambda: False)
    settings = settings_of('td3').from_mapping({**SETTINGS, 'gamma': 0.5})
    begun, scratch = (
        curve((Plane(), Plane()), 'td3', settings, place, Budget(steps, 100, 20))
        for place, steps in ((tmp_path, 500), (None, 900)))
    assert back(begun) == 0.0
    assert succeeds(begun) <= succeeds(scratch) / 2 < float('inf')


def test_what_the_curves_are_judged_by():
    rising = [(0, 0.5, -10.0), (500, 0.3, -12.0), (1000, 0.6, -11.0), (1500, 0.95, -9.0),
              (2000, 0.9, -9.0), (2500, 0.97, -8.0), (3000, 0.96, -7.0)]
    assert (back(rising), succeeds(rising)) == (1500.0, 2500.0)
    assert after(rising) == pytest.approx((2.83 / 3 - 0.5, 2.0))
    assert back([(0, 0.5, -10.0), (500, 0.6, -10.0)]) == 0.0
    assert back([(0, 0.5, -10.0), (500, 0.6, -10.1)]) == float('inf')
    assert succeeds(rising[:6]) == float('inf')
