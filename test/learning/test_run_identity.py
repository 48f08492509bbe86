# SPDX-License-Identifier: Apache-2.0
"""One directory is one run, and a collector follows one learner."""

from dataclasses import replace
import json

import pytest
from training import contract

from rl_control.common.errors import InvalidInput
from rl_control.learning.run_identity import FILE, run_of
from rl_control.transport.learner_selection import LearnerSelection


def test_a_directory_keeps_its_run_and_refuses_what_does_not_fit(tmp_path):
    run = run_of(tmp_path / 'new', 'learner', 'sac', contract())
    assert run.startswith('learner-')
    assert run_of(tmp_path / 'new', 'other_name', 'sac', contract()) == run
    assert run_of(tmp_path / 'another', 'learner', 'sac', contract()) != run
    with pytest.raises(
        InvalidInput, match='learns sac but td3 is set; set that, or name another out'
    ):
        run_of(tmp_path / 'new', 'learner', 'td3', contract())
    other = replace(contract(), control_period=0.1)
    with pytest.raises(InvalidInput, match=r'this learner has control_period 0\.1 but the run in'):
        run_of(tmp_path / 'new', 'learner', 'sac', other)


@pytest.mark.parametrize('content', ['', '[]', '{"run": 1}', json.dumps(
    {'run': 'a', 'algorithm': 'sac', 'contract': '{}'})])
def test_a_run_that_cannot_be_read_is_refused(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(InvalidInput, match='cannot be read') as refused:
        run_of(tmp_path, 'learner', 'sac', contract())
    assert '\n' not in str(refused.value)


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InvalidInput, match='cannot be used'):
        run_of(tmp_path / 'file', 'learner', 'sac', contract())


def test_the_first_learner_is_followed_until_it_is_silent():
    one = LearnerSelection(timeout=5.0)
    assert one.accepts_policy('a') and one.accepts_policy('b')
    assert one.accept('a', 10.0)
    assert not one.accept('b', 12.0)
    assert one.accepts_policy('a') and not one.accepts_policy('b')
    assert one.accept('a', 14.0)
    assert not one.accept('b', 18.9)
    assert one.accept('b', 19.0)
    assert not one.accept('a', 20.0) and one.accepts_policy('b')


def test_a_learner_whose_policy_acts_is_waited_for_while_it_starts_again():
    one = LearnerSelection(timeout=5.0)
    assert one.accept('a', 0.0)  # and is killed; the broadcaster goes on with it
    assert not one.accept('b', 6.0, acting='a') and not one.accept('b', 60.0, acting='a')
    assert one.accept('a', 60.0, acting='a') and one.accepts_policy('a')
    assert not one.accept('b', 179.9, acting='a')
    assert one.accept('b', 180.0, acting='a')
    assert one.accept('a', 185.0, acting='a')  # b has nothing that acts
