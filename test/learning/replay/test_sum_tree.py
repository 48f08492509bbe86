# SPDX-License-Identifier: Apache-2.0
"""The sum tree against numpy's cumulative sums."""

import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.learning.replay.sum_tree import SumTree


@pytest.mark.parametrize('capacity', [1, 2, 16, 17, 100, 300])
def test_against_running_sums(capacity):
    rng = np.random.default_rng(capacity)
    tree, values = SumTree(capacity), np.zeros(capacity)
    for _ in range(50):
        slots = rng.integers(capacity, size=rng.integers(1, 20))
        priorities = rng.random(len(slots)) * (rng.random(len(slots)) > 0.2)
        tree.set(slots, priorities)
        for slot, priority in zip(slots, priorities, strict=True):
            values[slot] = priority
        assert tree.total == pytest.approx(values.sum())
        np.testing.assert_array_equal(tree.get(np.arange(capacity)), values)
        if values.sum() > 0.0:
            sums = rng.random(100) * values.sum()
            expected = np.searchsorted(np.cumsum(values), sums, side='right')
            np.testing.assert_array_equal(tree.find(sums), expected)


def test_nothing_without_priority_is_found_at_the_very_end():
    tree = SumTree(8)
    tree.set(np.array([0, 1, 2]), np.array([0.1, 0.2, 0.3]))
    found = tree.find(np.array([0.0, tree.total, np.nextafter(tree.total, 0.0), 1.0]))
    assert found.tolist() == [0, 2, 2, 2]


@pytest.mark.parametrize('bad', [np.nan, np.inf, -0.1])
def test_bad_priorities_are_refused_and_change_nothing(bad):
    tree = SumTree(4)
    tree.set(np.arange(4), np.ones(4))
    with pytest.raises(InvalidInput, match='priorities have NaN, infinity or a negative number'):
        tree.set(np.array([0, 1]), np.array([5.0, bad]))
    assert tree.total == 4.0 and (tree.get(np.arange(4)) == 1.0).all()
