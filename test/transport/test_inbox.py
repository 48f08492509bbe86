# SPDX-License-Identifier: Apache-2.0
import json

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.transport.inbox import Inbox


def rows(first: int, end: int) -> np.ndarray:
    """Return rows that contain their numbers."""
    return np.array([(n, -n) for n in range(first, end)], dtype=float).reshape(-1, 2)


def accept(inbox: Inbox, first: int, end: int, oldest: int = 0) -> list[int]:
    return inbox.accept('a', 'a1', first, rows(first, end), oldest)[:, 0].astype(int).tolist()


def test_each_row_is_accepted_once_in_any_order():
    inbox = Inbox()
    assert accept(inbox, 0, 5) == [0, 1, 2, 3, 4]
    assert accept(inbox, 0, 5) == []
    assert accept(inbox, 3, 8) == [5, 6, 7]
    assert accept(inbox, 10, 14) == [10, 11, 12, 13]
    known = inbox.runs['a1']
    assert (known.expected, known.published, known.gaps, known.duplicates) == (8, 14, 2, 7)
    assert accept(inbox, 7, 16) == [8, 9, 14, 15]
    assert (known.expected, known.received, known.lost, known.duplicates) == (16, 16, 0, 12)
    inbox.accept('b', 'b1', 0, rows(0, 1))
    inbox.refuse('a1', 2)
    names, table = inbox.acknowledge_all(100)
    assert (names, table.tolist()) == (['a1', 'b1'], [[16, 116], [1, 101]])
    assert inbox.acknowledge_all({'b1': 3})[0] == ['b1']
    assert inbox.acknowledge_all({'b1': 3, 'a1': 0})[1].tolist() == [[1, 4], [16, 16]]
    state = json.loads(json.dumps(inbox.to_state()))
    assert set(state) == {'a1', 'b1'} and state['a1']['refused'] == 2


def test_a_late_learner_counts_earlier_rows_as_lost():
    inbox = Inbox()
    # As a replayed recording sends: some rows before these are not acknowledged yet.
    assert accept(inbox, 640, 704, oldest=512) == list(range(640, 704))
    known = inbox.runs['a1']
    assert (known.lost, known.expected, known.published - known.received) == (512, 512, 640)
    accept(inbox, 704, 768, oldest=640)
    assert (known.lost, known.expected) == (640, 768)
    # Replayed from the beginning: no duplicates, nothing lost any more.
    assert accept(inbox, 0, 768) == list(range(640))
    assert (known.lost, known.received, known.expected) == (0, 768, 768)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12), st.integers(0, 60)),
                max_size=30))
def test_ranges_agree_with_a_set_of_numbers(messages):
    inbox, seen, published = Inbox(), set(), 0
    for first, count, oldest in messages:
        end = first + count
        oldest = min(oldest, end)
        assert accept(inbox, first, end, oldest) == [n for n in range(first, end) if n not in seen]
        seen |= set(range(first, end))
        published = max(published, end)
        known = inbox.runs['a1']
        assert known.received == len(seen) and known.published == published
        assert known.lost == len(set(range(oldest)) - seen)
        assert known.expected == next(n for n in range(oldest, 200) if n not in seen)
        assert known.missing(0, 80) == known.missing(0, 40) + known.missing(40, 80) or any(
            part[0] < 40 < part[1] for part in known.missing(0, 80))
        assert {n for a, b in known.missing(0, 80) for n in range(a, b)} == set(range(80)) - seen
        assert len(known.ranges) == sum(n in seen and n - 1 not in seen for n in range(80))


def test_impossible_numbers_are_refused():
    inbox = Inbox()
    for first, oldest in ((-1, 0), (0, 4), (5, -1)):
        with pytest.raises(InvalidInput, match='use a collector of this package'):
            accept(inbox, first, first + 3, oldest)
    accept(inbox, 0, 3)
    with pytest.raises(InvalidInput, match='sent by b and by a'):
        inbox.accept('b', 'a1', 3, rows(3, 6))
