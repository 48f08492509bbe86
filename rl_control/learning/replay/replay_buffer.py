# SPDX-License-Identifier: Apache-2.0
"""Replay buffer: a preallocated float32 row per transition, so that a sample is one gather."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.transition_batch import TransitionBatch

NO_ROW = -1


class Batch(NamedTuple):
    """
    One update's batch, float32.

    observation (b, o), action (b, a) in SI units, reward (b,), next_observation (b, o) and
    discount (b,), which is 1 - terminated for single steps. An n-step return puts gamma^(n - 1)
    into `discount`, so that target_q = reward + gamma * discount * next_q holds for both.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next_observation: np.ndarray
    discount: np.ndarray

    @classmethod
    def views(cls, rows: np.ndarray, observation_size: int, action_size: int) -> 'Batch':
        """Return the fields of `rows` (..., 2 o + a + 2) as views of it."""
        action = observation_size + action_size
        return cls(
            observation=rows[..., :observation_size],
            action=rows[..., observation_size:action],
            reward=rows[..., action],
            next_observation=rows[..., action + 1:-1],
            discount=rows[..., -1],
        )


class ReplayBuffer:
    """
    The newest `capacity` transitions of all collectors, sampled uniformly with replacement.

    Rows are copied in and out. `successor` is the slot of the next step of the same episode and
    stream (one collector run), NO_ROW where there is none; it need not be the next slot. The
    oldest row is overwritten first, so a successor is always present. `log_prob` (capacity,)
    is stored beside the rows, see TransitionBatch. Owned by one thread.
    """

    def __init__(
        self, observation_size: int, action_size: int, capacity: int, seed: int
    ) -> None:
        self.sizes = (observation_size, action_size)
        self.capacity = capacity
        self.total = 0  # rows ever appended; row number k lies at k % capacity
        self.generator = np.random.default_rng(seed)
        self.rows = np.zeros((capacity, 2 * observation_size + action_size + 2), np.float32)
        self.successor = np.full(capacity, NO_ROW, np.int32)
        self.log_prob = np.full(capacity, np.nan, np.float32)
        self.fields = Batch.views(self.rows, observation_size, action_size)
        self._newest: dict[str, tuple[int, int, int]] = {}  # stream: row number, episode, step
        self._sampled = np.empty((0, self.rows.shape[1]), np.float32)
        self._batch = Batch.views(self._sampled, *self.sizes)

    def __len__(self) -> int:
        return min(self.total, self.capacity)

    def append(
        self,
        stream: str,
        episode: int,
        step: int,
        observation: np.ndarray,
        action: np.ndarray,
        reward: float,
        next_observation: np.ndarray,
        discount: float,
        log_prob: float = float('nan'),
    ) -> None:
        """Copy one transition in; `extend` copies many."""
        total, fields = self.total, self.fields
        slot = total % self.capacity
        fields.observation[slot] = observation
        fields.action[slot] = action
        fields.reward[slot] = reward
        fields.next_observation[slot] = next_observation
        fields.discount[slot] = discount
        self.log_prob[slot] = log_prob
        self._link(stream, total, episode, step)
        self.successor[slot] = NO_ROW
        self._newest[stream] = total, episode, step
        self.total = total + 1

    def extend(
        self,
        stream: str,
        episode: np.ndarray,
        step: np.ndarray,
        observation: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        next_observation: np.ndarray,
        discount: np.ndarray,
    ) -> None:
        """Copy n transitions of one stream in, in order; raise InvalidInput for another shape."""
        self.extend_mixed(TransitionBatch(
            (stream,), np.zeros(len(reward), np.int32), np.asarray(episode), np.asarray(step),
            observation, action, reward, next_observation, discount))

    def extend_mixed(self, steps: TransitionBatch) -> None:
        """Copy transitions of several streams in, in their order; otherwise as `extend`."""
        number = len(steps)
        if not number:
            return
        given = Batch(
            steps.observation, steps.action, steps.reward, steps.next_observation, steps.discount)
        for name, values, field in zip(Batch._fields, given, self.fields, strict=True):
            if np.shape(values) != (number, *field.shape[1:]):
                raise InvalidInput(
                    f'{name} of {number} transitions has shape {np.shape(values)}; '
                    f'it must be {(number, *field.shape[1:])}'
                )
        first, gone = self.total, max(0, number - self.capacity)
        slots = np.arange(first, first + number) % self.capacity
        for values, field in zip(given, self.fields, strict=True):
            field[slots[gone:]] = values[gone:]
        self.log_prob[slots[gone:]] = np.nan if steps.log_prob is None else steps.log_prob[gone:]
        stream, episode, step = steps.stream, steps.episode, steps.step
        order = np.argsort(stream, kind='stable')  # each stream's rows together, in their order
        same = np.diff(stream[order]) == 0
        begins, ends = order[np.r_[True, ~same]], order[np.r_[~same, True]]
        # Links from older rows first: a row that is overwritten here then gets its own.
        for row in begins.tolist():
            self._link(
                steps.streams[stream[row]], first + row, int(episode[row]), int(step[row]))
        self.successor[slots[gone:]] = NO_ROW
        before, after = order[:-1], order[1:]
        follows = same & (episode[before] == episode[after]) & (step[before] + 1 == step[after])
        follows &= before >= gone
        self.successor[slots[before[follows]]] = slots[after[follows]]
        self.total = first + number
        for row in ends.tolist():
            self._newest[steps.streams[stream[row]]] = (
                first + row, int(episode[row]), int(step[row]))

    def draw(self, number: int) -> np.ndarray:
        """Return slots (number,) drawn uniformly; raise InvalidInput when there is no row."""
        if not self.total:
            raise InvalidInput('replay is empty; append transitions before sampling')
        return self.generator.integers(len(self), size=number)

    def take(self, slots: np.ndarray) -> Batch:
        """Return the rows in `slots` (b,) as a batch that the next call overwrites."""
        if len(self._sampled) != len(slots):
            self._sampled = np.empty((len(slots), self.rows.shape[1]), np.float32)
            self._batch = Batch.views(self._sampled, *self.sizes)
        # mode 'clip' spares a second buffer; every index is in range.
        np.take(self.rows, slots, axis=0, out=self._sampled, mode='clip')
        return self._batch

    def sample(self, batch_size: int) -> Batch:
        """
        Return a batch that the next call overwrites.

        Raise InvalidInput when there is no row.
        """
        return self.take(self.draw(batch_size))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return copies of the rows that are there, which `restore` takes back with `state`."""
        size = len(self)
        return {name: getattr(self, name)[:size].copy()
                for name in ('rows', 'successor', 'log_prob')}

    def state(self) -> dict[str, Any]:
        """Return plain values, as JSON has them: counters, newest rows and the generator."""
        return {'total': self.total, 'newest': {k: list(v) for k, v in self._newest.items()},
                'generator': self.generator.bit_generator.state}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Take back what `arrays` and `state` of a buffer of the same capacity returned."""
        size = min(state['total'], self.capacity)
        for name, values in arrays.items():
            if len(values) != size:
                raise InvalidInput(
                    f'replay has {len(values)} saved rows but a capacity of {self.capacity}; '
                    'set replay_capacity as it was')
            getattr(self, name)[:size] = values
        self.total = state['total']
        self._newest = {name: tuple(row) for name, row in state['newest'].items()}
        self.generator.bit_generator.state = state['generator']

    def _link(self, stream: str, number: int, episode: int, step: int) -> None:
        """Link the stream's newest row to row `number` if that is its next step and still here."""
        newest = self._newest.get(stream)
        if (
            newest is not None
            and newest[1] == episode
            and newest[2] + 1 == step
            and number - newest[0] < self.capacity
        ):
            self.successor[newest[0] % self.capacity] = number % self.capacity
