# SPDX-License-Identifier: Apache-2.0
"""The fixed-rate loop: on its grid, no burst after a stall, errors seen."""

import gc
import os
import time

import numpy as np
import pytest
from stalls import waited

from rl_control.control.realtime_loop import RealtimeLoop, Samples, SimTimeLoop


def ran(period: float, seconds: float, stall: tuple[int, float] | None = None) -> tuple:
    """Run a loop that stalls once; return its due and start times, and the loop."""
    dues, starts = [], []

    def tick(due: float) -> None:
        dues.append(due)
        starts.append(time.monotonic())
        if stall and len(dues) == stall[0]:
            time.sleep(stall[1])

    loop = RealtimeLoop(period, tick)
    loop.start()
    time.sleep(seconds)
    loop.stop()
    loop.check()
    return np.array(dues), np.array(starts), loop


@pytest.mark.alone
def test_ticks_are_on_the_grid() -> None:
    before = waited(os.getpid())
    dues, starts, loop = ran(0.005, 0.5)
    stalled = waited(os.getpid()) - before
    steps = np.diff(dues) / 0.005
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert (starts >= dues).all()
    # As punctual as the machine lets it, tick by tick.
    assert np.median(starts - dues) < 1e-3 + stalled / len(dues)
    assert loop.statistics.ticks == len(dues)
    assert loop.statistics.figures()['period_p50_ms'] == pytest.approx(
        5.0, abs=0.5 + 1e3 * stalled / len(dues))


@pytest.mark.alone
@pytest.mark.parametrize(('stall', 'missed'), [(0.107, 4), (0.115, 5)])
def test_a_stall_is_skipped_without_a_burst_and_counted(stall: float, missed: int) -> None:
    dues, starts, loop = ran(0.02, 0.6, stall=(5, stall))
    assert loop.statistics.overruns >= missed
    gap = (dues[5] - dues[4]) / 0.02
    assert gap == pytest.approx(round(gap)) and gap >= missed + 0.999
    # The tick after may come up to half a period late, the one after that is on the grid.
    assert np.diff(starts).min() > 0.009
    assert loop.statistics.overruns >= round((dues[-1] - dues[0]) / 0.02) + 1 - len(dues)


def test_garbage_is_collected_only_in_the_slack() -> None:
    seen = []
    loop = RealtimeLoop(0.01, lambda due: seen.append(gc.isenabled()))
    before = gc.get_stats()[1]['collections']
    loop.start()
    time.sleep(0.1)
    loop.stop()
    assert seen and not any(seen)
    assert gc.get_stats()[1]['collections'] > before
    assert gc.isenabled()


def test_an_error_ends_the_loop_and_is_raised() -> None:
    def tick(due: float) -> None:
        raise ArithmeticError('seen')

    loop = RealtimeLoop(0.001, tick)
    loop.start()
    loop._thread.join(5.0)
    with pytest.raises(ArithmeticError, match='seen'):
        loop.check()
    loop.stop()


def test_real_time_tells_what_was_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr('os.sched_setscheduler', forbidden)
    told = []
    loop = RealtimeLoop(0.001, lambda due: None, real_time=True, log_warning=told.append)
    loop.start()
    time.sleep(0.02)
    loop.stop()
    loop.check()
    assert len(told) == 1
    assert 'real-time priority' in told[0]


def test_samples_keep_the_newest() -> None:
    samples = Samples()
    assert samples.figures('x') == {}
    for value in range(10_000):
        samples.add(1e-3 * value)
    figures = samples.figures('x')
    assert figures['x_max_ms'] == pytest.approx(9999.0)
    assert figures['x_p50_ms'] == pytest.approx(np.median(np.arange(10_000 - 8192, 10_000)))
    assert Samples().histogram() == ''


def test_a_histogram_says_how_many_were_how_long() -> None:
    samples, rng = Samples(), np.random.default_rng(0)
    values = np.concatenate((rng.lognormal(-5.0, 1.0, 1000), [0.0]))
    for value in values:
        samples.add(value)
    pairs = [pair.split(':') for pair in samples.histogram().split()]
    lows, counts = np.array([float(low) for low, _ in pairs]), [int(n) for _, n in pairs]
    assert sum(counts) == 1001 and (np.diff(lows) > 0.0).all()
    assert counts[0] == 1 and lows[0] == pytest.approx(1e-6)  # what took no time at all
    for low, count in zip(lows[1:], counts[1:], strict=True):
        inside = (1e3 * values >= low * 0.999) & (1e3 * values < low * 1.1220 * 1.001)
        assert count == pytest.approx(inside.sum(), abs=2)
    even = Samples()
    for value in (0.05, 0.05, 0.05, 0.05097, 0.04905, 0.06):
        even.add(value)
    assert even.histogram(about_median=True) == '1e-06:3 0.8913:2 8.913:1'


def test_a_clock_that_stands_still_or_jumps_brings_no_burst_and_is_looked_at() -> None:
    now, dues, looks = [1000.0], [], []
    loop = SimTimeLoop(0.05, dues.append, lambda: looks.append(now[0]), lambda: now[0])
    loop.start()

    def looked(number: int) -> None:
        seen, deadline = len(looks), time.monotonic() + 5.0
        while len(looks) < seen + number:
            assert time.monotonic() < deadline, 'nobody looks'
            time.sleep(0.001)

    def ticks(after: float, number: int) -> None:
        seen = len(dues)
        now[0] += after
        looked(3)
        assert len(dues) == seen + number, (after, dues)

    looked(1)

    for _ in range(4):
        ticks(0.05, 1)
    ticks(0.0, 0)
    ticks(500.0, 1)
    ticks(-900.0, 1)
    ticks(0.05, 1)
    loop.stop()
    loop.check()
    np.testing.assert_allclose(dues[:4], [1000.05, 1000.1, 1000.15, 1000.2])
    np.testing.assert_allclose(dues[4:], [1500.2, 600.2, 600.25])
    figures = loop.statistics.figures()
    assert figures['period_p50_ms'] == pytest.approx(50.0) and figures['overruns'] >= 9999
    assert loop.statistics.period._values.min() >= 0.0
