# SPDX-License-Identifier: Apache-2.0
"""The watchdog of an input: silence, late samples, stamps that stand still or jump."""

import pytest

from rl_control.control.watchdog import Watchdog

OFFSET = 1.7e9  # the sender's clock is another one


def fed(until: float = 1.0, period: float = 0.01) -> Watchdog:
    watchdog = Watchdog('joint_states', 0.1, 0.1)
    for step in range(round(until / period) + 1):
        assert watchdog.receive(step * period, OFFSET + step * period)
    return watchdog


def test_fresh_samples_are_fine_and_silence_is_not() -> None:
    watchdog = fed()
    assert watchdog.fault(1.0) == ''
    assert watchdog.fault(1.099) == ''
    assert watchdog.fault(1.101) == 'no new joint_states for 0.101 s'


def test_nothing_ever_is_a_fault() -> None:
    assert 'no new joint_states' in Watchdog('joint_states', 0.1, 0.1).fault(0.0)


def test_stamps_that_stand_still_are_no_news() -> None:
    watchdog = fed()
    for step in range(20):
        assert not watchdog.receive(1.01 + 0.01 * step, OFFSET + 1.0)
    assert watchdog.fault(1.2).endswith('their stamps stand still')
    assert watchdog.fresh == 0


@pytest.mark.parametrize('jump', [500.0, -900.0, -0.5])
def test_a_jump_of_stamps_is_told_until_reset(jump: float) -> None:
    watchdog = fed()
    watchdog.receive(1.01, OFFSET + 1.01 + jump)
    assert f'jumped by {jump:+.3f} s' in watchdog.fault(1.01)
    watchdog.receive(1.02, OFFSET + 1.02 + jump)
    assert 'jumped' in watchdog.fault(1.02)
    watchdog.reset()
    for step in range(10):
        watchdog.receive(1.03 + 0.01 * step, OFFSET + 1.03 + 0.01 * step + jump)
    assert watchdog.fault(1.12) == ''
    assert watchdog.fresh == 10


def test_a_growing_queue_is_found_and_reset_does_not_forgive_it() -> None:
    watchdog = fed()
    now = 1.0
    while not watchdog.fault(now) and now < 5.0:
        now += 0.01
        watchdog.receive(now, OFFSET + 1.0 + 0.5 * (now - 1.0))  # stamps advance at half speed
    assert 'later than before' in watchdog.fault(now)
    assert now == pytest.approx(1.2, abs=0.02)
    watchdog.reset()
    for _ in range(20):
        now += 0.01
        watchdog.receive(now, OFFSET + now - 0.11)
    assert 'later than before' in watchdog.fault(now)
    assert watchdog.fresh == 0


def test_clocks_that_drift_apart_are_fine() -> None:
    watchdog = Watchdog('joint_states', 0.1, 0.1)
    for step in range(36_000):  # an hour at 200 ppm is 0.72 s
        watchdog.receive(0.1 * step, OFFSET + 0.1 * step * (1 - 2e-4))
        assert watchdog.fault(0.1 * step) == ''
