# SPDX-License-Identifier: Apache-2.0
"""The distribution of prioritised replay: against its formula, and against a library."""

import numpy as np
import pytest

from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning.replay import ReplayBuffer, Sampler
from rl_control.learning.replay.sampler import LEAST_ERROR

ROWS, ALPHA, BETA = 64, 0.6, 0.4
CHI_SQUARE = 103.4  # of 63 degrees of freedom, exceeded once in a thousand
ERRORS = np.random.default_rng(0).lognormal(0.0, 1.5, ROWS)
SHARE = (ERRORS + LEAST_ERROR) ** ALPHA / ((ERRORS + LEAST_ERROR) ** ALPHA).sum()


def _sampler(asked: list | None = None) -> Sampler:
    """Return a sampler of ROWS rows whose first priorities are all the same."""
    def td_error(batch):
        if asked is not None:
            asked.append(len(batch.reward))
        return np.ones(len(batch.reward))

    replay = ReplayBuffer(1, 1, ROWS, seed=1)
    for step in range(ROWS):
        replay.append('c', 0, step, [step], [0.0], 0.0, [step + 1], 1.0)
    settings = AlgorithmSettings(priority_exponent=ALPHA, importance_exponent=BETA)
    return Sampler(replay, settings, np.ones(1), td_error, None)


def _trained(sampler: Sampler) -> Sampler:
    """Return it after each row was learned from, with the errors of ERRORS."""
    seen = np.zeros(ROWS, bool)
    while not seen.all():
        rows = sampler.sample(32)[0].observation[:, 0].astype(int)
        sampler.update_priorities(ERRORS[rows])
        seen[rows] = True
    return sampler


def _drawn(sampler: Sampler, batch: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and weights (number * batch,) of as many draws."""
    rows, weights = [], []
    for _ in range(number):
        drawn, weight = sampler.sample(batch)  # which the next call overwrites
        rows.append(drawn.observation[:, 0].astype(int))
        weights.append(weight)
    return np.concatenate(rows), np.concatenate(weights)


def _statistic(counts: np.ndarray, share: np.ndarray) -> float:
    expected = counts.sum() * share
    return float(((counts - expected) ** 2 / expected).sum())


def test_single_draws_are_of_the_formula_s_distribution():
    """Chi-square: each row comes in proportion to (|error| + least)^alpha, one draw at a time."""
    rows, weight = _drawn(_trained(_sampler()), 1, 12_000)
    counts = np.bincount(rows, minlength=ROWS)
    assert _statistic(counts, SHARE) < CHI_SQUARE
    assert (weight == 1.0).all()
    # The test tells other exponents from this one.
    for exponent in (ALPHA - 0.1, ALPHA + 0.1):
        assert _statistic(counts, ERRORS**exponent / (ERRORS**exponent).sum()) > CHI_SQUARE


def test_batches_are_of_it_and_vary_less():
    rows, _ = _drawn(_trained(_sampler()), 64, 500)
    # One draw in each of 64 equal parts: no row comes less than its share, rounded down, less one.
    assert _statistic(np.bincount(rows, minlength=ROWS), SHARE) < 40.0  # 2 % of chi-squares are
    least = np.floor(64 * SHARE).astype(int) - 1
    for batch in rows.reshape(500, 64):
        assert (np.bincount(batch, minlength=ROWS) >= least).all()


def test_weights_are_those_of_the_formula():
    rows, weight = _drawn(_trained(_sampler()), 64, 20)
    for batch, given in zip(rows.reshape(20, 64), weight.reshape(20, 64), strict=True):
        expected = (ROWS * SHARE[batch]) ** -BETA
        np.testing.assert_allclose(given, expected / expected.max(), rtol=1e-6)


def test_what_came_in_is_asked_for_in_one_pass():
    asked = []
    sampler = _sampler(asked)
    sampler.sample(8)
    sampler.sample(8)
    assert asked == [ROWS]


def _of_cpprb():
    cpprb = pytest.importorskip('cpprb')
    buffer = cpprb.PrioritizedReplayBuffer(
        ROWS, {'row': {'dtype': np.int64}}, alpha=ALPHA, eps=LEAST_ERROR)
    for row in range(ROWS):
        buffer.add(row=row)
    buffer.update_priorities(np.arange(ROWS), ERRORS)
    for _ in range(500):
        drawn = buffer.sample(64, beta=BETA)
        yield drawn['row'].ravel(), drawn['weights']


def test_a_library_draws_the_same():
    """Two-sample chi-square, and weights that differ by a factor of the batch alone."""
    rows, _ = _drawn(_trained(_sampler()), 64, 500)
    mine, theirs = np.bincount(rows, minlength=ROWS), np.zeros(ROWS)
    known = dict(zip(rows, (ROWS * SHARE[rows]) ** -BETA, strict=True))
    for drawn, its in _of_cpprb():
        theirs += np.bincount(drawn, minlength=ROWS)
        ratio = its / [known.get(row, np.nan) for row in drawn]
        np.testing.assert_allclose(ratio[np.isfinite(ratio)], np.nanmax(ratio), rtol=1e-4)
    both = mine + theirs
    # Its generator takes no seed: exceeded once in a million.
    assert ((mine - theirs) ** 2 / both).sum() < 135.0
    assert _statistic(theirs, SHARE) < 135.0
