# SPDX-License-Identifier: Apache-2.0
"""How far a policy goes from what was done in the data, which no estimate sees past."""

from dataclasses import dataclass

import numpy as np

STATES = 1000  # of the data that are looked at
NEIGHBOURS = 50  # nearest states, of other episodes
KNOWN = 50_000  # rows, at most, among which they are searched
MIN_RADIUS = 0.05  # half ranges: what is nearer than this is never far
QUANTILE = 0.95
CHUNK = 200


@dataclass(frozen=True)
class Support:
    """
    What `support` finds, in half action ranges; `far` is the share of the policy's actions.

    `limit` is what an action is far beyond; `policy` and `data` are medians of the distance.
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
    Compare the policy's actions with what was done in similar states; None for one episode.

    For some states, `NEIGHBOURS` of other episodes are found that are nearest to it by
    `observation` (n, o), normalised. The distance of an action is that, root mean square over
    columns, to the nearest of what was done there: `action` (n, a) in half ranges. That of
    `policy_action` (n, a) is far where it is more than that of 95 % of the data's own actions.
    """
    if len(np.unique(episode)) < 2:
        return None
    rng = np.random.default_rng(seed)
    known = rng.permutation(len(action))[:KNOWN]
    asked = rng.permutation(len(action))[:STATES]
    states = observation[known].astype(np.float32)
    squares = np.square(states).sum(axis=1)
    distances = []
    for begin in range(0, len(asked), CHUNK):
        rows = asked[begin:begin + CHUNK]
        away = squares - 2.0 * (observation[rows].astype(np.float32) @ states.T)
        away[episode[rows][:, None] == episode[known]] = np.inf
        number = min(NEIGHBOURS, len(known) - 1)
        near = np.argpartition(away, number, axis=1)[:, :number]
        found = np.isfinite(np.take_along_axis(away, near, axis=1))
        done = action[known][near]  # (rows, neighbours, a)
        distances.append([
            _nearest(done, found, given[rows]) for given in (action, policy_action)])
    data, policy = np.concatenate(distances, axis=1)
    limit = max(MIN_RADIUS, float(np.quantile(data, QUANTILE)))
    return Support(
        float(np.mean(policy > limit)), limit, float(np.median(policy)), float(np.median(data)))


def _nearest(done: np.ndarray, found: np.ndarray, given: np.ndarray) -> np.ndarray:
    away = np.sqrt(np.square(done - given[:, None]).mean(axis=2))
    return np.where(found, away, np.inf).min(axis=1)
