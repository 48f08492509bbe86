# SPDX-License-Identifier: Apache-2.0
"""Symmetric sampling (RLPD, Ball et al. 2023): half online, half offline data in each batch."""

import numpy as np

from rl_control.learning.replay.replay_buffer import Batch
from rl_control.learning.replay.sampler import Sampler


class SymmetricSampler:
    """
    Draws half of each batch from each of two samplers (RLPD, Ball et al. 2023, section 4.1).

    Online data always has at least its half. A batch has no more offline rows than there are, so
    that a few rows do not fill half of every batch. Same interface as Sampler.
    """

    def __init__(self, online: Sampler, offline: Sampler) -> None:
        self._samplers = online, offline
        self._split = 0

    def sample(self, batch_size: int) -> tuple[Batch, np.ndarray | None]:
        """Return a batch, online rows first; of an odd size the odd row is online."""
        offline = min(batch_size // 2, len(self._samplers[1]))
        self._split = batch_size - offline
        numbers = self._split, offline
        parts = [
            sampler.sample(number) for sampler, number in zip(self._samplers, numbers, strict=True)
            if number]
        batches, weights = zip(*parts, strict=True)
        batch = Batch(*map(np.concatenate, zip(*batches, strict=True)))
        return batch, None if weights[0] is None else np.concatenate(weights)

    def update_priorities(self, error: np.ndarray) -> None:
        """Set the priorities of the last batch's rows by their errors (b,)."""
        for sampler, part in zip(
            self._samplers, np.split(error, [self._split]), strict=True
        ):
            if len(part):
                sampler.update_priorities(part)
