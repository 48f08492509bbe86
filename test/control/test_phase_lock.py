# SPDX-License-Identifier: Apache-2.0
"""Ticks lock to the samples, and move by a thousandth of the period at most afterwards."""

import numpy as np
import pytest

from rl_control.control.phase_lock import SAMPLE_LEAD, SHIFT_LIMIT, PhaseLock


def ages(
    period: float, interval: float, ticks: int, idle: int, jitter: float = 0.0, start: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the age of the newest sample at each tick, and the times between ticks."""
    rng = np.random.default_rng(0)
    samples = np.arange(0.0, start + (ticks + 3) * 1.01 * period + 2 * interval, interval)
    samples = samples + np.abs(rng.normal(0.0, jitter, len(samples))) if jitter else samples
    phase, tick, heard, found, when = PhaseLock(period), start + period, 0, [], []
    for number in range(ticks):
        while samples[heard] <= tick:
            phase.receive(samples[heard])
            heard += 1
        found.append(tick - samples[heard - 1])
        when.append(tick)
        tick += period + phase.shift(tick, number < idle)
    return np.array(found), np.diff(when)


@pytest.mark.parametrize(('period', 'interval'), [
    (0.05, 1 / 120), (0.05, 0.002), (0.002, 0.002), (0.01, 0.004)])
@pytest.mark.parametrize('start', [0.0, 0.0011, 0.0035, 0.0077])
def test_in_step_at_once_while_nothing_is_commanded(
    period: float, interval: float, start: float,
) -> None:
    found, between = ages(period, interval, 60, 20, start=start)
    if round(period / interval) * interval == pytest.approx(period):
        np.testing.assert_allclose(found[20:], SAMPLE_LEAD, atol=2e-5)
    else:  # every other tick may be half an interval late, which no shift can mend
        assert found[20:].min() >= SAMPLE_LEAD - 2e-3 and found.max() <= interval + 1e-9
    assert (between[:20] >= 0.5 * period).all()


def test_while_it_is_commanded_the_arm_feels_nothing_of_it() -> None:
    period, interval = 0.05, 1 / 120 * (1.0 - 5e-5)  # and the other clock goes wrong
    found, between = ages(period, interval, 2000, 0, jitter=5e-5, start=0.004)
    assert np.abs(between / period - 1.0).max() <= SHIFT_LIMIT + 1e-9
    np.testing.assert_allclose(found[300:], SAMPLE_LEAD, atol=3e-4)


@pytest.mark.parametrize('interval', [0.1, 7.0])
def test_samples_rarer_than_ticks_move_nothing(interval: float) -> None:
    _, between = ages(0.05, interval, 300, 10, start=0.01)
    np.testing.assert_allclose(between, 0.05)
