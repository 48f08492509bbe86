# SPDX-License-Identifier: Apache-2.0
"""Estop and protective stop: any publisher forbids, none takes another's word back."""

import pytest

from rl_control.control.interlocks import ANYBODY, BoolInterlock, SubscriberInterlock

PRESSED = 'the estop is pressed'


@pytest.fixture
def estop() -> BoolInterlock:
    return BoolInterlock('estop', True, PRESSED)


def test_nothing_heard_forbids_nothing(estop: BoolInterlock) -> None:
    assert estop.fault(5.0) == '' and estop.awaited(5.0) == ''


def test_one_button_is_enough_and_the_other_does_not_release_it(estop: BoolInterlock) -> None:
    assert estop.receive(1.0, b'a', True) == PRESSED
    assert estop.receive(1.1, b'b', False) == PRESSED
    assert estop.receive(1.2, b'a', False) == ''


def test_a_button_that_is_gone_does_not_forbid_for_ever(estop: BoolInterlock) -> None:
    estop.receive(1.0, b'a', True)
    estop.keep([b'a', b'b'], estop.spoke)
    assert estop.fault(1.0) == PRESSED
    estop.keep([b'b'], estop.spoke)
    assert estop.fault(1.0) == ''


def test_who_speaks_while_the_publishers_are_counted_is_not_forgotten(
    estop: BoolInterlock,
) -> None:
    spoke, present = estop.spoke, [b'b']
    estop.receive(1.0, b'a', True)
    estop.keep(present, spoke)
    assert estop.fault(1.0) == PRESSED


def test_of_buttons_that_cannot_be_told_apart_none_releases_another(estop: BoolInterlock) -> None:
    estop.keep([b'a', b'b'], estop.spoke)
    assert estop.receive(1.0, ANYBODY, False) == ''
    assert estop.receive(1.1, ANYBODY, True) == PRESSED
    assert estop.receive(1.2, ANYBODY, False) == PRESSED
    estop.keep([b'b'], estop.spoke)
    assert estop.fault(1.3) == PRESSED
    assert estop.receive(1.4, ANYBODY, False) == ''
    estop.receive(1.5, ANYBODY, True)
    estop.keep([], estop.spoke)
    assert estop.fault(1.6) == ''


def test_ready_forbids_by_false() -> None:
    ready = BoolInterlock('robot_ready', False, 'not ready')
    assert ready.receive(0.0, b'a', True) == ''
    assert ready.receive(0.0, b'a', False) == 'not ready'


def test_a_heartbeat_is_awaited_then_missed() -> None:
    estop = BoolInterlock('estop', True, PRESSED, heartbeat=0.2)
    assert estop.awaited(9.0) == 'waiting for a heartbeat on estop'
    assert estop.fault(9.0) == ''
    estop.receive(9.0, b'a', False)
    assert estop.awaited(9.1) == '' and estop.fault(9.2) == ''
    assert estop.fault(9.25) == 'no heartbeat on estop for 0.250 s'


def test_a_controller_is_waited_for_by_name() -> None:
    taker = SubscriberInterlock('joint_trajectory')
    assert taker.awaited(0.0) == 'waiting for a controller that takes joint_trajectory'
    taker.present = True
    assert taker.awaited(0.0) == '' and taker.fault(0.0) == ''
