# SPDX-License-Identifier: Apache-2.0
"""Old data and new data, as much of each."""

import numpy as np

from rl_control.learning.replay.replay_buffer import Batch
from rl_control.learning.replay.sampler import Sampler


class SymmetricSampler:
    """
    Draws a half of each batch from each of two samplers (RLPD, Ball et al. 2023, section 4.1).

    However much there is of old data, new data keeps its half. Of little old data no more rows are
    in a batch than there are: one row is not half of what is learned. Used as a Sampler is.
    """

    def __init__(self, online: Sampler, offline: Sampler) -> None:
        self._samplers = online, offline
        self._split = 0

    def sample(self, batch_size: int) -> tuple[Batch, np.ndarray | None]:
        """Return a batch, the new rows first, of which there is one more if it is odd."""
        old = min(batch_size // 2, len(self._samplers[1]))
        self._split = batch_size - old
        numbers = self._split, old
        parts = [
            sampler.sample(number) for sampler, number in zip(self._samplers, numbers, strict=True)
            if number]
        batches, weights = zip(*parts, strict=True)
        batch = Batch(*map(np.concatenate, zip(*batches, strict=True)))
        return batch, None if weights[0] is None else np.concatenate(weights)

    def learned(self, error: np.ndarray) -> None:
        """Take the errors (b,) of the last batch as its rows' new priorities."""
        for sampler, part in zip(
            self._samplers, np.split(error, [self._split]), strict=True
        ):
            if len(part):
                sampler.learned(part)
