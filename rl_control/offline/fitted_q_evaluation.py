# SPDX-License-Identifier: Apache-2.0
"""
Fitted Q evaluation (FQE): estimate a policy's value from another policy's data.

Le et al. 2019, 'Batch Policy Learning under Constraints', arXiv:1903.08738, algorithm 3: each fit
regresses q on target_q = reward + gamma * discount * next_q, where next_q is the last fit's at the
policy's next action. The interval follows Hao et al. 2021, 'Bootstrapping Fitted Q-Evaluation for
Off-Policy Inference', arXiv:2102.03607, which resamples episodes; here the Bayesian bootstrap
(Rubin 1981) weights them, so that all members train from one batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rl_control.learning.algorithms.networks import Critics
from rl_control.learning.algorithms.optimiser import Adam, Weights

FIT_PERIOD = 50  # updates of one fit
SHOW_PERIOD = 100  # updates between two calls of `show`
MAX_STARTS = 1024  # largest number of start states that the value is averaged over


@dataclass(frozen=True)
class FittedSettings:
    """Hyper-parameters of the fits; `gamma` is the discount of one step."""

    gamma: float
    updates: int
    members: int
    seed: int
    hidden_sizes: tuple[int, ...] = (128, 128)
    batch_size: int = 256
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class EvaluationData:
    """
    Transitions as inputs of q, normalised.

    For the policy's q(s, a) `inputs` (n, k) are observation and action, `next_inputs` (n, k)
    next_observation and the policy's action there; for the behaviour's v(s) they are observation
    and next_observation. `reward` and `discount` are (n,); `episode` (n,) numbers episodes from 0;
    `start` (m, k) are inputs at the beginnings of the episodes `start_episode` (m,).
    """

    inputs: np.ndarray
    next_inputs: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    episode: np.ndarray
    start: np.ndarray
    start_episode: np.ndarray


@dataclass(frozen=True)
class FittedValues:
    """The values (members,) at the starts, averaged over the last eighth of the fits."""

    values: np.ndarray
    drift: float  # change of the mean value between the last two eighths of the fits
    at_limit: float  # share of the targets that were clipped to the range the rewards allow


def fit(
    data: EvaluationData, settings: FittedSettings,
    show: Callable[[str, Mapping[str, float]], None], stopped: Callable[[], bool],
) -> FittedValues | None:
    """
    Return the discounted values of episodes from their start, or None when `stopped` is true.

    Equal data sizes and settings draw equal batches and weights, so that the members of two
    evaluations of the same data can be compared pairwise.
    """
    rng = np.random.default_rng(settings.seed)
    weights = rng.exponential(size=(settings.members, 1 + data.episode.max()))
    chosen = rng.permutation(len(data.start))[:MAX_STARTS]
    shares = weights[:, data.start_episode[chosen]]
    shares /= shares.sum(axis=1, keepdims=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        q = Critics(data.inputs.shape[1], 0, settings.hidden_sizes, settings.members)
        target = Critics(data.inputs.shape[1], 0, settings.hidden_sizes, settings.members)
    online, frozen = Weights(q.parameters()), Weights(target.requires_grad_(False).parameters())
    optimiser = Adam(online, settings.learning_rate)
    scale = _Scale(data, settings.gamma)
    inputs, next_inputs, reward, discount, start = (
        torch.from_numpy(np.ascontiguousarray(part, np.float32))
        for part in (data.inputs, data.next_inputs, data.reward, data.discount,
                     data.start[chosen]))
    # The random head would be the first target: begin with zeros.
    with torch.no_grad():
        q.weights[-1].zero_()
        q.biases[-1].zero_()

    history, clipped = [], []
    for update in range(settings.updates):
        if update % FIT_PERIOD == 0:
            frozen.polyak_update(online, 1.0)
            with torch.no_grad():
                history.append(scale.value(_of(q, start)).numpy())
        rows = rng.integers(len(inputs), size=settings.batch_size)
        weight = torch.from_numpy(weights[:, data.episode[rows]].astype(np.float32))
        chosen_rows = torch.from_numpy(rows)
        with torch.no_grad():
            next_q = scale.value(_of(target, next_inputs[chosen_rows]))
            target_q = reward[chosen_rows] + settings.gamma * discount[chosen_rows] * next_q
            target_q, share = scale.limited(target_q)
        loss = (weight * (_of(q, inputs[chosen_rows]) - scale.normalised(target_q)).square())
        optimiser.step(loss.mean(1).sum())
        if update % SHOW_PERIOD == 0:
            clipped.append(float(share))
            show('evaluating', {'updates': update, 'of': settings.updates})
            if stopped():
                return None
    values = (np.array(history) * shares).sum(axis=2)  # (fits, members)
    eighth = max(1, len(values) // 8)
    last, before = values[-eighth:], values[-2 * eighth:-eighth]
    drift = float(last.mean() - before.mean()) if len(before) else float('inf')
    return FittedValues(last.mean(axis=0), drift, float(np.mean(clipped[len(clipped) // 2:])))


def _of(q: Critics, rows: Tensor) -> Tensor:
    """Return q (members, b) of inputs (b, k), all of which pass as observations."""
    return q(rows, rows[:, :0])


class _Scale:
    """The scale between q and the networks' outputs of about 1, and the limits of q."""

    def __init__(self, data: EvaluationData, gamma: float) -> None:
        horizon = 1.0 / max(1e-3, 1.0 - gamma * float(data.discount.mean()))
        self._mean = float(data.reward.mean()) * horizon
        self._deviation = float(data.reward.std()) * horizon or 1.0
        self._low, self._high = -float('inf'), float('inf')
        if gamma < 1.0:
            # The value after termination is 0, also where all rewards lie on one side of it.
            ends = [0.0] if (data.discount < 1.0).any() else []
            self._low = min([float(data.reward.min()) / (1.0 - gamma), *ends])
            self._high = max([float(data.reward.max()) / (1.0 - gamma), *ends])

    def value(self, output: Tensor) -> Tensor:
        return self._mean + self._deviation * output

    def normalised(self, value: Tensor) -> Tensor:
        return (value - self._mean) / self._deviation

    def limited(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values clipped to the range that the rewards allow, and the clipped share."""
        limited = value.clamp(self._low, self._high)
        return limited, (limited != value).float().mean()
