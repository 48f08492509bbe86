# SPDX-License-Identifier: Apache-2.0
"""Transitions on their way into a replay."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

ROUNDING = 1e-5  # of the action range, up to which the applied action is the requested one


@dataclass(frozen=True, slots=True)
class TransitionBatch:
    """
    Transitions in the order they came: arrays (n, ...), see Transition.

    `streams` are collector runs, `stream` (n,) says by index of which of them each is;
    `intervention` (n,) bool which of them a person made, None for none. `log_prob` (n,) is the log
    density with which the action was drawn, of actions within [-1, 1]; NaN where there is none,
    and where limits or a person made another action of it; None for NaN everywhere.
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
        """Return each transition alone, in order, as views."""
        for k in range(len(self)):
            yield self._part(slice(k, k + 1))

    def interventions(self) -> 'TransitionBatch':
        """Return the transitions that a person made, in order, as copies."""
        return self._part(slice(0) if self.intervention is None else self.intervention)

    def _part(self, which: slice | np.ndarray) -> 'TransitionBatch':
        columns = {item.name: getattr(self, item.name) for item in fields(self)
                   if item.name != 'streams'}
        return replace(self, **{
            name: column[which] for name, column in columns.items() if column is not None})


def density(
    log_prob: np.ndarray, action: np.ndarray, applied: np.ndarray, intervention: np.ndarray,
    span: np.ndarray,
) -> np.ndarray:
    """
    Return `log_prob` (n,), NaN where limits or a person made another action of what was drawn.

    That is, where `applied` (n, a) is not the requested `action` (n, a) but for rounding, measured
    by the range `span` (a,), or where `intervention` (n,) says so.
    """
    own = (np.abs(applied - action) <= ROUNDING * span).all(-1) & ~intervention
    return np.where(own, log_prob, np.nan)
