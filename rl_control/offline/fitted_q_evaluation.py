# SPDX-License-Identifier: Apache-2.0
"""
Fitted Q evaluation: what a policy is worth, from data that another one made.

Le et al. 2019, 'Batch Policy Learning under Constraints', arXiv:1903.08738, algorithm 3: q is
fitted again and again to reward + gamma * discount * q of the last fit at the policy's own next
action. The interval is that of Hao et al. 2021, 'Bootstrapping Fitted Q-Evaluation for Off-Policy
Inference', arXiv:2102.03607, which resamples episodes; here they are weighted, by the Bayesian
bootstrap (Rubin 1981), so that all fits learn from one batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rl_control.learning.algorithms.networks import Critics
from rl_control.learning.algorithms.optimiser import Adam, Weights

PERIOD = 50  # updates of one fit
SHOW_EVERY = 100  # updates
STARTS = 1024  # states, at most, that the value is the mean of


@dataclass(frozen=True)
class FittedSettings:
    """How the fits are made; `gamma` is of one step."""

    gamma: float
    updates: int
    members: int
    seed: int
    hidden_sizes: tuple[int, ...] = (128, 128)
    batch_size: int = 256
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Known:
    """
    What is evaluated from, normalised: `here` and `there` (n, k) are what q is a function of.

    For a policy these are observation and action, next_observation and the policy's own action
    there; for the behaviour, whose value of a state is fitted, observation and next_observation.
    `reward`, `discount` (n,); `episode` (n,) numbers from 0; `start` (m, k) is where episodes
    begin, and `start_episode` (m,) of which one.
    """

    here: np.ndarray
    there: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    episode: np.ndarray
    start: np.ndarray
    start_episode: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """The value (members,) at the starts, averaged over the last fits, and how it still moved."""

    values: np.ndarray
    drift: float  # of the mean value, from the last eighth of the fits but one to the last
    at_limit: float  # share of the targets that would have left what the rewards allow


def fit(
    known: Known, settings: FittedSettings, show: Callable[[str, Mapping[str, float]], None],
    stopped: Callable[[], bool],
) -> Fitted | None:
    """
    Return what episodes are worth from their start, or None when `stopped` said so.

    Equal data sizes and settings draw equal batches and weights, so that the members of two
    evaluations of the same data may be compared one by one.
    """
    rng = np.random.default_rng(settings.seed)
    weights = rng.exponential(size=(settings.members, 1 + known.episode.max()))
    chosen = rng.permutation(len(known.start))[:STARTS]
    shares = weights[:, known.start_episode[chosen]]
    shares /= shares.sum(axis=1, keepdims=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        q = Critics(known.here.shape[1], 0, settings.hidden_sizes, settings.members)
        target = Critics(known.here.shape[1], 0, settings.hidden_sizes, settings.members)
    online, frozen = Weights(q.parameters()), Weights(target.requires_grad_(False).parameters())
    optimiser = Adam(online, settings.learning_rate)
    scale = _Scale(known, settings.gamma)
    here, there, reward, discount, start = (
        torch.from_numpy(np.ascontiguousarray(part, np.float32))
        for part in (known.here, known.there, known.reward, known.discount,
                     known.start[chosen]))
    # The head's first guess would be the first target: begin with none instead.
    with torch.no_grad():
        q.weights[-1].zero_()
        q.biases[-1].zero_()

    history, beyond = [], []
    for update in range(settings.updates):
        if update % PERIOD == 0:
            frozen.polyak_update(online, 1.0)
            with torch.no_grad():
                history.append(scale.value(_of(q, start)).numpy())
        rows = rng.integers(len(here), size=settings.batch_size)
        weight = torch.from_numpy(weights[:, known.episode[rows]].astype(np.float32))
        chosen_rows = torch.from_numpy(rows)
        with torch.no_grad():
            next_q = scale.value(_of(target, there[chosen_rows]))
            target_q = reward[chosen_rows] + settings.gamma * discount[chosen_rows] * next_q
            target_q, share = scale.limited(target_q)
        loss = (weight * (_of(q, here[chosen_rows]) - scale.normalised(target_q)).square())
        optimiser.step(loss.mean(1).sum())
        if update % SHOW_EVERY == 0:
            beyond.append(float(share))
            show('evaluating', {'updates': update, 'of': settings.updates})
            if stopped():
                return None
    values = (np.array(history) * shares).sum(axis=2)  # (fits, members)
    eighth = max(1, len(values) // 8)
    last, before = values[-eighth:], values[-2 * eighth:-eighth]
    drift = float(last.mean() - before.mean()) if len(before) else float('inf')
    return Fitted(last.mean(axis=0), drift, float(np.mean(beyond[len(beyond) // 2:])))


def _of(q: Critics, rows: Tensor) -> Tensor:
    """Return q (members, b): all of its input counts as observation here."""
    return q(rows, rows[:, :0])


class _Scale:
    """Between q and what the networks give, which is about 1 in size; and q's own limits."""

    def __init__(self, known: Known, gamma: float) -> None:
        horizon = 1.0 / max(1e-3, 1.0 - gamma * float(known.discount.mean()))
        self._mean = float(known.reward.mean()) * horizon
        self._deviation = float(known.reward.std()) * horizon or 1.0
        self._low, self._high = -float('inf'), float('inf')
        if gamma < 1.0:
            # Behind an end nothing comes: 0, which all rewards may be below or above.
            ends = [0.0] if (known.discount < 1.0).any() else []
            self._low = min([float(known.reward.min()) / (1.0 - gamma), *ends])
            self._high = max([float(known.reward.max()) / (1.0 - gamma), *ends])

    def value(self, output: Tensor) -> Tensor:
        return self._mean + self._deviation * output

    def normalised(self, value: Tensor) -> Tensor:
        return (value - self._mean) / self._deviation

    def limited(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return values within what the rewards allow, and what share of them was not."""
        limited = value.clamp(self._low, self._high)
        return limited, (limited != value).float().mean()
