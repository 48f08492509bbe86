# SPDX-License-Identifier: Apache-2.0
"""Fitted Q evaluation against values known in closed form, and the distance from the data."""

import numpy as np
import pytest

from rl_control.common.statistics import student_95
from rl_control.offline.action_support import support
from rl_control.offline.fitted_q_evaluation import EvaluationData, FittedSettings, fit
from rl_control.offline.off_policy_evaluation import Estimate

GAMMA = 0.8


def evaluated(known: EvaluationData, **values):
    settings = {'gamma': GAMMA, 'updates': 1500, 'members': 5, 'seed': 0,
                'hidden_sizes': (32, 32), 'batch_size': 128}
    return fit(known, FittedSettings(**{**settings, **values}), lambda *_: None, lambda: False)


def regulated(gain: float, spread: float, rows: int = 4000) -> tuple[EvaluationData, float]:
    """
    Return data of s' = s + a / 2 with actions drawn widely, and what a = -gain s is worth.

    Its value is -s^2 (1 + gain^2 / 10) / (1 - gamma (1 - gain / 2)^2).
    """
    rng = np.random.default_rng(1)
    s, a = rng.uniform(-spread, spread, (2, 2 * rows))
    inside = np.abs(s + a / 2) <= spread  # nothing is asked for beyond the data
    s, a = s[inside][:rows], a[inside][:rows]
    there = s + a / 2
    start = np.tile(np.linspace(-1.0, 1.0, 100), rows // 1000)
    worth = (1.0 + gain**2 / 10) / (1.0 - GAMMA * (1.0 - gain / 2)**2)
    return EvaluationData(
        np.column_stack((s, a)), np.column_stack((there, -gain * there)), -(s**2 + a**2 / 10),
        np.ones(rows), np.arange(rows) // 10, np.column_stack((start, -gain * start)),
        np.arange(rows // 10)), -worth * float(np.square(start).mean())


def test_the_value_of_a_regulator():
    known, expected = regulated(0.8, 1.5)
    estimate = Estimate.of(evaluated(known, updates=2500).values)
    assert estimate.value == pytest.approx(expected, abs=0.1 * abs(expected))
    other, worse = regulated(0.1, 1.5)
    assert Estimate.of(evaluated(other).values).value < estimate.value - 0.5 * (expected - worse)


def chain(rows: int, seed: int = 0) -> EvaluationData:
    """
    Return walks of a chain of two states, as likely to stay as to go, rewarded in the second.

    A walk ends with probability 0.1 after each step, for good: the discount is then 0.
    """
    rng = np.random.default_rng(seed)
    state, there = rng.integers(0, 2, (2, rows))
    ends = rng.random(rows) < 0.1
    corner = np.eye(2)
    return EvaluationData(corner[state], corner[there], state.astype(float), 1.0 - ends,
                 np.arange(rows) // 10, corner[[0, 1]], np.arange(2))


def chain_value() -> float:
    """Return the mean of v = (I - 0.9 gamma P)^-1 r over both states."""
    v = np.linalg.solve(np.eye(2) - 0.9 * GAMMA * np.full((2, 2), 0.5), np.array([0.0, 1.0]))
    return float(v.mean())


def test_the_value_of_a_chain_with_ends_and_its_interval():
    fitted = evaluated(chain(3000), members=8)
    estimate = Estimate.of(fitted.values)
    # The starts are of two episodes, whose weights differ from member to member: compare means.
    assert estimate.value == pytest.approx(chain_value(), abs=0.25)
    assert estimate.low < chain_value() < estimate.high
    assert abs(fitted.drift) < 0.05 and fitted.at_limit == 0.0


def test_more_data_makes_a_narrower_interval_and_one_seed_the_same_draws():
    known = {rows: chain(rows) for rows in (100, 10_000)}
    for rows, data in known.items():  # as many starts as episodes, all in the first state
        number = rows // 10
        known[rows] = EvaluationData(*(getattr(data, name) for name in (
            'inputs', 'next_inputs', 'reward', 'discount', 'episode')),
            np.tile([1.0, 0.0], (number, 1)), np.arange(number))
    spreads = {rows: evaluated(data, updates=800).values.std() for rows, data in known.items()}
    assert spreads[10_000] < 0.5 * spreads[100]
    assert (evaluated(known[100], updates=200).values
            == evaluated(known[100], updates=200).values).all()


def test_it_ends_when_told():
    assert fit(chain(100), FittedSettings(GAMMA, 1000, 3, 0), lambda *_: None,
               lambda: True) is None


def test_students_quantile():
    for freedom, known in ((3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042)):
        assert student_95(freedom) == pytest.approx(known, rel=0.02)


@pytest.mark.parametrize(('push', 'far'), [(0.0, False), (0.9, True)])
def test_actions_far_from_the_data_are_found(push, far):
    """Behaviour a = s / 2 and noise; the policy does that too, or `push` more."""
    rng = np.random.default_rng(0)
    observation = rng.normal(size=(4000, 2))
    wanted = np.column_stack((observation[:, 0] / 2, np.zeros(4000)))
    action = wanted + rng.normal(0.0, 0.1, (4000, 2))
    found = support(observation, action, wanted + push, np.arange(4000) // 20, seed=0)
    assert (found.far > 0.9) == far and (found.far < 0.1) != far
    assert found.policy == pytest.approx(push, abs=0.25)
    assert found.limit > found.data > 0.01  # nothing is compared with its own episode


def test_of_two_minds_the_middle_is_far():
    rng = np.random.default_rng(0)
    action = rng.choice([-0.8, 0.8], (3000, 1)) + rng.normal(0.0, 0.05, (3000, 1))
    observation, episode = rng.normal(size=(3000, 2)), np.arange(3000) // 20
    assert support(observation, action, 0.0 * action, episode, 0).far == 1.0
    assert support(observation, action, 0.8 * np.ones((3000, 1)), episode, 0).far < 0.1


def test_one_episode_has_no_others_to_compare_with():
    rows = np.zeros((10, 2))
    assert support(rows, rows, rows, np.zeros(10, int), 0) is None
