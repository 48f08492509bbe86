# SPDX-License-Identifier: Apache-2.0
"""Live collector: collect on an arm that the operator may stop in the middle of an episode."""

from dataclasses import replace

from rl_control.collection.collector import Collector, EpisodeEnd
from rl_control.common.episode import TRAINING
from rl_control.common.errors import NonFinite
from rl_control.environments.environment import Interrupted
from rl_control.policies.onnx_policy import OnnxPolicy


class LiveCollector(Collector):
    """
    Collector in a LiveEnvironment, whose episodes may be interrupted.

    A transition is sent when the next one is made, so that the last one before a stop can be sent
    as truncated. Evaluation episodes with an interruption or intervention are repeated.
    """

    def _train(self) -> None:
        """Run one exploring episode, with the newest policy at each tick."""
        last = end = None
        try:
            episode = self._begin(self._rng)
            while not (self.stopped.is_set() or (last and (last.terminated or last.truncated))):
                action, log_prob, version = self._explore(episode.observation)
                outcome = self._step(action)
                if last is not None:
                    self._output.send(last)
                last = episode.add(action, log_prob, version, outcome)
                end = EpisodeEnd(episode, TRAINING, version, outcome)
        except Interrupted:
            pass  # the environment reports why, and its reset waits for the operator
        except NonFinite as error:
            self._environment.stop(str(error))
        if last is None:
            return
        if not last.terminated:
            last = replace(last, truncated=True)
            end = replace(end, outcome=replace(end.outcome, truncated=True))
        self._output.send(last)
        self._output.send_episode(end)

    def _evaluation_episode(self, policy: OnnxPolicy, phase: int) -> EpisodeEnd | None:
        """Run one episode without noise until one passes undisturbed; return its end."""
        while not self.stopped.is_set():
            try:
                if (end := self._undisturbed_episode(policy, phase)) is not None:
                    self._output.send_episode(end)
                    return end
            except Interrupted:
                continue
            except NonFinite as error:
                self._environment.stop(str(error))
                return None
        return None

    def _undisturbed_episode(self, policy: OnnxPolicy, phase: int) -> EpisodeEnd | None:
        """Return the end of one episode without noise, None after an intervention in it."""
        episode = self._begin(self._evaluation_rng)
        intervened = False
        while True:
            action, log_prob = policy.act(episode.observation)
            outcome = self._step(action)
            episode.add(action, log_prob, policy.version, outcome)
            intervened |= outcome.intervention
            if outcome.terminated or outcome.truncated:
                return None if intervened else EpisodeEnd(
                    episode, phase, policy.version, outcome)
