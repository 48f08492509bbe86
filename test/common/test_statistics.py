# SPDX-License-Identifier: Apache-2.0
"""Wilson interval against published numbers and its defining equation; quantiles."""

import math

import pytest

from rl_control.common.statistics import NORMAL_95, quantile, wilson_interval


# The first five: Newcombe 1998, "Two-sided confidence intervals for the single proportion",
# Statistics in Medicine 17, table I, method 3.
@pytest.mark.parametrize(('successes', 'episodes', 'low', 'high'), [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
    (29, 29, 0.8830, 1.0000),
    (48, 50, 0.8654, 0.9890),
    (5, 10, 0.2366, 0.7634),
])
def test_published_intervals(successes: int, episodes: int, low: float, high: float) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize('episodes', [1, 7, 50, 1000])
def test_the_ends_are_where_the_score_test_just_rejects(episodes: int) -> None:
    for successes in {0, 1, episodes // 2, episodes - 1, episodes}:
        rate = successes / episodes
        for end in wilson_interval(successes, episodes):
            score = (rate - end) ** 2
            assert score == pytest.approx(NORMAL_95**2 * end * (1 - end) / episodes, abs=1e-12)
            assert 0.0 <= end <= 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_the_constant() -> None:
    assert math.erf(NORMAL_95 / math.sqrt(2.0)) == pytest.approx(0.95, abs=1e-15)


def test_quantiles() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [quantile(values, share) for share in (0.0, 0.2, 0.21, 0.5, 0.8, 0.99, 1.0)] == [
        1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0]
    assert values[0] == 5.0
    assert math.isnan(quantile([], 0.5))
    assert quantile([7.0], 0.01) == 7.0


def test_a_quantile_is_the_smallest_that_the_share_does_not_exceed() -> None:
    for size in (1, 3, 10, 100):
        values = [float(value) for value in range(size)]
        for percent in range(101):
            found = quantile(values, percent / 100)
            # In whole numbers, where nothing is rounded.
            enough = [v for v in values if 100 * sum(w <= v for w in values) >= percent * size]
            assert found == enough[0], (size, percent)
