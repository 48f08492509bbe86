# SPDX-License-Identifier: Apache-2.0
"""Collecting: act, tell what happened, evaluate at intervals. No ROS, no torch."""

from collections.abc import Callable
from dataclasses import dataclass
import logging
import math
import threading
import time

import numpy as np

from rl_control.common.episode import CONFIRMATION, EVALUATION, TRAINING, Episode
from rl_control.common.errors import EnvironmentFault
from rl_control.common.types import Outcome, Transition
from rl_control.config.nodes import CollectorSettings
from rl_control.environments.environment import Environment
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.policies.score import Score

logger = logging.getLogger(__name__)

NO_POLICY = -1  # the version of actions drawn evenly, before there is a policy
FAULTS_LIMIT = 3  # episodes in a row without a step, after which an environment is given up


@dataclass(frozen=True, slots=True)
class EpisodeEnd:
    """
    A finished episode and its last outcome.

    `phase` is TRAINING, EVALUATION or CONFIRMATION, `version` the policy's at the last step.
    """

    episode: Episode
    phase: int
    version: int
    outcome: Outcome


class Collector:
    """
    The endless loop of a collector, on a thread of its own.

    `tell` takes each transition of training and may wait (that is how the learner sets the
    pace); `tell_end` takes each finished episode. `policy` is swapped from another thread at any
    time and taken up between two ticks; an evaluation keeps one policy for all its episodes.
    `start` is how many starts of this collector came before: each draws from a stream of its own.
    `tell_fault` takes what an environment of others did wrong; its episode ends there and the
    next one begins. Where FAULTS_LIMIT of them in a row made no step, `run` raises it.
    """

    def __init__(
        self,
        environment: Environment,
        settings: CollectorSettings,
        tell: Callable[[Transition], None],
        tell_end: Callable[[EpisodeEnd], None],
        start: int = 0,
        tell_fault: Callable[[EnvironmentFault], None] = logger.warning,
    ) -> None:
        self.policy: OnnxPolicy | None = None
        self.steps = 0  # grows as long as the loop is not stuck
        self._whole_steps = 0  # those without a fault
        self.stopped = threading.Event()
        self._environment = environment
        self._settings = settings
        self._tell = tell
        self._tell_end = tell_end
        self._tell_fault = tell_fault
        self._rng, self._evaluation_rng = (
            np.random.default_rng([settings.seed, stream, start]) for stream in range(2))
        self._low = np.array(environment.contract.action_low)
        self._high = np.array(environment.contract.action_high)
        self._noise = np.empty(0)  # the last step's, within an episode
        self._number = 0
        self._evaluated: tuple[str, int] | None = None  # run and version
        self._evaluation_due = 0.0
        self._best: Score | None = None  # of what was evaluated since the start

    def apply_settings(self, settings: CollectorSettings) -> None:
        """Go on with other settings, of which the live ones may differ."""
        self._settings = settings

    def run(self) -> None:
        """Collect until `stopped` is set; the episode that this cuts short has no end told."""
        faults = 0
        while not self.stopped.is_set():
            policy, steps = self.policy, self._whole_steps
            try:
                if policy is not None and self._due(policy):
                    self._evaluate(policy)
                else:
                    self._train()
            except EnvironmentFault as fault:
                faults = faults + 1 if self._whole_steps == steps else 0
                if faults >= FAULTS_LIMIT:
                    raise
                self._tell_fault(fault)

    def _due(self, policy: OnnxPolicy) -> bool:
        return (self._settings.evaluate and (policy.run, policy.version) != self._evaluated
                and time.monotonic() >= self._evaluation_due)

    def _evaluate(self, policy: OnnxPolicy) -> None:
        """Evaluate one version; if it reaches the target, or beats all before, do so again."""
        settings = self._settings
        self._evaluation_due = time.monotonic() + settings.evaluation_period
        self._evaluated = policy.run, policy.version
        score = Score(policy.version)
        self._judge(policy, EVALUATION, settings.evaluation_episodes, score)
        best = self._best
        if (score.successes >= settings.success_target * settings.evaluation_episodes
                and settings.confirmation_episodes):
            self._judge(policy, CONFIRMATION, settings.confirmation_episodes, score)
        elif best is not None and score.rank > best.rank:
            # The best of many is as a rule a lucky one, so it is judged by fresh goals as well.
            self._judge(policy, EVALUATION, settings.evaluation_episodes, score)
        if best is None or score.rank > best.rank:
            self._best = score

    def _judge(self, policy: OnnxPolicy, phase: int, episodes: int, score: Score) -> None:
        for _ in range(episodes):
            if (end := self._deterministic(policy, phase)) is not None:
                score.add(end.outcome.success, end.episode.reward_sum)

    def _deterministic(self, policy: OnnxPolicy, phase: int) -> EpisodeEnd | None:
        """Run one episode without noise, kept out of training; return its end, if it has one."""
        if self.stopped.is_set():
            return None
        episode = self._begin(self._evaluation_rng)
        while not self.stopped.is_set():
            action, log_prob = policy.act(episode.observation)
            outcome = self._step(action)
            episode.add(action, log_prob, policy.version, outcome)
            if outcome.terminated or outcome.truncated:
                end = EpisodeEnd(episode, phase, policy.version, outcome)
                self._tell_end(end)
                return end
        return None

    def _train(self) -> None:
        """Run one exploring episode with the newest policy at each tick."""
        episode = self._begin(self._rng)
        while not self.stopped.is_set():
            action, log_prob, version = self._explore(episode.observation)
            outcome = self._step(action)
            self._tell(episode.add(action, log_prob, version, outcome))
            if outcome.terminated or outcome.truncated:
                self._tell_end(EpisodeEnd(episode, TRAINING, version, outcome))
                return

    def _step(self, action: np.ndarray) -> Outcome:
        self.steps += 1
        outcome = self._environment.step(action)
        self._whole_steps += 1
        return outcome

    def _begin(self, rng: np.random.Generator) -> Episode:
        self._number += 1
        self._noise = np.empty(0)
        return Episode(self._number - 1, self._environment.reset(rng))

    def _explore(self, observation: np.ndarray) -> tuple[np.ndarray, float, int]:
        """Return action, its log_prob per normalised range [-1, 1], and the policy's version."""
        policy = self.policy
        if policy is None:
            action = self._rng.uniform(self._low, self._high)
            return action, -len(action) * math.log(2.0), NO_POLICY
        noise = self._rng.standard_normal(policy.noise_size)
        kept = policy.noise_correlation
        if kept and len(self._noise) == len(noise):
            # An Ornstein-Uhlenbeck process of deviation 1: some of the last step's is kept.
            noise = kept * self._noise + math.sqrt(1.0 - kept * kept) * noise
        self._noise = noise
        factor = self._settings.exploration
        if factor == 1.0:
            return *policy.act(observation, noise), policy.version
        action, log_prob = policy.act(observation, factor * noise)
        return action, scaled_log_prob(log_prob, noise, factor), policy.version


def scaled_log_prob(log_prob: float, noise: np.ndarray, factor: float) -> float:
    """
    Return the log density of an action whose noise was `factor` times standard normal.

    `log_prob` is what the policy computes for that action, as if `factor * noise` (n,) were
    standard normal itself: change of variables, so log N(noise) - n log factor takes the place
    of log N(factor noise). NaN for a factor of 0, which leaves one action.
    """
    if factor == 0.0:
        return math.nan
    return (log_prob + 0.5 * (factor * factor - 1.0) * float(noise @ noise)
            - len(noise) * math.log(factor))
