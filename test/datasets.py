# SPDX-License-Identifier: Apache-2.0
"""Data sets to train from."""

from pathlib import Path

from learning import ACTION, CONTRACT, HIGH, LOW, OBSERVATION
import numpy as np

from rl_control.bags.dataset import Dataset
from rl_control.transport.transition_rows import TransitionRows, transition_columns


def rows(number: int = 400, seed: int = 0) -> np.ndarray:
    """Return episodes of 20 steps as they are recorded."""
    rng = np.random.default_rng(seed)
    made = np.zeros((number, len(transition_columns(CONTRACT))))
    made[:, 0], made[:, 1] = np.arange(number) // 20, np.arange(number) % 20
    made[:, 2], made[:, 4] = 0.05 * np.arange(number), np.nan
    made[:, 5] = rng.normal(size=number)  # reward
    made[:, 7] = made[:, 1] == 19  # truncated
    made[:, 9:] = rng.normal(1.0, 3.0, (number, made.shape[1] - 9))
    action = rng.uniform(LOW, HIGH, (number, ACTION))
    made[:, 9 + OBSERVATION:9 + OBSERVATION + 2 * ACTION] = np.tile(action, 2)
    return made


def dataset(path: Path, made: np.ndarray | None = None) -> Path:
    taken = TransitionRows.read(rows() if made is None else made, CONTRACT)
    Dataset(CONTRACT, taken, np.zeros(len(taken), np.int64), ('run-1',)).save(path)
    return path
