# SPDX-License-Identifier: Apache-2.0
"""What becomes of an update that is not finite: it is taken back, and counted. No ROS."""

from collections.abc import Mapping
import logging
import math
from pathlib import Path

import torch
from torch import Tensor

from rl_control.learning import checkpoint
from rl_control.learning.algorithms.agent import Agent

LIMIT = 10  # updates taken back in a row, after which an older state is gone back to

logger = logging.getLogger(__name__)


class Rollback:
    """
    Holds the last good state of an agent, and goes back to it.

    A loss with NaN or infinity in it has already moved weights and the optimiser's means, so
    that skipping the update is going back to a state from before it: the one that `keep` was
    last called with, as a rule that of the newest published version. What lies between is made
    again. After LIMIT in a row without a `keep`, that state is no good either, and the newest
    checkpoint takes its place. One thread uses it; any may read `count` and `in_row`.
    """

    def __init__(self, agent: Agent, checkpoints: Path) -> None:
        self.count = 0  # updates, or versions that could not be exported, taken back
        self.in_row = 0
        self._agent = agent
        self._checkpoints = checkpoints
        self._good = agent.tensors()

    def keep(self) -> bool:
        """Hold the agent as it is for the last good state; take it back if it is not finite."""
        tensors = self._agent.tensors()
        if not finite(tensors):
            self.take_back('its weights are not finite')
            return False
        self._good, self.in_row = tensors, 0
        return True

    def check(self, losses: Mapping[str, Tensor]) -> bool:
        """Say whether the update that returned `losses` is finite; take it back else."""
        if all(math.isfinite(value) for value in (*losses.values(), self._agent.error.sum())):
            return True
        self.take_back('its losses are not finite')
        return False

    def take_back(self, why: str) -> None:
        """Go back to the last good state."""
        update = self._agent.updates
        self.count += 1
        self.in_row += 1
        if self.in_row % LIMIT == 0 and (saved := checkpoint.latest(self._checkpoints)):
            self._good = saved.tensors
        self._agent.load(self._good)
        if self.in_row == 1 or self.in_row % LIMIT == 0:
            logger.error(
                'update %d is taken back to %d, since %s (%d in a row); if this goes on, lower '
                'the learning rates', update, self._agent.updates, why, self.in_row)


def finite(tensors: Mapping[str, Tensor]) -> bool:
    """Say whether no tensor of floating-point numbers has NaN or infinity in it."""
    return all(
        bool(torch.isfinite(tensor).all()) for tensor in tensors.values()
        if tensor.is_floating_point())
