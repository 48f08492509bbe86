# SPDX-License-Identifier: Apache-2.0
"""Off-policy corrections of n-step returns: cut traces, and Retrace (Munos et al. 2016)."""

from collections.abc import Callable

import numpy as np

from rl_control.learning.replay.replay_buffer import Batch


def cut(
    fields: Batch, alive: np.ndarray, act: Callable[[np.ndarray], np.ndarray],
    tolerance: np.ndarray,
) -> np.ndarray:
    """
    Return `alive` (m, b), ended before the first action that the current policy would not take.

    An action differs where any column is farther than `tolerance` (a,) from what
    `act(observation (k, o)) -> (k, a)` returns. The first row of a return always counts.
    """
    later = alive[1:]
    on_policy = np.ones_like(alive)
    if later.any():
        difference = np.abs(act(fields.observation[1:][later]) - fields.action[1:][later])
        on_policy[1:][later] = (difference <= tolerance).all(1)
    return np.logical_and.accumulate(alive & on_policy)


def retrace(
    fields: Batch, alive: np.ndarray, log_prob: np.ndarray,
    evaluate: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
    decay: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return `alive`, and `reward` and `weight` (m, b), such that `n_step` of them is Retrace.

    Munos et al. 2016, equations 3 and 4: the target is q(s_0, a_0) + sum over t of
    gamma^t c_1 ... c_t (r_t + gamma v(s_{t+1}) - q(s_t, a_t)), and its first q cancels.
    c_t = decay min(1, pi(a_t | s_t) / mu(a_t | s_t)), where `log_prob` (m, b) is the logarithm of
    mu: the return ends before a row where that is NaN. `evaluate(observation (k, o),
    action (k, a))` returns q, v and the logarithm of pi, (k,) each.
    """
    known = np.ones_like(alive)
    known[1:] = ~np.isnan(log_prob[1:])
    alive = np.logical_and.accumulate(alive & known)
    behind = alive[1:]
    q, value, ratio = np.zeros((3, *alive.shape), np.float32)
    ratio[0] = 1.0
    if behind.any():
        q[1:][behind], value[1:][behind], log_pi = evaluate(
            fields.observation[1:][behind], fields.action[1:][behind])
        ratio[1:][behind] = decay * np.exp(np.minimum(0.0, log_pi - log_prob[1:][behind]))
    weight = np.cumprod(ratio, axis=0)
    reward = weight * (fields.reward - q)
    reward[1:] += weight[:-1] * value[1:]
    return alive, reward, weight
