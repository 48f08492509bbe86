# SPDX-License-Identifier: Apache-2.0
"""Returns over several steps, along the links of a ring."""

import numpy as np

from rl_control.learning.replay.replay_buffer import NO_ROW, Batch, ReplayBuffer


def window(ring: ReplayBuffer, slots: np.ndarray, steps: int) -> tuple[np.ndarray, Batch]:
    """
    Return the slots (m, b) of the rows from `slots` (b,) on, and what is in them.

    The fields are copies (m, b, ...), m `steps` at most. Behind the last row of a column stands
    NO_ROW, and anything in its fields: where the episode ends, by termination or time-out, and
    where the next row has not come, is gone, or is of another stream.
    """
    path = np.full((steps, len(slots)), NO_ROW)
    path[0] = slots
    for k in range(1, steps):
        here = path[k - 1]
        goes_on = (here != NO_ROW) & (ring.fields.discount[here] > 0.0)
        path[k] = np.where(goes_on, ring.successor[here], NO_ROW)
        if not goes_on.any():
            path = path[:k]
            break
    return path, Batch.views(np.take(ring.rows, path, axis=0, mode='clip'), *ring.sizes)


def n_step(
    fields: Batch,
    alive: np.ndarray,
    gamma: float,
    reward: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Batch:
    """
    Return the first rows (b,) of `fields` (m, b, ...) with the rewards of all that are `alive`.

    `alive` (m, b) bool is true from the first row of each column to some other. The reward is
    r_0 + gamma r_1 + ... (Watkins 1989, section 7.1), next_observation what the last of these
    steps led to, and discount that step's times gamma^(m - 1) after m steps. `reward` (m, b) is
    earned in place of what stands in `fields`; `weight` (m, b) multiplies the discount.
    """
    power = np.power(gamma, np.arange(len(alive)), dtype=np.float32)
    last = alive.sum(0) - 1
    columns = np.arange(len(last))
    earned = np.where(alive, fields.reward if reward is None else reward, 0.0)
    discount = power[last] * fields.discount[last, columns]
    return Batch(
        observation=fields.observation[0],
        action=fields.action[0],
        reward=(power[:, None] * earned).sum(0, dtype=np.float32),
        next_observation=fields.next_observation[last, columns],
        discount=discount if weight is None else discount * weight[last, columns],
    )
