# SPDX-License-Identifier: Apache-2.0
"""Joint limiter: random sequences, closed forms, and starts outside the limits."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from rl_control.common.errors import InvalidInput, NonFinite
from rl_control.common.types import Command
from rl_control.config.robot import RobotSettings
from rl_control.robots.kinematics import Kinematics, urdf_path
from rl_control.robots.limits import Limits, Stop, _span, _toward, limit, stop

_SPEC = importlib.util.spec_from_file_location(
    'benchmark_limits', Path(__file__).parents[2] / 'benchmarks' / 'limits.py')
benchmark = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(benchmark)

JOINTS = tuple(f'lbr_iiwa_joint_{i}' for i in range(1, 8))


def same(low=-2.0, high=2.0, velocity=1.5, acceleration=10.0, jerk=200.0, count=1):
    return Limits(*(np.full(count, x) for x in (low, high, velocity, acceleration, jerk)))


def one(q, dq=0.0, ddq=0.0):
    return Command(*np.array([[q], [dq], [ddq]], dtype=float))


@pytest.mark.parametrize('seed', range(30))
def test_no_sequence_of_requests_leaves_the_limits(seed):
    excess = benchmark.worst(seed=seed, count=100, steps=30)
    found = dict(zip(benchmark.NAMES, excess, strict=True))
    assert max(excess) <= 1e-9, found
    # A limiter that hardly moves keeps every limit too: these must be used to the full.
    assert min(found['velocity'], found['acceleration'], found['jerk']) > -1e-9, found


def test_the_stop_lies_in_its_span():
    rng = np.random.default_rng(5)
    for _ in range(100):
        v, a, a_max, j = rng.uniform([-2, -15, 1, 5], [2, 15, 12, 300])
        time = 4.0 * (abs(a) / j + abs(v) / a_max + a_max / j)
        # Integrated step by step by the rule of the shortest way: the jerk has the sign of what
        # dq would miss 0 by if ddq were brought to 0 at once.
        points = np.array([_toward(0.0, 0.3, v, a, t, a_max, j)[0]
                           for t in np.linspace(0.0, time, 1000)])
        assert _span(0.3, v, a, a_max, j) == pytest.approx((points.min(), points.max()), abs=1e-4)
        assert _span(0.3, v, a, a_max, j)[0] <= points.min() + 1e-12
        assert _span(0.3, v, a, a_max, j)[1] >= points.max() - 1e-12


def test_the_profile_is_that_of_a_switching_law():
    """Small steps of the law 'jerk towards the side of the target' give the same profile."""
    rng, h = np.random.default_rng(6), 2e-5
    for _ in range(8):
        target, v0, a0, a_max, j = rng.uniform([-2, -2, -8, 8, 80], [2, 2, 8, 10, 300])
        q, v, a = 0.0, v0, a0
        steps = rng.integers(2000, 12000)
        for _ in range(steps):
            side = target - v - a * abs(a) / (2.0 * j)
            jerk = np.clip(np.sign(side) * j, (-a_max - a) / h, (a_max - a) / h)
            q, v, a = q + h * v, v + h * a, a + h * jerk
        expected = _toward(target, 0.0, v0, a0, steps * h, a_max, j)
        assert (q, v) == pytest.approx(expected[:2], abs=2e-3)


@pytest.mark.parametrize('dt', [0.001, 0.008, 0.05, 0.1])
@pytest.mark.parametrize('request_', [0.05, -0.4, 0.5, 1.5])
def test_a_request_is_reached_in_the_shortest_time_and_kept(dt, request_):
    limits, speed = same(-100.0, 100.0), abs(request_)
    shortest = (speed / 10.0 + 10.0 / 200.0 if speed > 10.0**2 / 200.0
                else 2.0 * np.sqrt(speed / 200.0))
    command, speeds = Command.at_rest(np.zeros(1)), []
    for _ in range(round(1.0 / dt)):
        command = limit(np.array([request_]), command, dt, limits)
        speeds.append(abs(command.dq[0]))
    reached = dt * (1 + int(np.argmax(np.array(speeds) >= speed - 1e-9)))
    assert shortest - 1e-6 <= reached <= shortest + dt
    assert (np.diff(speeds) >= -1e-12).all() and max(speeds) <= speed + 1e-12
    assert command.dq[0] == request_ and command.ddq[0] == 0.0


def test_away_from_the_limits_two_halves_are_one_whole():
    limits, rng = same(-50.0, 50.0, count=200), np.random.default_rng(7)
    whole = halves = Command.at_rest(np.zeros(200))
    for _ in range(20):
        request, dt = rng.uniform(-1.5, 1.5, 200), rng.uniform(0.001, 0.1)
        whole = limit(request, whole, dt, limits)
        halves = limit(request, limit(request, halves, 0.3 * dt, limits), 0.7 * dt, limits)
        for name in ('q', 'dq', 'ddq'):
            np.testing.assert_allclose(getattr(whole, name), getattr(halves, name), atol=1e-9)


@pytest.mark.parametrize('dt', [0.002, 0.05, 0.1])
def test_a_joint_pushed_onto_its_limit_brakes_as_late_as_it_can(dt):
    limits, command, used = same(), Command.at_rest(np.array([-1.0])), 0.0
    shortest = 3.0 / 1.5 + 1.5 / 10.0 + 10.0 / 200.0
    while command.q[0] < 2.0 - 1e-3:
        command, used = limit(np.array([9.0]), command, dt, limits), used + dt
        assert used < 3.0
    assert used <= shortest + 2.0 * dt
    for _ in range(100):
        command = limit(np.array([9.0]), command, dt, limits)
    assert 2.0 - 2e-6 <= command.q[0] <= 2.0 and command.dq[0] == command.ddq[0] == 0.0
    assert limit(np.array([-1.0]), command, dt, limits).dq[0] < 0.0


def excesses(at, limits):
    """Return the excess of the stop over position limits, and of speed and ddq over theirs."""
    turned = at.dq + at.ddq * np.abs(at.ddq) / (2.0 * limits.jerk)
    low, high = benchmark._stop_span(at, limits)
    return np.array([
        np.maximum(limits.position_low - low, high - limits.position_high),
        np.maximum(np.abs(at.dq), np.abs(turned)) - limits.velocity,
        np.abs(at.ddq) - limits.acceleration])


@pytest.mark.parametrize('seed', range(6))
def test_from_outside_each_excess_falls_and_ends(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(-3.0, 3.0, 50)
    span, *rest = rng.uniform([[0.1], [0.5], [3.0], [50.0]], [[4.0], [3.0], [30.0], [900.0]],
                              (4, 50))
    limits = Limits(low, low + span, *rest)
    outside = rng.uniform([[-0.5], [-1.5], [-1.5]], [[1.5], [1.5], [1.5]], (3, 50))
    command = Command(*(outside * [span, limits.velocity, limits.acceleration]
                        + [low, 0.0 * low, 0.0 * low]))
    kind, request = rng.integers(0, benchmark.KINDS, 50), np.zeros(50)
    before = np.maximum(excesses(command, limits), 0.0)
    assert (before > 0.0).any(axis=1).all()
    for _ in range(2000):
        request = benchmark.draw_request(rng, kind, command, request, limits)
        command = limit(request, command, rng.uniform(0.01, 0.1), limits)
        after = np.maximum(excesses(command, limits), 0.0)
        assert (after <= before + 1e-12).all()
        before = after
        if after.max() <= 1e-9:
            break
    assert after.max() <= 1e-9


@pytest.mark.parametrize('request_', [-5.0, 0.0, 5.0])
def test_a_joint_that_stands_outside_returns_without_a_step_further_out(request_):
    limits, command, way = same(), Command.at_rest(np.array([2.3])), [2.3]
    while command.q[0] > 2.0:
        command = limit(np.array([request_]), command, 0.05, limits)
        way.append(command.q[0])
    assert (np.diff(way) < 0.0).all()
    for _ in range(100):
        command = limit(np.array([request_]), command, 0.05, limits)
        assert command.q[0] <= 2.0


def test_stop_rests_exactly_at_the_predicted_time_and_place():
    limits, rng = same(-9.0, 9.0, count=100), np.random.default_rng(8)
    start = Command(*rng.uniform([[-1], [-1.5], [-10]], [[1], [1.5], [10]], (3, 100)))
    way = Stop(start, limits)
    times, ends = way.times, way.ends
    command, clock = start, 0.0
    while clock < times.max():
        dt = rng.uniform(0.001, 0.1)
        command, clock = stop(command, dt, limits), clock + dt
        rest = times < clock - 1e-7
        assert not command.dq[rest].any() and not command.ddq[rest].any()
        assert (np.abs(command.dq) + np.abs(command.ddq))[times > clock + 1e-7].all()
    np.testing.assert_allclose(command.q, ends, atol=1e-12)
    still = stop(command, 0.1, limits)
    np.testing.assert_array_equal([still.q, still.dq, still.ddq],
                                  [command.q, 0.0 * command.q, 0.0 * command.q])
    np.testing.assert_array_equal(limit(np.zeros(100), start, 0.03, limits).q,
                                  stop(start, 0.03, limits).q)


def test_stop_starts_no_motion_of_a_joint_that_stands_outside():
    assert stop(one(2.3), 0.05, same()).q[0] == 2.3


def test_the_stop_trajectory_is_the_stop_at_each_time():
    limits, start = same(count=3), Command(*np.array([[0, 1, -1], [1, -1, 0], [5, 0, -9]], float))
    way = Stop(start, limits)
    times = np.array([0.0, 0.01, 0.05, 0.1, way.times.max() + 1e-9])
    points = way.at(times)
    np.testing.assert_array_equal(points[0], [start.q, start.dq, start.ddq])
    np.testing.assert_array_equal(points[-1, 1:], np.zeros((2, 3)))
    command = start
    for point, dt in zip(points[1:], np.diff(times), strict=True):
        command = stop(command, dt, limits)
        np.testing.assert_allclose([command.q, command.dq, command.ddq], point, atol=1e-11)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('where', ['request', 'q', 'dq', 'ddq'])
def test_one_non_finite_number_rejects_the_whole_vector(bad, where):
    values = {name: np.zeros(7) for name in ('request', 'q', 'dq', 'ddq')}
    values[where][6] = bad
    request, previous = values.pop('request'), Command(**values)
    with pytest.raises(NonFinite, match='not finite'):
        limit(request, previous, 0.05, same(count=7))
    if where != 'request':
        with pytest.raises(NonFinite):
            stop(previous, 0.05, same(count=7))


@pytest.mark.parametrize('dt', [0.0, -0.1, np.nan, np.inf])
def test_an_invalid_period_is_rejected(dt):
    with pytest.raises(InvalidInput, match='dt is'):
        limit(np.zeros(1), one(0.0), dt, same())


def test_another_number_of_joints_is_rejected():
    for request, previous in ((np.zeros(2), one(0.0)), (np.zeros((1, 1)), one(0.0)),
                              (np.zeros(1), Command.at_rest(np.zeros(2)))):
        with pytest.raises(InvalidInput, match='give 1 numbers, joint 0'):
            limit(request, previous, 0.05, same())


@pytest.mark.parametrize(('changed', 'words'), [
    ({'low': 2.0}, 'position limits of joint 0 are 2.0 and 2.0'),
    ({'high': np.nan}, 'are -2.0 and nan'),
    ({'velocity': np.inf}, 'velocity limit of joint 0 is inf'),
    ({'acceleration': 0.0}, 'acceleration limit of joint 0 is 0.0'),
    ({'jerk': np.nan}, 'jerk limit of joint 0 is nan'),
])
def test_invalid_limits_are_rejected(changed, words):
    with pytest.raises(InvalidInput, match=words):
        same(**changed)


@pytest.fixture(scope='module')
def kinematics():
    path = urdf_path('pybullet_data:kuka_iiwa/model.urdf')
    return Kinematics(path, JOINTS, 'lbr_iiwa_link_7')


def settings(**changed):
    return RobotSettings(name='iiwa', urdf='-', joint_names=JOINTS, end_effector='-', **changed)


def test_limits_of_a_robot_are_its_settings_within_its_urdf(kinematics):
    limits = Limits.of(settings(velocity_limit=(1.0,) * 6 + (20.0,), position_high=(1.0,)),
                       kinematics)
    assert limits.velocity.tolist() == [1.0] * 6 + [10.0]
    assert limits.acceleration.tolist() == [10.0] * 7
    assert limits.position_high.tolist() == [1.0] * 7
    np.testing.assert_array_equal(limits.position_low, kinematics.position_low)
    assert limits.joint_names == JOINTS
    with pytest.raises(ValueError, match='read-only'):
        limits.velocity[0] = 9.0


@pytest.mark.parametrize(('changed', 'words'), [
    ({'position_low': (-3.0,)}, r'_joint_1 are -3\.0 and 2\.96\d+, its URDF allows -2\.96'),
    ({'position_high': (2.5,)}, r'_joint_2 are -2\.09\d+ and 2\.5, its URDF allows'),
    ({'position_low': (1.0,), 'position_high': (0.5,)}, r'_joint_1 are 1\.0 and 0\.5'),
    ({'home': (0.0,) * 6 + (3.1,)}, r'home of lbr_iiwa_joint_7 is 3\.1, outside -3\.05'),
    ({'position_low': (0.1,)}, r'home of lbr_iiwa_joint_1 is 0\.0, outside'),
    ({'jerk_limit': (1.0, 2.0)}, 'robot.jerk_limit has 2 values; give 1 or 7'),
    ({'jerk_limit': ()}, 'robot.jerk_limit has 0 values'),
    ({'acceleration_limit': (np.inf,)}, 'acceleration limit of lbr_iiwa_joint_1 is inf'),
])
def test_settings_outside_the_urdf_are_rejected(kinematics, changed, words):
    with pytest.raises(InvalidInput, match=words):
        Limits.of(settings(**changed), kinematics)
