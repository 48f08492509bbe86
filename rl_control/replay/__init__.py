# SPDX-License-Identifier: Apache-2.0
"""The memory of transitions; numpy only."""

from rl_control.replay.hindsight import Hindsight
from rl_control.replay.ring import Batch, Ring
from rl_control.replay.sampler import Sampler
from rl_control.replay.steps import Steps
from rl_control.replay.symmetric import Symmetric

__all__ = ['Batch', 'Hindsight', 'Ring', 'Sampler', 'Steps', 'Symmetric']
