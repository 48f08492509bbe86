# SPDX-License-Identifier: Apache-2.0
"""Rejections by reason, stalled counters, and sentences with lone surrogates."""

from rl_control.common.errors import InvalidInput
from rl_control.common.rejections import MAX_LENGTH, MAX_REASONS, OTHER_REASONS, Rejections
from rl_control.common.stall_detector import StallDetector


def test_each_reason_is_logged_once_and_memory_is_bounded():
    logged: list[str] = []
    one = Rejections(logged.append)
    one.add('a')
    one.add(InvalidInput('b'), 3)
    one.add('a')
    assert (logged, one.counts, one.total) == (['a', 'b'], {'a': 2, 'b': 3}, 5)
    for number in range(10_000):
        one.add(f'{number} ' * 1000)
    assert one.total == 10_005 and len(one.counts) == MAX_REASONS + 1 == len(logged) + 1
    assert one.counts[OTHER_REASONS] == 10_000 - (MAX_REASONS - 2)
    assert max(map(len, logged)) == MAX_LENGTH


def test_a_counter_stalls():
    one = StallDetector()
    assert one.stalled_for(3, 100.0) == 0.0
    assert one.stalled_for(3, 104.0) == 4.0
    assert one.stalled_for(4, 105.0) == 0.0
    assert one.stalled_for(4, 105.5) == 0.5


def test_a_sentence_with_lone_surrogates_can_be_encoded():
    assert str(InvalidInput('policy \ud800 of ü \udcff')) == 'policy \\ud800 of ü \\udcff'
