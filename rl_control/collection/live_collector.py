# SPDX-License-Identifier: Apache-2.0
"""Collecting on an arm that people may stop: nothing of the moment of a stop is told."""

from dataclasses import replace

from rl_control.collection.collector import Collector, EpisodeEnd
from rl_control.common.episode import TRAINING
from rl_control.common.errors import NonFinite
from rl_control.environments.environment import Interrupted
from rl_control.policies.onnx_policy import OnnxPolicy


class LiveCollector(Collector):
    """
    As Collecting, in a LiveEnvironment, whose episodes may be cut short from outside.

    A transition is told when the next one is made, so that the last one before a stop can be
    told as truncated. An evaluation repeats what was cut short or what a person had a hand in.
    """

    def _train(self) -> None:
        """Run one exploring episode with the newest policy at each tick."""
        last = end = None
        try:
            episode = self._begin(self._rng)
            while not (self.stopped.is_set() or (last and (last.terminated or last.truncated))):
                action, log_prob, version = self._explore(episode.observation)
                outcome = self._step(action)
                if last is not None:
                    self._tell(last)
                last = episode.add(action, log_prob, version, outcome)
                end = EpisodeEnd(episode, TRAINING, version, outcome)
        except Interrupted:
            pass  # the environment says why, and the next episode waits for a person
        except NonFinite as error:
            self._environment.stop(str(error))
        if last is None:
            return
        if not last.terminated:
            last = replace(last, truncated=True)
            end = replace(end, outcome=replace(end.outcome, truncated=True))
        self._tell(last)
        self._tell_end(end)

    def _deterministic(self, policy: OnnxPolicy, phase: int) -> EpisodeEnd | None:
        """Run one episode without noise, again until nobody interferes; return its end."""
        while not self.stopped.is_set():
            try:
                if (end := self._untouched(policy, phase)) is not None:
                    self._tell_end(end)
                    return end
            except Interrupted:
                continue
            except NonFinite as error:
                self._environment.stop(str(error))
                return None
        return None

    def _untouched(self, policy: OnnxPolicy, phase: int) -> EpisodeEnd | None:
        """Return the end of one episode without noise, None if a person had a hand in it."""
        episode = self._begin(self._evaluation_rng)
        touched = False
        while True:
            action, log_prob = policy.act(episode.observation)
            outcome = self._step(action)
            episode.add(action, log_prob, policy.version, outcome)
            touched |= outcome.intervention
            if outcome.terminated or outcome.truncated:
                return None if touched else EpisodeEnd(episode, phase, policy.version, outcome)
