# SPDX-License-Identifier: Apache-2.0
"""What is whole of the episodes in a dataset."""

import numpy as np

from rl_control.bags.dataset import Dataset


def pieces(dataset: Dataset) -> list[np.ndarray]:
    """
    Return the indices (k,) of the rows of each unbroken piece of an episode, in its order.

    A piece ends with its episode, or where the next row of its stream is not its next step.
    Streams may lie among each other, as those of a bag do.
    """
    rows = dataset.rows
    order = np.argsort(dataset.stream, kind='stable')
    stream, episode, step, ends = (part[order] for part in (
        dataset.stream, rows.episode, rows.step, rows.terminated | rows.truncated))
    follows = (np.diff(stream) == 0) & (np.diff(episode) == 0) & (np.diff(step) == 1) & ~ends[:-1]
    return np.split(order, np.flatnonzero(~follows) + 1)
