# SPDX-License-Identifier: Apache-2.0
"""Transition batch: many transitions as arrays, in the order of their arrival."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True, slots=True)
class TransitionBatch:
    """
    Transitions in the order of their arrival: arrays (n, ...), see Transition.

    `streams` are collector runs and `stream` (n,) is each row's index into them; `intervention`
    (n,) bool marks interventions, None for none. `log_prob` (n,) is the log density with which
    the requested action, normalised to [-1, 1], was drawn; NaN where it is unknown, as in
    interventions; None for NaN everywhere.
    """

    streams: tuple[str, ...]
    stream: np.ndarray
    episode: np.ndarray
    step: np.ndarray
    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next_observation: np.ndarray
    discount: np.ndarray
    intervention: np.ndarray | None = None
    log_prob: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.reward)

    def singly(self) -> Iterator['TransitionBatch']:
        """Yield each transition as a batch of one, in order, as views."""
        for k in range(len(self)):
            yield self._part(slice(k, k + 1))

    def interventions(self) -> 'TransitionBatch':
        """Return the interventions, in order, as copies."""
        return self._part(slice(0) if self.intervention is None else self.intervention)

    def _part(self, which: slice | np.ndarray) -> 'TransitionBatch':
        columns = {item.name: getattr(self, item.name) for item in fields(self)
                   if item.name != 'streams'}
        return replace(self, **{
            name: column[which] for name, column in columns.items() if column is not None})
