# SPDX-License-Identifier: Apache-2.0
"""Roll back the agent after a non-finite update."""

from collections.abc import Mapping
import logging
import math
from pathlib import Path

import torch
from torch import Tensor

from rl_control.learning import checkpoint
from rl_control.learning.algorithms.agent import Agent

ROLLBACK_LIMIT = 10  # consecutive rollbacks after which the newest checkpoint is restored

logger = logging.getLogger(__name__)


class Rollback:
    """
    Keeps the last finite state of an agent and restores it.

    An update with a non-finite loss has already changed weights and the optimiser's moments, so
    that the agent goes back to the state of the last `keep`, usually that of the newest published
    version; the updates since are made again. After ROLLBACK_LIMIT consecutive rollbacks without
    a `keep` that state is taken as bad too, and the newest checkpoint replaces it. Used on one
    thread; other threads may read `count` and `consecutive`.
    """

    def __init__(self, agent: Agent, checkpoints: Path | None) -> None:
        self.count = 0  # rollbacks in all
        self.consecutive = 0
        self._agent = agent
        self._checkpoints = checkpoints
        self._good = agent.tensors()

    def keep(self) -> bool:
        """Keep the agent's state and return True; roll back and return False if not finite."""
        tensors = self._agent.tensors()
        if not finite(tensors):
            self.roll_back('its weights are not finite')
            return False
        self._good, self.consecutive = tensors, 0
        return True

    def check(self, losses: Mapping[str, Tensor]) -> bool:
        """Return True if the update that returned `losses` is finite; else roll back."""
        if all(math.isfinite(value) for value in (*losses.values(), self._agent.error.sum())):
            return True
        self.roll_back('its losses are not finite')
        return False

    def roll_back(self, why: str) -> None:
        """Restore the last kept state, and log the reason `why`."""
        update = self._agent.updates
        self.count += 1
        self.consecutive += 1
        if self.consecutive % ROLLBACK_LIMIT == 0:
            saved = self._checkpoints and checkpoint.latest(self._checkpoints)
            if saved:  # it may hold a replay buffer, too
                self._good = {name: saved.tensors[name] for name in self._good}
        self._agent.load(self._good)
        if self.consecutive == 1 or self.consecutive % ROLLBACK_LIMIT == 0:
            logger.error(
                'update %d is rolled back to %d, since %s (%d in a row); if this continues, lower '
                'the learning rates', update, self._agent.updates, why, self.consecutive)


def finite(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether all floating-point tensors are free of NaN and infinity."""
    return all(
        bool(torch.isfinite(tensor).all()) for tensor in tensors.values()
        if tensor.is_floating_point())
