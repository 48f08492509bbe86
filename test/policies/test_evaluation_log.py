# SPDX-License-Identifier: Apache-2.0
"""The evaluation log: evaluations, a confirmation, and its file."""

import json

import numpy as np
import pytest

from rl_control.common.files import write_json
from rl_control.common.statistics import wilson_interval
from rl_control.policies.evaluation_log import EvaluationLog, Tally


def evaluated(
    training: EvaluationLog, version: int, successes: int, episodes: int, *,
    confirmation: bool = False, elapsed: float = 1.0,
) -> None:
    for index in range(episodes):
        training.add_evaluation(
            version, index < successes, -float(index), elapsed + index, 100 + index,
            confirmation=confirmation)


def test_a_tally_counts() -> None:
    tally = Tally(version=7, began=3.0, transitions=500)
    assert tally.figures()['interval'] == [0.0, 1.0]
    for success, episode_return in ((True, -1.0), (False, -4.0), (True, -1.0), (True, 0.0)):
        tally.add(success, episode_return)
    assert tally.figures() == {
        'version': 7, 'began': 3.0, 'transitions': 500, 'episodes': 4, 'successes': 3,
        'unknown': 0, 'success_rate': 0.75, 'interval': list(wilson_interval(3, 4)),
        'mean_return': -1.5}
    assert json.loads(json.dumps(tally.figures())) == tally.figures()


def test_an_unknown_success_is_none_and_the_return_ranks() -> None:
    """The environment says nothing: no rate, '-' for people, and versions rank by their return."""
    training = EvaluationLog(evaluation_episodes=2, confirmation_episodes=5)
    for version, episode_return in ((10, -3.0), (10, -5.0), (20, -2.0), (20, -2.0)):
        training.add_evaluation(
            version, None, episode_return, 0.0, 0, confirmation=False)
        training.add_training(None)
    before, after = training.finished
    assert (before.episodes, before.judged, before.success_rate, before.shown) == (2, 0, None, '-')
    assert after.rank > before.rank
    assert training.metrics() == {'mean_return': -2.0} and training.episodes == 4
    read = [Tally.read(figures) for figures in training.figures()['evaluations']]
    assert [tally.success_rate for tally in read] == [None, None]
    before.add(True, 0.0)
    before.add(np.False_, 0.0)
    assert (before.shown, before.success_rate, before.judged) == ('1/2', 0.5, 2)
    assert before.interval == wilson_interval(1, 2)


def test_an_evaluation_counts_when_it_is_complete() -> None:
    training = EvaluationLog(evaluation_episodes=3, confirmation_episodes=5)
    evaluated(training, 10, 1, 3, elapsed=2.0)
    evaluated(training, 20, 2, 2)
    assert [tally.version for tally in training.finished] == [10]
    first = training.finished[0]
    assert (first.successes, first.episodes, first.return_sum) == (1, 3, -3.0)
    assert (first.began, first.transitions) == (2.0, 100)  # of its first episode
    evaluated(training, 20, 1, 1)
    assert [tally.version for tally in training.finished] == [10, 20]
    assert training.confirmed is None


def test_confirmations_are_kept_apart() -> None:
    training = EvaluationLog(evaluation_episodes=3, confirmation_episodes=5)
    evaluated(training, 10, 3, 3)
    evaluated(training, 10, 4, 4, confirmation=True)
    assert training.confirmed is None
    evaluated(training, 10, 0, 1, confirmation=True)
    confirmed = training.confirmed
    assert confirmed is not None
    assert (confirmed.version, confirmed.successes, confirmed.episodes) == (10, 4, 5)
    assert training.finished[0].episodes == 3
    evaluated(training, 20, 5, 5, confirmation=True)
    assert training.confirmed.version == 10  # the first one stays


def test_training_episodes_are_counted_and_the_newest_kept() -> None:
    training = EvaluationLog(50, 100)
    for index in range(120):
        training.add_training(index >= 100)
    assert training.episodes == 120
    assert len(training.recent) == 50 and sum(training.recent) == 20
    assert training.finished == [] and training.confirmed is None


def test_a_long_training_keeps_figures_that_can_be_read_again(tmp_path) -> None:
    training, told = EvaluationLog(1, 2), []
    for number in range(10_000):
        training.add_evaluation(
            10**7 + number, True, -1000 / 3, 1e5 / 3 + number, 10**7 + number, confirmation=False)
    kept = [tally.version - 10**7 for tally in training.finished]
    assert 2000 <= len(kept) <= 4000 and kept[0] == 0 and kept[-1] == 9999
    assert kept == sorted(kept)
    write_json(tmp_path / 'training.json', training.figures() | {'train_seconds': 12.5})
    again, _ = EvaluationLog.read(tmp_path / 'training.json', 1, 2, told.append)
    assert [tally.version - 10**7 for tally in again.finished] == kept and told == []


@pytest.mark.parametrize('episodes', [0, 1])
def test_no_episode_is_no_confirmation(episodes: int) -> None:
    training = EvaluationLog(1, 2)
    evaluated(training, 1, episodes, episodes, confirmation=True)
    assert training.confirmed is None


def test_a_restart_continues_the_log(tmp_path) -> None:
    path, told = tmp_path / 'training.json', []
    training = EvaluationLog(3, 5)
    assert EvaluationLog.read(path, 3, 5, told.append)[1] == 0.0
    evaluated(training, 10, 1, 3, elapsed=2.0)
    evaluated(training, 20, 3, 3, elapsed=9.0)
    evaluated(training, 20, 5, 5, confirmation=True)
    evaluated(training, 30, 1, 2)
    training.add_training(True)
    path.write_text(json.dumps(training.figures() | {'train_seconds': 12.5}))
    again, seconds = EvaluationLog.read(path, 3, 5, told.append)
    assert (seconds, again.episodes, again.confirmed, told) == (12.5, 1, None, [])
    assert [tally.figures() for tally in again.finished] == [
        tally.figures() for tally in training.finished]
    for broken in ('', '[]', '{"evaluations": [{}]}', '[' * 10**5):
        path.write_text(broken)
        again, seconds = EvaluationLog.read(path, 3, 5, told.append)
        assert (again.finished, seconds) == ([], 0.0)
    assert len(told) == 4 and all('cannot be read' in sentence for sentence in told)
