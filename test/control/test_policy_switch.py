# SPDX-License-Identifier: Apache-2.0
"""Which policy runs: newer ones of the same run, back to the one before, blended in."""

import contextlib
import itertools
from types import SimpleNamespace

from arms import acting, exported, iiwa
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.control.policy_switch import Blend, PolicySwitch


def test_only_newer_versions_of_the_same_run_are_taken() -> None:
    switch = PolicySwitch(iiwa().contract())
    first, second = exported(1), exported(2)
    assert switch.apply(first, 'a') is first
    assert switch.apply(second, 'b') is second
    for refused, text in (
        (first, 'not greater than 2'), (second, 'not greater than 2'),
        (exported(9, run='run-2'), 'is of run run-2'), (exported(9, robot='panda'), 'robot'),
    ):
        with pytest.raises(InvalidInput, match=text):
            switch.apply(refused, 'c')
        assert switch.current is second


def test_rollback_goes_one_back_and_what_was_left_does_not_return() -> None:
    switch = PolicySwitch(iiwa().contract())
    with pytest.raises(InvalidInput, match='no policy before'):
        switch.rollback()
    first, second, third = exported(1), exported(2), exported(3)
    switch.apply(first, 'a')
    switch.apply(second, 'b')
    assert switch.rollback() is first and switch.current is first
    with pytest.raises(InvalidInput, match='not greater than 2'):
        switch.apply(second, 'b')
    switch.apply(third, 'c')
    assert switch.rollback() is first


def test_a_withdrawn_version_is_left_for_an_older_one() -> None:
    switch = PolicySwitch(iiwa().contract())
    first, second, third = exported(1), exported(2), exported(3)
    switch.apply(first, 'a')
    switch.apply(third, 'b')
    with pytest.raises(InvalidInput, match='not greater than 3'):
        switch.apply(second, 'c', withdrawn={1})
    with pytest.raises(InvalidInput, match='has version 3, which is withdrawn'):
        switch.apply(third, 'c', withdrawn={3})
    assert switch.current is third
    assert switch.apply(second, 'c', withdrawn={3}) is switch.current is second
    with pytest.raises(InvalidInput, match='no policy before'):
        switch.rollback()  # not to what was withdrawn
    with pytest.raises(InvalidInput, match='not greater than 2'):
        switch.apply(first, 'd', withdrawn={3})


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_of_what_comes_doubled_late_and_not_at_all_only_what_is_newer_is_taken(random_) -> None:
    contract = iiwa().contract()
    switch = PolicySwitch(contract)
    sent = [SimpleNamespace(contract=contract, version=version, run=run)
            for version in range(1, 40) for run in ('a', 'a', 'b')]
    sent.sort(key=lambda one: one.version + random_.uniform(0.0, 5.0))
    sent.insert(0, SimpleNamespace(contract=contract, version=1, run='a'))
    arrived = [sent[0], *(one for one in sent[1:] if random_.random() >= 0.3)]
    taken, newest = [], 0
    for policy in arrived:
        with contextlib.suppress(InvalidInput):
            taken.append(switch.apply(policy, 'it').version)
        newest = max(newest, policy.version if policy.run == 'a' else 0)
        assert switch.current.version == newest and switch.current.run == 'a'
    assert all(before < after for before, after in itertools.pairwise(taken))


def test_a_new_policy_takes_over_evenly() -> None:
    one, two = acting(lambda _: np.ones(7)), acting(lambda _: -np.ones(7), version=2)
    blend = Blend(0.5)
    assert blend.act(one, np.zeros(3), 0.0)[0] == 1.0
    found = [blend.act(two, np.zeros(3), 1.0 + t)[0] for t in (0.0, 0.125, 0.25, 0.5, 0.6)]
    np.testing.assert_allclose(found, [1.0, 0.5, 0.0, -1.0, -1.0])
    assert Blend(0.0).act(two, np.zeros(3), 0.0)[0] == -1.0
    blend.reset()
    assert blend.act(one, np.zeros(3), 1.7)[0] == 1.0
