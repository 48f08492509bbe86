# SPDX-License-Identifier: Apache-2.0
"""The memory of transitions; numpy only."""

from rl_control.replay.ring import Batch, Ring

__all__ = ['Batch', 'Ring']
