# SPDX-License-Identifier: Apache-2.0
"""N-step returns: sum rewards along an episode's rows in the replay buffer."""

import numpy as np

from rl_control.learning.replay.replay_buffer import NO_ROW, Batch, ReplayBuffer


def window(replay: ReplayBuffer, slots: np.ndarray, steps: int) -> tuple[np.ndarray, Batch]:
    """
    Return the slots (m, b) of the rows that follow `slots` (b,), and their fields.

    The fields are copies (m, b, ...), with m at most `steps`. A column is padded with NO_ROW, and
    arbitrary fields, after its last row: where the episode terminates or times out, and where the
    next row has not arrived, was overwritten, or belongs to another stream.
    """
    path = np.full((steps, len(slots)), NO_ROW)
    path[0] = slots
    for k in range(1, steps):
        here = path[k - 1]
        continues = (here != NO_ROW) & (replay.fields.discount[here] > 0.0)
        path[k] = np.where(continues, replay.successor[here], NO_ROW)
        if not continues.any():
            path = path[:k]
            break
    return path, Batch.views(np.take(replay.rows, path, axis=0, mode='clip'), *replay.sizes)


def n_step(
    fields: Batch,
    alive: np.ndarray,
    gamma: float,
    reward: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Batch:
    """
    Return the first rows (b,) of `fields` (m, b, ...) with the return over the `alive` rows.

    `alive` (m, b) bool is true from the first row of each column to its last row that counts. The
    reward is r_0 + gamma r_1 + ... (Watkins 1989, section 7.1), next_observation that of the last
    alive row, and discount that row's times gamma^(m - 1) after m steps. `reward` (m, b) replaces
    the rewards of `fields`; `weight` (m, b) multiplies the discount.
    """
    power = np.power(gamma, np.arange(len(alive)), dtype=np.float32)
    last = alive.sum(0) - 1
    columns = np.arange(len(last))
    rewards = np.where(alive, fields.reward if reward is None else reward, 0.0)
    discount = power[last] * fields.discount[last, columns]
    return Batch(
        observation=fields.observation[0],
        action=fields.action[0],
        reward=(power[:, None] * rewards).sum(0, dtype=np.float32),
        next_observation=fields.next_observation[last, columns],
        discount=discount if weight is None else discount * weight[last, columns],
    )
