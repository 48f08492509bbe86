# SPDX-License-Identifier: Apache-2.0
"""Transitions on their way into a replay."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True, slots=True)
class Steps:
    """
    Transitions in the order they came: arrays (n, ...), see Transition.

    `streams` are collector runs, `stream` (n,) says by index of which of them each is.
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

    def __len__(self) -> int:
        return len(self.reward)

    def singly(self) -> Iterator['Steps']:
        """Return each transition alone, in order, as views."""
        names = [item.name for item in fields(self) if item.name != 'streams']
        for k in range(len(self)):
            yield replace(self, **{name: getattr(self, name)[k:k + 1] for name in names})
