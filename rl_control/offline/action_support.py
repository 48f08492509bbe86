# SPDX-License-Identifier: Apache-2.0
"""Action support: the distance of a policy's actions from those of the data."""

from dataclasses import dataclass

import numpy as np

SAMPLED_STATES = 1000  # states of the data whose actions are compared
NEIGHBOURS = 50  # nearest states, of other episodes
SEARCHED_ROWS = 50_000  # largest number of rows that are searched for neighbours
MIN_RADIUS = 0.05  # half ranges: an action nearer than this is never far
QUANTILE = 0.95  # of the data's own distances, beyond which an action is far
CHUNK = 200


@dataclass(frozen=True)
class Support:
    """
    The result of `support`, in half action ranges.

    `far` is the share of the policy's actions that are farther than `limit`; `policy` and `data`
    are median distances.
    """

    far: float
    limit: float
    policy: float
    data: float


def support(
    observation: np.ndarray, action: np.ndarray, policy_action: np.ndarray, episode: np.ndarray,
    seed: int,
) -> Support | None:
    """
    Compare the policy's actions with the data's in similar states; return None for one episode.

    The `NEIGHBOURS` nearest states of other episodes are those by `observation` (n, o),
    normalised. The distance of an action is the root mean square over columns to the nearest
    `action` (n, a) of these neighbours, in half ranges. A `policy_action` (n, a) is far where its
    distance exceeds that of 95 % of the data's own actions.
    """
    if len(np.unique(episode)) < 2:
        return None
    rng = np.random.default_rng(seed)
    searched = rng.permutation(len(action))[:SEARCHED_ROWS]
    sampled = rng.permutation(len(action))[:SAMPLED_STATES]
    states = observation[searched].astype(np.float32)
    squares = np.square(states).sum(axis=1)
    distances = []
    for begin in range(0, len(sampled), CHUNK):
        rows = sampled[begin:begin + CHUNK]
        # Squared distances, less |observation|^2, which is the same for all neighbours.
        distance = squares - 2.0 * (observation[rows].astype(np.float32) @ states.T)
        distance[episode[rows][:, None] == episode[searched]] = np.inf
        number = min(NEIGHBOURS, len(searched) - 1)
        near = np.argpartition(distance, number, axis=1)[:, :number]
        valid = np.isfinite(np.take_along_axis(distance, near, axis=1))
        neighbours = action[searched][near]  # (rows, neighbours, a)
        distances.append([
            _nearest(neighbours, valid, actions[rows]) for actions in (action, policy_action)])
    data, policy = np.concatenate(distances, axis=1)
    limit = max(MIN_RADIUS, float(np.quantile(data, QUANTILE)))
    return Support(
        float(np.mean(policy > limit)), limit, float(np.median(policy)), float(np.median(data)))


def _nearest(neighbours: np.ndarray, valid: np.ndarray, action: np.ndarray) -> np.ndarray:
    distance = np.sqrt(np.square(neighbours - action[:, None]).mean(axis=2))
    return np.where(valid, distance, np.inf).min(axis=1)
