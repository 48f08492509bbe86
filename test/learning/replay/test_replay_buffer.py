# SPDX-License-Identifier: Apache-2.0
"""The replay buffer against plain lists."""

import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.learning.replay import Batch, ReplayBuffer, TransitionBatch
from rl_control.learning.replay.replay_buffer import NO_ROW

OBS, ACT = 3, 2


def _row(number: int) -> tuple:
    """Return a transition all of whose numbers tell where it came from."""
    base = 10.0 * number
    return (np.arange(OBS) + base, np.arange(ACT) + base + 3, base + 5, np.arange(OBS) + base + 6,
            float(number % 2))


def _stack(numbers: range) -> tuple:
    return tuple(np.array(column) for column in zip(*map(_row, numbers), strict=True))


def _flat(batch: Batch) -> np.ndarray:
    return np.column_stack([np.asarray(field) for field in batch])


def test_sample_returns_whole_rows():
    replay = ReplayBuffer(OBS, ACT, 10, seed=0)
    for number in range(4):
        replay.append('c', 0, number, *_row(number))
    expected = {tuple(_flat(_stack(range(k, k + 1)))[0]) for k in range(4)}
    batch = replay.sample(64)
    assert {tuple(row) for row in _flat(batch)} == expected
    assert batch.observation.shape == (64, OBS) and batch.discount.shape == (64,)
    assert all(field.dtype == np.float32 for field in batch)


def test_sample_is_uniform():
    replay = ReplayBuffer(OBS, ACT, 8, seed=1)
    for number in range(11):
        replay.append('c', 0, number, *_row(number))
    rewards = np.concatenate([replay.sample(100).reward.copy() for _ in range(200)])
    values, counts = np.unique(rewards, return_counts=True)
    assert values.tolist() == [10.0 * k + 5 for k in range(3, 11)]
    # 20,000 draws from 8 rows: one standard deviation is 47.
    assert np.abs(counts - 2500).max() < 250


def test_rows_are_copied():
    replay, row = ReplayBuffer(OBS, ACT, 4, seed=0), _row(7)
    replay.append('c', 0, 0, *row)
    row[0][:] = -1.0
    assert replay.sample(1).observation[0].tolist() == [70.0, 71.0, 72.0]
    many = _stack(range(2))
    replay.extend('c', np.zeros(2), np.arange(1, 3), *many)
    many[3][:] = -1.0
    assert (replay.fields.next_observation[:3] >= 0.0).all()


def test_the_same_seed_gives_the_same_batches():
    buffers = [ReplayBuffer(OBS, ACT, 50, seed=s) for s in (3, 3, 4)]
    for replay in buffers:
        replay.extend('c', np.zeros(40), np.arange(40), *_stack(range(40)))
    first, second, other = (_flat(replay.sample(16)) for replay in buffers)
    assert (first == second).all() and (first != other).any()


def test_successors_against_a_list():
    """Two collectors, episodes, gaps and many turns of the buffer, against a search in a list."""
    rng = np.random.default_rng(0)
    replay, history = ReplayBuffer(OBS, ACT, 17, seed=0), []
    where = {'a': (0, 0), 'b': (0, 0), 'rare': (0, 0)}
    for _ in range(300):
        stream = rng.choice(['a', 'b', 'rare'], p=[0.6, 0.37, 0.03])
        episode, step = where[stream]
        number = int(rng.integers(1, 25))
        episodes, steps = [], []
        for _ in range(number):
            draw = rng.random()
            step = 0 if draw < 0.05 else step + 1 + (draw > 0.9)
            episode += draw < 0.1
            episodes.append(episode)
            steps.append(step)
        where[stream] = episode, step
        numbers = range(len(history), len(history) + number)
        if number == 1:
            replay.append(stream, episodes[0], steps[0], *_row(numbers[0]))
        else:
            replay.extend(stream, np.array(episodes), np.array(steps), *_stack(numbers))
        history += [(stream, e, s) for e, s in zip(episodes, steps, strict=True)]
        oldest = max(0, len(history) - 17)
        for k in range(oldest, len(history)):
            stream_k, episode_k, step_k = history[k]
            follower = next((j for j in range(k + 1, len(history))
                             if history[j] == (stream_k, episode_k, step_k + 1)), None)
            newer = [j for j in range(k + 1, len(history)) if history[j][0] == stream_k]
            if newer and follower is not None and follower != newer[0]:
                follower = None
            assert replay.successor[k % 17] == (NO_ROW if follower is None else follower % 17)
            assert replay.fields.reward[k % 17] == 10.0 * k + 5
    assert replay.total == len(history) > 1000


def test_more_rows_than_capacity_keep_the_newest():
    replay = ReplayBuffer(OBS, ACT, 4, seed=0)
    replay.extend('c', np.zeros(11), np.arange(11), *_stack(range(11)))
    assert sorted(replay.fields.reward.tolist()) == [75.0, 85.0, 95.0, 105.0]
    assert replay.successor[10 % 4] == NO_ROW and replay.successor[9 % 4] == 10 % 4


def test_mixed_streams_are_what_single_rows_are():
    rng = np.random.default_rng(3)
    one, other, total = ReplayBuffer(OBS, ACT, 17, seed=0), ReplayBuffer(OBS, ACT, 17, seed=0), 0
    streams, next_step = ('a', 'b', 'rare'), [0, 0, 0]
    for _ in range(200):
        number = int(rng.integers(0, 40))
        stream = rng.choice(3, number, p=[0.6, 0.37, 0.03])
        episode, step = np.zeros(number, int), np.zeros(number, int)
        for k, of in enumerate(stream):
            next_step[of] += 1 + (rng.random() < 0.1)
            episode[k], step[k] = divmod(next_step[of], 7)
        rows = range(total, total + number)
        for k, row in enumerate(rows):
            one.append(streams[stream[k]], episode[k], step[k], *_row(row))
        if number:
            other.extend_mixed(TransitionBatch(streams, stream, episode, step, *_stack(rows)))
        total += number
        assert (one.successor == other.successor).all() and (one.rows == other.rows).all()
        assert (one.total, one._newest) == (other.total, other._newest)
    assert (one.successor != NO_ROW).any() and total > 1000


def test_refusals():
    replay = ReplayBuffer(OBS, ACT, 6, seed=5)
    with pytest.raises(InvalidInput, match='replay is empty'):
        replay.sample(3)
    good = _stack(range(2))
    with pytest.raises(
        InvalidInput, match=r'action of 2 transitions has shape \(2, 1\).*\(2, 2\)'
    ):
        replay.extend('c', np.zeros(2), np.arange(2), good[0], good[1][:, :1], *good[2:])
    assert len(replay) == 0
