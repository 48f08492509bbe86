# SPDX-License-Identifier: Apache-2.0
"""Transitions on their way into a replay."""

from dataclasses import dataclass

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
