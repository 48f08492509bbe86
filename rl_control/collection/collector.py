# SPDX-License-Identifier: Apache-2.0
"""
Collector: run a policy in an environment, output transitions, evaluate at intervals.

No ROS, no torch. The way of a transition: Environment.step -> Episode.add ->
TransitionOutput.send, which in the collector node is nodes.transition_publisher.
"""

from collections.abc import Callable
from dataclasses import dataclass
import logging
import math
import threading
import time
from typing import Protocol

import numpy as np

from rl_control.common.episode import CONFIRMATION, EVALUATION, TRAINING, Episode
from rl_control.common.errors import EnvironmentFault
from rl_control.common.types import Outcome, Transition
from rl_control.config.nodes import CollectorSettings
from rl_control.environments.environment import Environment
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.policies.score import Score

logger = logging.getLogger(__name__)

NO_POLICY = -1  # version of uniformly drawn actions, before there is a policy
FAULTS_LIMIT = 3  # episodes in a row without a step, after which `run` gives up


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


class TransitionOutput(Protocol):
    """Destination of a collector's transitions; called on the collecting thread."""

    def send(self, transition: Transition) -> None:
        """Accept a transition of training; may block, so that the learner sets the pace."""

    def send_episode(self, end: EpisodeEnd) -> None:
        """Accept the end of an episode, of training or evaluation."""


class Collector:
    """
    The endless loop of a collector, to be run on its own thread.

    `policy` may be set from another thread at any time and is read between two ticks; an
    evaluation keeps one policy for all its episodes. `start` is the number of earlier starts of
    this collector: each start draws from its own random stream. `report_fault` gets the faults of
    a third-party environment; such an episode ends there and the next one begins. After
    FAULTS_LIMIT faults in a row without a step, `run` raises EnvironmentFault.
    """

    def __init__(
        self, environment: Environment, settings: CollectorSettings, output: TransitionOutput,
        start: int = 0, report_fault: Callable[[EnvironmentFault], None] = logger.warning,
    ) -> None:
        self.policy: OnnxPolicy | None = None
        self.steps = 0  # grows as long as the loop is not stuck
        self._whole_steps = 0  # without a fault
        self.stopped = threading.Event()
        self._environment = environment
        self._settings = settings
        self._output = output
        self._report_fault = report_fault
        self._rng, self._evaluation_rng = (
            np.random.default_rng([settings.seed, stream, start]) for stream in range(2))
        self._low = np.array(environment.contract.action_low)
        self._high = np.array(environment.contract.action_high)
        self._noise = np.empty(0)  # of the last step in this episode
        self._number = 0
        self._evaluated: tuple[str, int] | None = None  # run and version
        self._evaluation_due = 0.0
        self._best: Score | None = None  # of the evaluations since the start

    def apply_settings(self, settings: CollectorSettings) -> None:
        """Continue with other settings; only the live ones may differ."""
        self._settings = settings

    def run(self) -> None:
        """Collect until `stopped` is set; an episode that this cuts short is not reported."""
        faults = 0
        while not self.stopped.is_set():
            policy, steps = self.policy, self._whole_steps
            try:
                if policy is not None and self._evaluation_is_due(policy):
                    self._evaluate(policy)
                else:
                    self._train()
            except EnvironmentFault as fault:
                faults = faults + 1 if self._whole_steps == steps else 0
                if faults >= FAULTS_LIMIT:
                    raise
                self._report_fault(fault)

    def _train(self) -> None:
        """Run one exploring episode, with the newest policy at each tick."""
        episode = self._begin(self._rng)
        while not self.stopped.is_set():
            action, log_prob, version = self._explore(episode.observation)
            outcome = self._step(action)
            transition = episode.add(action, log_prob, version, outcome)
            self._output.send(transition)
            if outcome.terminated or outcome.truncated:
                self._output.send_episode(EpisodeEnd(episode, TRAINING, version, outcome))
                return

    def _evaluation_is_due(self, policy: OnnxPolicy) -> bool:
        return (self._settings.evaluate and (policy.run, policy.version) != self._evaluated
                and time.monotonic() >= self._evaluation_due)

    def _evaluate(self, policy: OnnxPolicy) -> None:
        """Evaluate one version; confirm it if it reaches the target or beats the best so far."""
        settings = self._settings
        self._evaluation_due = time.monotonic() + settings.evaluation_period
        self._evaluated = policy.run, policy.version
        score = Score(policy.version)
        self._add_episodes(policy, EVALUATION, settings.evaluation_episodes, score)
        best = self._best
        if (score.successes >= settings.success_target * settings.evaluation_episodes
                and settings.confirmation_episodes):
            self._add_episodes(policy, CONFIRMATION, settings.confirmation_episodes, score)
        elif best is not None and score.rank > best.rank:
            # The best of many evaluations is biased upwards, so it is repeated with fresh goals.
            self._add_episodes(policy, EVALUATION, settings.evaluation_episodes, score)
        if best is None or score.rank > best.rank:
            self._best = score

    def _add_episodes(
        self, policy: OnnxPolicy, phase: int, episodes: int, score: Score,
    ) -> None:
        for _ in range(episodes):
            if (end := self._evaluation_episode(policy, phase)) is not None:
                score.add(end.outcome.success, end.episode.reward_sum)

    def _evaluation_episode(self, policy: OnnxPolicy, phase: int) -> EpisodeEnd | None:
        """Run one episode without noise; return its end, None if it was cut short."""
        if self.stopped.is_set():
            return None
        episode = self._begin(self._evaluation_rng)
        while not self.stopped.is_set():
            action, log_prob = policy.act(episode.observation)
            outcome = self._step(action)
            episode.add(action, log_prob, policy.version, outcome)
            if outcome.terminated or outcome.truncated:
                end = EpisodeEnd(episode, phase, policy.version, outcome)
                self._output.send_episode(end)
                return end
        return None

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
            # A stationary Ornstein-Uhlenbeck process of standard deviation 1.
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
