# SPDX-License-Identifier: Apache-2.0
from rl_control.common.errors import InvalidInput
from rl_control.common.rejections import LENGTH, OTHER, REASONS, Rejections
from rl_control.common.stall_detector import StallDetector


def test_each_reason_is_told_once_and_memory_is_bounded():
    told: list[str] = []
    one = Rejections(told.append)
    one.add('a')
    one.add(InvalidInput('b'), 3)
    one.add('a')
    assert (told, one.counts, one.total) == (['a', 'b'], {'a': 2, 'b': 3}, 5)
    for number in range(10_000):
        one.add(f'{number} ' * 1000)
    assert one.total == 10_005 and len(one.counts) == REASONS + 1 == len(told) + 1
    assert one.counts[OTHER] == 10_000 - (REASONS - 2)
    assert max(map(len, told)) == LENGTH


def test_a_counter_that_stands_still():
    one = StallDetector()
    assert one.still(3, 100.0) == 0.0
    assert one.still(3, 104.0) == 4.0
    assert one.still(4, 105.0) == 0.0
    assert one.still(4, 105.5) == 0.5


def test_what_is_refused_can_be_logged_and_sent_whatever_it_quotes():
    assert str(InvalidInput('policy \ud800 of ü \udcff')) == 'policy \\ud800 of ü \\udcff'
