# SPDX-License-Identifier: Apache-2.0
"""Experience replay: store transitions and sample batches; numpy only."""

from rl_control.common.transition_batch import TransitionBatch
from rl_control.learning.replay.hindsight import Hindsight
from rl_control.learning.replay.replay_buffer import Batch, ReplayBuffer
from rl_control.learning.replay.sampler import Sampler
from rl_control.learning.replay.symmetric_sampling import SymmetricSampler

__all__ = [
    'Batch', 'Hindsight', 'ReplayBuffer', 'Sampler', 'SymmetricSampler', 'TransitionBatch']
