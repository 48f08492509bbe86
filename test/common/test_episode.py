# SPDX-License-Identifier: Apache-2.0
"""Episode: its transitions follow one another."""

import numpy as np
import pytest

from rl_control.common.episode import Episode
from rl_control.common.types import Outcome


def outcome(value: float, reward: float = 0.0, **more: bool) -> Outcome:
    return Outcome(
        np.full(2, value), reward, more.get('terminated', False), more.get('truncated', False),
        applied=np.array([0.5]), stamp=value / 10,
        intervention=more.get('intervention', False))


def test_each_transition_begins_where_the_last_one_ended() -> None:
    episode = Episode(4, np.array([0.0, 0.0]))
    transitions = [
        episode.add(np.array([float(step)]), -step, 10 + step, outcome(step + 1.0, reward=-2.0))
        for step in range(3)]
    for step, transition in enumerate(transitions):
        assert (transition.episode, transition.step) == (4, step)
        assert transition.observation.tolist() == [step] * 2
        assert transition.next_observation.tolist() == [step + 1.0] * 2
        assert transition.action.tolist() == [step]  # what was requested
        assert transition.applied.tolist() == [0.5]  # what was sent
        assert (transition.log_prob, transition.version) == (-step, 10 + step)
        assert transition.stamp == pytest.approx((step + 1) / 10)
        assert transition.intervention is False
    assert episode.steps == 3 and episode.reward_sum == -6.0
    assert episode.observation.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(('terminated', 'truncated'), [
    (False, False), (False, True), (True, False), (True, True)])
def test_terminated_is_not_truncated(terminated: bool, truncated: bool) -> None:
    transition = Episode(0, np.zeros(2)).add(
        np.zeros(1), 0.0, 0, outcome(1.0, terminated=terminated, truncated=truncated))
    assert (transition.terminated, transition.truncated) == (terminated, truncated)
    assert transition.discount == (0.0 if terminated else 1.0)


def test_an_intervention_has_the_applied_action() -> None:
    transition = Episode(0, np.zeros(2)).add(
        np.ones(1), -1.5, 8, outcome(1.0, intervention=True))
    assert transition.intervention is True
    assert transition.action.tolist() == transition.applied.tolist() == [0.5]
    assert np.isnan(transition.log_prob) and transition.version == 8


def test_arrays_are_copied_on_entry() -> None:
    first, action, after = np.zeros(2), np.zeros(1), outcome(1.0)
    episode = Episode(0, first)
    first[:] = 9.0
    transition = episode.add(action, 0.0, 0, after)
    action[:] = after.observation[:] = after.applied[:] = 9.0
    assert transition.observation.tolist() == [0.0, 0.0]
    assert transition.action.tolist() == [0.0]
    assert transition.next_observation.tolist() == [1.0, 1.0]
    assert transition.applied.tolist() == [0.5]
    assert episode.observation.tolist() == [1.0, 1.0]
