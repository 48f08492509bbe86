# SPDX-License-Identifier: Apache-2.0
"""Estop and protective stop: any publisher stops the arm, none releases another's stop."""

import pytest

from rl_control.control.interlocks import UNKNOWN_PUBLISHER, BoolInterlock, SubscriberInterlock

PRESSED = 'the estop is pressed'


@pytest.fixture
def estop() -> BoolInterlock:
    return BoolInterlock('estop', True, PRESSED)


def test_without_messages_nothing_stops(estop: BoolInterlock) -> None:
    assert estop.fault(5.0) == '' and estop.waiting_for(5.0) == ''


def test_one_button_is_enough_and_the_other_does_not_release_it(estop: BoolInterlock) -> None:
    assert estop.receive(1.0, b'a', True) == PRESSED
    assert estop.receive(1.1, b'b', False) == PRESSED
    assert estop.receive(1.2, b'a', False) == ''


def test_a_publisher_that_has_gone_does_not_stop_for_ever(estop: BoolInterlock) -> None:
    estop.receive(1.0, b'a', True)
    estop.forget_absent([b'a', b'b'], estop.publishers)
    assert estop.fault(1.0) == PRESSED
    estop.forget_absent([b'b'], estop.publishers)
    assert estop.fault(1.0) == ''


def test_a_message_during_the_count_is_not_forgotten(
    estop: BoolInterlock,
) -> None:
    known, present = estop.publishers, [b'b']
    estop.receive(1.0, b'a', True)
    estop.forget_absent(present, known)
    assert estop.fault(1.0) == PRESSED


def test_an_unknown_publisher_releases_no_other(estop: BoolInterlock) -> None:
    estop.forget_absent([b'a', b'b'], estop.publishers)
    assert estop.receive(1.0, UNKNOWN_PUBLISHER, False) == ''
    assert estop.receive(1.1, UNKNOWN_PUBLISHER, True) == PRESSED
    assert estop.receive(1.2, UNKNOWN_PUBLISHER, False) == PRESSED
    estop.forget_absent([b'b'], estop.publishers)
    assert estop.fault(1.3) == PRESSED
    assert estop.receive(1.4, UNKNOWN_PUBLISHER, False) == ''
    estop.receive(1.5, UNKNOWN_PUBLISHER, True)
    estop.forget_absent([], estop.publishers)
    assert estop.fault(1.6) == ''


def test_ready_stops_the_arm_by_false() -> None:
    ready = BoolInterlock('robot_ready', False, 'not ready')
    assert ready.receive(0.0, b'a', True) == ''
    assert ready.receive(0.0, b'a', False) == 'not ready'


def test_a_heartbeat_is_required_then_missed() -> None:
    estop = BoolInterlock('estop', True, PRESSED, heartbeat=0.2)
    assert estop.waiting_for(9.0) == 'waiting for a heartbeat on estop'
    assert estop.fault(9.0) == ''
    estop.receive(9.0, b'a', False)
    assert estop.waiting_for(9.1) == '' and estop.fault(9.2) == ''
    assert estop.fault(9.25) == 'no heartbeat on estop for 0.250 s'


def test_a_missing_controller_is_named() -> None:
    interlock = SubscriberInterlock('joint_trajectory')
    assert interlock.waiting_for(0.0) == (
        'waiting for a controller that subscribes to joint_trajectory')
    interlock.present = True
    assert interlock.waiting_for(0.0) == '' and interlock.fault(0.0) == ''
