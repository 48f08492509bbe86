# SPDX-License-Identifier: Apache-2.0
"""Returns over several steps against lists, and against their closed form."""

import numpy as np
import pytest

from rl_control.learning.replay import ReplayBuffer
from rl_control.learning.replay.n_step_returns import n_step, window
from rl_control.learning.replay.off_policy_corrections import cut
from rl_control.learning.replay.replay_buffer import NO_ROW, Batch

GAMMA = 0.9


def _returns(replay: ReplayBuffer, slots: np.ndarray, n: int, gamma: float = GAMMA) -> Batch:
    path, fields = window(replay, slots, n)
    return n_step(fields, path != NO_ROW, gamma)


def _row(
    replay: ReplayBuffer, stream: str, episode: int, step: int, reward: float,
    discount: float = 1.0,
):
    """Append a row whose observations and action say where it is."""
    replay.append(stream, episode, step, [step], [step], reward, [step + 1], discount)


def test_closed_form():
    """Reward 1 for ever: (1 - gamma^n) / (1 - gamma), and gamma^(n - 1) left for the future."""
    replay = ReplayBuffer(1, 1, 100, seed=0)
    for step in range(100):
        _row(replay, 'c', 0, step, 1.0)
    for n in (1, 2, 3, 7):
        batch = _returns(replay, np.arange(50), n)
        np.testing.assert_allclose(batch.reward, (1 - GAMMA**n) / (1 - GAMMA), rtol=1e-6)
        np.testing.assert_allclose(batch.discount, GAMMA**(n - 1), rtol=1e-6)
        assert batch.observation[:, 0].tolist() == list(range(50))
        assert batch.action[:, 0].tolist() == list(range(50))
        assert batch.next_observation[:, 0].tolist() == [k + n for k in range(50)]


def test_a_termination_and_a_time_out():
    replay = ReplayBuffer(1, 1, 10, seed=0)
    for step in range(3):
        _row(replay, 'c', 0, step, 1.0 + step, discount=float(step != 2))
    for step in range(3):  # the next episode runs out of time
        _row(replay, 'c', 1, step, 10.0 + step)
    _row(replay, 'c', 2, 0, 99.0)
    batch = _returns(replay, np.arange(7), 3)
    np.testing.assert_allclose(batch.reward, [
        1 + 0.9 * 2 + 0.81 * 3, 2 + 0.9 * 3, 3,
        10 + 0.9 * 11 + 0.81 * 12, 11 + 0.9 * 12, 12, 99], rtol=1e-6)
    # Nothing lies behind the termination; behind the time-out the value of where it was.
    np.testing.assert_allclose(batch.discount, [0, 0, 0, 0.81, 0.9, 1, 1], rtol=1e-6)
    assert batch.next_observation[:, 0].tolist() == [3, 3, 3, 3, 3, 3, 1]


def test_nothing_is_taken_from_behind_a_termination():
    """Not even where an episode goes on under its number, as of an environment never reset."""
    replay = ReplayBuffer(1, 1, 10, seed=0)
    for step in range(4):
        _row(replay, 'c', 0, step, 1.0, discount=float(step != 1))
    batch = _returns(replay, np.arange(2), 4)
    np.testing.assert_allclose(batch.reward, [1.9, 1.0])
    assert batch.discount.tolist() == [0.0, 0.0]


def test_against_a_list():
    """Streams mixed, gaps, ends of both kinds, many turns of the buffer."""
    rng = np.random.default_rng(0)
    replay, history, where = (
        ReplayBuffer(1, 1, 37, seed=0),
        [],
        {'a': (0, 0), 'b': (0, 0), 'c': (0, 0)},
    )
    for _ in range(600):
        stream = str(rng.choice(list(where)))
        episode, step = where[stream]
        reward, discount = float(rng.integers(10)), float(rng.random() > 0.1)
        _row(replay, stream, episode, step, reward, discount)
        history.append((stream, episode, step, reward, discount))
        ends = discount == 0.0 or rng.random() < 0.1
        where[stream] = (episode + 1, 0) if ends else (episode, step + 1 + (rng.random() < 0.05))
        oldest = max(0, len(history) - 37)
        slots = np.arange(oldest, len(history)) % 37
        n = int(rng.integers(1, 6))
        batch = _returns(replay, slots, n)
        known = {row[:3]: row for row in history}
        for k in range(len(slots)):
            stream, episode, step, reward, discount = history[oldest + k]
            m = 1
            while m < n and discount and (stream, episode, step + m) in known:
                reward += GAMMA**m * known[stream, episode, step + m][3]
                discount = known[stream, episode, step + m][4]
                m += 1
            assert batch.reward[k] == pytest.approx(reward, rel=1e-5)
            assert batch.discount[k] == pytest.approx(GAMMA**(m - 1) * discount)
            assert batch.next_observation[k, 0] == step + m


def test_the_ring_is_not_changed():
    replay = ReplayBuffer(1, 1, 10, seed=0)
    for step in range(10):
        _row(replay, 'c', 0, step, 1.0)
    before = replay.rows.copy()
    batch = _returns(replay, np.arange(10), 5)
    for field in batch:
        field[:] = -1.0
    assert (replay.rows == before).all()


def test_a_trace_ends_in_front_of_what_would_be_done_otherwise():
    replay = ReplayBuffer(1, 1, 10, seed=0)
    for step in range(6):
        _row(replay, 'c', 0, step, 1.0)
    path, fields = window(replay, np.arange(5), 4)
    # Done was what the number of the step says; now all would be done so but step 2.
    alive = cut(fields, path != NO_ROW, lambda o: o + 10.0 * (o == 2.0), np.array([0.5]))
    batch = n_step(fields, alive, 1.0)
    # From 0: rows 0, 1. From 1: row 1. From 2: the first is never asked, rows 2 to 5.
    assert batch.reward.tolist() == [2.0, 1.0, 4.0, 3.0, 2.0]
    assert batch.next_observation[:, 0].tolist() == [2.0, 2.0, 6.0, 6.0, 6.0]
