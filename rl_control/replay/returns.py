# SPDX-License-Identifier: Apache-2.0
"""Returns over several steps, along the links of a ring."""

from collections.abc import Callable

import numpy as np

from rl_control.replay.ring import NO_ROW, Batch, Ring


def n_step(
    ring: Ring,
    slots: np.ndarray,
    steps: int,
    gamma: float,
    goes_on: Callable[[np.ndarray], np.ndarray] | None = None,
    reward: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ends: np.ndarray | None = None,
) -> Batch:
    """
    Return the rows in `slots` (b,) with up to `steps` rewards each (Watkins 1989, section 7.1).

    The reward is r_0 + gamma r_1 + ..., next_observation what the last of these steps led to, and
    discount that step's times gamma^(m - 1) after m steps. A return is shorter where the episode
    ends, by termination or time-out, and where the next row has not come or is of another
    stream; and in front of a row, unless the first, of which `goes_on(slots) -> (b,) bool` is
    false; and behind the slot in `ends` (b,). `reward(rows, slots) -> (k,)` is what the rows of
    the ring in `slots` (k,) earn in the returns `rows` (k,), if not what stands there. The next
    call overwrites the batch.
    """
    batch = ring.take(slots)
    if reward is not None:
        batch.reward[:] = reward(np.arange(len(slots)), slots)
    last, power = slots, np.ones(len(slots), np.float32)
    longer = np.ones(len(slots), bool)
    for _ in range(steps - 1):
        following = ring.successor[last]
        longer &= (following != NO_ROW) & (ring.fields.discount[last] > 0.0)
        if ends is not None:
            longer &= last != ends
        if goes_on is not None and longer.any():
            longer[longer] = goes_on(following[longer])
        if not longer.any():
            break
        power[longer] *= gamma
        earned = following[longer]
        batch.reward[longer] += power[longer] * (
            ring.fields.reward[earned] if reward is None
            else reward(np.flatnonzero(longer), earned))
        last = np.where(longer, following, last)
    batch.next_observation[:] = ring.fields.next_observation[last]
    batch.discount[:] = power * ring.fields.discount[last]
    return batch
