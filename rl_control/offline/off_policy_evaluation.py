# SPDX-License-Identifier: Apache-2.0
"""Off-policy evaluation: compare a policy's value with the behaviour's, from fixed data."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rl_control.bags.dataset import Dataset, pieces
from rl_control.common.statistics import student_95
from rl_control.learning.algorithms.networks import Normaliser
from rl_control.offline.action_support import Support, support
from rl_control.offline.fitted_q_evaluation import (
    EvaluationData,
    FittedSettings,
    FittedValues,
    fit,
)

if TYPE_CHECKING:
    from rl_control.learning.algorithms.agent import Agent

CHUNK = 8192  # rows of one pass through the policy
MAX_FAR_SHARE = 0.2  # share of far actions above which the estimate is a guess
MIN_EPISODES = 20  # below, the interval is too uncertain
MAX_AT_LIMIT = 0.01  # share of clipped targets above which the fit has diverged
Show = Callable[[str, Mapping[str, float]], None]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> 'Estimate':
        """Return mean and interval of the values (members,) of a bootstrap."""
        value = float(values.mean())
        half = student_95(len(values) - 1) * float(values.std(ddof=1))
        return cls(value, value - half, value + half)


def evaluate_policy(
    agent: 'Agent', dataset: Dataset, settings: FittedSettings, show: Show,
    stopped: Callable[[], bool],
) -> dict[str, Any] | None:
    """
    Return figures and warnings as JSON holds them, or None when `stopped` is true.

    All values are sums of rewards discounted by `settings.gamma`, from the beginnings of episodes
    and continued past time-outs. Where no episode is recorded from its beginning, the values are
    from the beginnings of its pieces.
    """
    rows = dataset.rows
    normaliser = Normaliser(rows.observation.shape[1], 'fixed')
    normaliser.observe(torch.from_numpy(rows.observation))
    observation, next_observation = (
        normaliser(torch.from_numpy(part.astype(np.float32))).numpy()
        for part in (rows.observation, rows.next_observation))
    contract = dataset.contract
    low, high = np.array(contract.action_low), np.array(contract.action_high)

    def half_ranges(action: np.ndarray) -> np.ndarray:
        return (2.0 * (action - low) / (high - low) - 1.0).astype(np.float32)

    action = half_ranges(rows.action)
    policy_action, next_action = (
        half_ranges(_actions(agent, part)) for part in (rows.observation, rows.next_observation))
    _, episode = np.unique(
        dataset.stream * (1 + rows.episode.max()) + rows.episode, return_inverse=True)
    starts = np.flatnonzero(rows.step == 0)
    if not len(starts):
        starts = np.array([piece[0] for piece in pieces(dataset)])

    def evaluation_data(
        inputs: np.ndarray, next_inputs: np.ndarray, start: np.ndarray,
    ) -> EvaluationData:
        return EvaluationData(
            inputs, next_inputs, rows.reward, 1.0 - rows.terminated, episode, start,
            episode[starts])

    fits: list[FittedValues] = []
    for part in (
        evaluation_data(
            np.hstack((observation, action)), np.hstack((next_observation, next_action)),
            np.hstack((observation, policy_action))[starts]),
        evaluation_data(observation, next_observation, observation[starts]),
    ):
        fitted = fit(part, settings, show, stopped)
        if fitted is None:
            return None
        fits.append(fitted)
    policy, behaviour = fits
    near = support(observation, action, policy_action, episode, settings.seed)
    difference = Estimate.of(policy.values - behaviour.values)
    return {
        'gamma': settings.gamma,
        'policy': asdict(Estimate.of(policy.values)),
        'behaviour': asdict(Estimate.of(behaviour.values)),
        'difference': asdict(difference),
        'support': near and asdict(near),
        'drift': policy.drift,
        'episodes': len(starts),
        'warnings': list(_warnings(
            {'policy': policy, 'behaviour': behaviour}, difference, near, len(starts))),
    }


def _warnings(
    fits: Mapping[str, FittedValues], difference: Estimate, near: Support | None, episodes: int,
) -> Iterator[str]:
    """Yield a sentence for each reason to distrust the estimates."""
    if near is None:
        yield ("All data is of one episode, so the distance of the policy's actions from the "
               "data's is unknown: the data cannot tell the policy's value.")
    elif near.far > MAX_FAR_SHARE:
        yield (f"In {near.far:.0%} of the states the policy's action is farther from the data's "
               "actions in similar states than 95 % of the data's own actions "
               f'({near.limit:.2f} half ranges): the data cannot tell what these lead to, and '
               'the estimate is a guess.')
    for name, fitted in fits.items():
        if abs(fitted.drift) > max(difference.high - difference.low, 1e-9) / 2:
            yield (f'The estimate of the {name} still moved by {fitted.drift:.3g} at its end: '
                   'increase evaluation_updates.')
        if fitted.at_limit > MAX_AT_LIMIT:
            yield (f'{fitted.at_limit:.0%} of the values that were fitted for the {name} left '
                   'the range that the rewards allow: the estimate has diverged and is useless.')
    if episodes < MIN_EPISODES:
        yield f'There are {episodes} episodes, too few for a reliable interval.'
    if difference.low <= 0.0 <= difference.high:
        yield 'The data cannot tell whether the policy is better than the behaviour policy.'


def _actions(agent: 'Agent', observation: np.ndarray) -> np.ndarray:
    """Return the policy's actions (n, a) without noise at observations (n, o), in SI units."""
    return np.concatenate([
        agent.act(observation[first:first + CHUNK].astype(np.float32))
        for first in range(0, len(observation), CHUNK)])
