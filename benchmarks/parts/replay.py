# SPDX-License-Identifier: Apache-2.0
"""The replay buffer beside those of stable-baselines3 and cpprb, and numpy's plain gather."""

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.parts.comparison import (
    LIMIT,
    OURS,
    Comparison,
    Contender,
    Figures,
    Goal,
    Scale,
    compare,
)
from benchmarks.parts.fixtures import ACTION, OBSERVATION, per_call, spaces
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning.replay import ReplayBuffer
from rl_control.learning.replay.sampler import Sampler

BATCH = 256
CHUNK = 64  # rows of one message
STREAM = 'collector-1'


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield the cost of sampling and appending, and the memory of a million rows."""
    rows = scale.size(1_000_000, 2_000)
    calls = scale.size(2_000, 20)
    yield compare(
        f'replay: sample {BATCH} of {rows:,} rows', 'us', [
            Contender(OURS, lambda: _timed(filled(rows).sample, BATCH, calls)),
            Contender('stable-baselines3', lambda: _timed(_sb3(rows).sample, BATCH, calls)),
            Contender('cpprb', lambda: _timed(_cpprb(rows).sample, BATCH, calls)),
            Contender(f'{LIMIT}one gather', lambda: _gather(rows, calls)),
        ], scale.rounds, [Goal('sample', at_most=25.0)])
    yield compare(
        f'replay: prioritised sample and update of {BATCH} of {rows:,} rows', 'us', [
            Contender(OURS, lambda: _prioritised(rows, calls)),
            Contender('cpprb', lambda: _cpprb_prioritised(rows, calls)),
        ], scale.rounds, [Goal('both', at_most=300.0)])
    yield compare(
        'replay: append', 'us a row', [
            Contender(OURS, lambda: _append(rows, calls)),
            Contender('stable-baselines3', lambda: _sb3_append(rows, calls)),
            Contender('cpprb', lambda: _cpprb_append(rows, calls)),
        ], scale.rounds, [Goal('in messages of 64', at_most=1.0)])
    yield compare(
        f'replay: memory of {rows:,} transitions of a reach of 7 joints', 'MB', [
            Contender(OURS, lambda: lambda: {'replay': _size(filled(rows, 30, 7)),
                                             'with priorities': _size(_sampler(rows, 30, 7))}),
        ], 1, [Goal('replay', at_most=400.0), Goal('with priorities', at_most=400.0)])


def steps(number: int, observation: int = OBSERVATION, action: int = ACTION) -> tuple:
    """Return steps of episodes of 50: the arguments of `ReplayBuffer.extend` after `stream`."""
    rng = np.random.default_rng(0)
    count = np.arange(number)
    return (count // 50, count % 50, rng.normal(size=(number, observation)),
            rng.uniform(-1.0, 1.0, (number, action)), rng.normal(size=number),
            rng.normal(size=(number, observation)), np.ones(number))


def filled(rows: int, observation: int = OBSERVATION, action: int = ACTION) -> ReplayBuffer:
    """Return a full replay buffer."""
    made = ReplayBuffer(observation, action, rows, seed=0)
    part = steps(min(rows, 10_000), observation, action)
    while len(made) < rows:
        made.extend(STREAM, *part)
    return made


def _sampler(rows: int, observation: int = OBSERVATION, action: int = ACTION) -> Sampler:
    """Return a prioritized sampler of a full replay buffer, with all priorities set."""
    rng = np.random.default_rng(1)
    made = Sampler(
        filled(rows, observation, action), AlgorithmSettings(priority_exponent=0.6),
        np.ones(action),
        lambda batch: rng.random(len(batch.reward)), lambda observation: observation)
    made.sample(BATCH)
    return made


def _timed(sample: Callable, batch: int, calls: int) -> Callable[[], Figures]:
    return lambda: {'sample': per_call(lambda: sample(batch), calls)}


def _prioritised(rows: int, calls: int) -> Callable[[], Figures]:
    sampler, error = _sampler(rows), np.random.default_rng(2).random(BATCH)

    def both() -> None:
        sampler.sample(BATCH)
        sampler.update_priorities(error)

    return lambda: {'both': per_call(both, calls)}


def _append(rows: int, calls: int) -> Callable[[], Figures]:
    made, part = filled(rows), steps(CHUNK)
    one = [column[0] for column in part]
    return lambda: {
        'in messages of 64': per_call(lambda: made.extend(STREAM, *part), calls) / CHUNK,
        'one by one': per_call(lambda: made.append(STREAM, *one), calls)}


def _size(owner: ReplayBuffer | Sampler) -> float:
    """Return the arrays' size in MB."""
    held = owner if isinstance(owner, ReplayBuffer) else owner._replay
    arrays = [held.rows, held.successor, held.log_prob]
    if isinstance(owner, Sampler):
        arrays += owner._tree.levels
    return sum(array.nbytes for array in arrays) / 1e6


def _gather(rows: int, calls: int) -> Callable[[], Figures]:
    """Return a function that times numpy's gather of the rows at given slots."""
    made = filled(rows)
    slots = [made.draw(BATCH) for _ in range(64)]
    out = np.empty((BATCH, made.rows.shape[1]), np.float32)
    turn = iter(slots * (calls // len(slots) + 1) * 1000)
    return lambda: {'sample': per_call(
        lambda: np.take(made.rows, next(turn), axis=0, out=out, mode='clip'), calls)}


def _sb3(rows: int):
    from stable_baselines3.common.buffers import ReplayBuffer

    made = ReplayBuffer(rows, *spaces(), device='cpu')
    _, _, observation, action, reward, next_observation, _ = steps(1)
    for array, value in ((made.observations, observation), (made.actions, action),
                         (made.next_observations, next_observation)):
        array[:] = value
    made.rewards[:], made.full = reward, True
    return made


def _sb3_append(rows: int, calls: int) -> Callable[[], Figures]:
    made = _sb3(rows)
    _, _, observation, action, reward, next_observation, _ = steps(1)
    done, info = np.zeros(1, bool), [{}]
    return lambda: {'one by one': per_call(lambda: made.add(
        observation, next_observation, action, reward, done, info), calls)}


FIELDS = {'obs': {'shape': OBSERVATION}, 'act': {'shape': ACTION}, 'rew': {},
          'next_obs': {'shape': OBSERVATION}, 'done': {}}


def _cpprb_rows(number: int) -> dict[str, np.ndarray]:
    _, _, observation, action, reward, next_observation, discount = steps(number)
    return {'obs': observation, 'act': action, 'rew': reward, 'next_obs': next_observation,
            'done': 1.0 - discount}


def _cpprb(rows: int, kind: str = 'ReplayBuffer'):
    import cpprb

    made = getattr(cpprb, kind)(rows, FIELDS)
    part = _cpprb_rows(min(rows, 10_000))
    for _ in range(-(-rows // len(part['rew']))):
        made.add(**part)
    return made


def _cpprb_append(rows: int, calls: int) -> Callable[[], Figures]:
    made, part = _cpprb(rows), _cpprb_rows(CHUNK)
    one = {name: values[0] for name, values in part.items()}
    return lambda: {
        'in messages of 64': per_call(lambda: made.add(**part), calls) / CHUNK,
        'one by one': per_call(lambda: made.add(**one), calls)}


def _cpprb_prioritised(rows: int, calls: int) -> Callable[[], Figures]:
    made = _cpprb(rows, 'PrioritizedReplayBuffer')
    error = np.random.default_rng(2).random(BATCH)

    def both() -> None:
        made.update_priorities(made.sample(BATCH, beta=0.4)['indexes'], error)

    return lambda: {'both': per_call(both, calls)}
