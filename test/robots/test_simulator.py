# SPDX-License-Identifier: Apache-2.0
"""Simulated arm: it is at the commanded position at the commanded time."""

from collections.abc import Iterator
import math
from pathlib import Path

from arms import iiwa
import numpy as np
import pybullet
import pytest

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.robots.simulator import Simulator, _hermite

PERIOD = 0.05


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    arm = iiwa()
    simulator = Simulator(arm.kinematics.urdf, arm.settings.joint_names, PERIOD)
    simulator.reset(arm.home)
    yield simulator
    simulator.close()


def sinusoid(t: float, amplitude: float = 0.3, period: float = 4.0) -> Command:
    """Return all joints on one slow wave about home that begins at rest."""
    omega, ones = 2 * math.pi / period, np.ones(7)
    return Command(
        iiwa().home + amplitude * (1 - math.cos(omega * t)) * ones,
        amplitude * omega * math.sin(omega * t) * ones,
        amplitude * omega**2 * math.cos(omega * t) * ones)


def test_it_follows_a_slow_wave(simulator: Simulator) -> None:
    errors, speed_errors = [], []
    for tick in range(1, 81):
        command = sinusoid(tick * PERIOD)
        simulator.send(command)
        stamp, q, dq = simulator.read()
        assert stamp == pytest.approx(tick * PERIOD)
        errors.append(np.abs(q - command.q).max())
        speed_errors.append(np.abs(dq - command.dq).max())
    assert max(errors) < 2e-3  # rad; at up to 0.47 rad/s this is 4 ms
    assert max(speed_errors) < 0.02
    assert np.abs(simulator.read()[1] - iiwa().home).max() < 2e-3  # a whole period is over


@pytest.mark.parametrize('substeps', [1, 3, 12])
def test_the_cubic_is_the_only_one_between_its_ends(substeps: int) -> None:
    rng = np.random.default_rng(substeps)
    q0, dq0, q1, dq1 = ends = rng.normal(size=4)
    # The same polynomial from the four conditions at its ends.
    t = PERIOD
    conditions = np.array([[1, 0, 0, 0], [0, 1, 0, 0],
                           [1, t, t**2, t**3], [0, 1, 2 * t, 3 * t**2]])
    cubic = np.polynomial.Polynomial(np.linalg.solve(conditions, [q0, dq0, q1, dq1]))
    times = np.arange(1, substeps + 1) * t / substeps
    q, dq = _hermite(substeps, t) @ ends
    np.testing.assert_allclose(q, cubic(times), atol=1e-9)
    np.testing.assert_allclose(dq, cubic.deriv()(times), atol=1e-7)
    assert (q[-1], dq[-1]) == pytest.approx((q1, dq1))


def test_a_period_is_tracked_on_the_cubic_by_lists_of_floats(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    first, second = (Command(*rng.normal(size=(3, 7))) for _ in range(2))
    told: list[tuple[list[float], list[float]]] = []
    monkeypatch.setattr(simulator, 'track', told.extend)
    simulator.send(first)
    told.clear()
    simulator.send(second)
    ends = np.array([first.q, first.dq, second.q, second.dq])
    np.testing.assert_allclose(np.swapaxes(told, 0, 1), _hermite(12, PERIOD) @ ends, atol=1e-12)
    # PyBullet reads arrays number by number, which once took a tenth of all a collector can do.
    assert all(type(number) is float for point in told for part in point for number in part)


def test_a_command_is_reached_and_held(simulator: Simulator) -> None:
    goal = iiwa().home + np.array([0.02, -0.02, 0.02, -0.02, 0.02, -0.02, 0.02])
    simulator.send(Command.at_rest(goal))
    for _ in range(20):
        simulator.send(Command.at_rest(goal))
    _, q, dq = simulator.read()
    assert np.abs(q - goal).max() < 1e-3 and np.abs(dq).max() < 1e-3


def test_reset_is_at_rest_at_once_and_forgets_the_motion(simulator: Simulator) -> None:
    for tick in range(1, 30):
        simulator.send(sinusoid(tick * PERIOD))
    before, _, moving = simulator.read()
    assert np.abs(moving).min() > 0.1
    start = iiwa().home + 0.4
    simulator.reset(start)
    stamp, q, dq = simulator.read()
    assert stamp == before
    np.testing.assert_allclose(q, start, atol=1e-12)
    assert not dq.any()
    simulator.send(Command.at_rest(start))  # from rest at `start`, not from the wave
    _, q, dq = simulator.read()
    assert np.abs(q - start).max() < 1e-3 and np.abs(dq).max() < 0.02


def test_read_returns_copies(simulator: Simulator) -> None:
    simulator.read()[1][:] = 9.0
    np.testing.assert_allclose(simulator.read()[1], iiwa().home, atol=1e-12)


@pytest.mark.parametrize(('rate', 'substeps'), [(20.0, 12), (25.0, 10), (100.0, 3), (500.0, 1)])
def test_a_control_period_is_whole_substeps_of_240_hz_at_least(
    rate: float, substeps: int
) -> None:
    arm = iiwa()
    simulator = Simulator(arm.kinematics.urdf, arm.settings.joint_names, 1.0 / rate)
    try:
        assert simulator.substep_period * substeps == pytest.approx(1.0 / rate)
        simulator.send(Command.at_rest(np.zeros(7)))
        assert simulator.read()[0] == pytest.approx(1.0 / rate)
    finally:
        simulator.close()


def test_the_picture_shows_arm_and_goal(simulator: Simulator) -> None:
    goal = poses.from_position((0.0, 0.7, 0.8))  # where the arm hides nothing
    picture = simulator.picture(goal)
    assert picture.shape == (320, 320, 3) and picture.dtype == np.uint8
    red = (picture[..., 0] > 100) & (picture[..., 1] < 60) & (picture[..., 2] < 60)
    assert 10 < red.sum() < 2000
    moved = simulator.picture(poses.from_position(goal[:3] - (0.0, 0.0, 0.3)))
    rows = [np.nonzero((shown[..., 0] > 100) & (shown[..., 1] < 60) & (shown[..., 2] < 60))[0]
            for shown in (picture, moved)]
    assert rows[1].mean() > rows[0].mean() + 10  # lower in the world, lower in the picture
    simulator.reset(np.zeros(7))
    assert (simulator.picture(goal) != picture).mean() > 0.01  # the arm has moved


def test_two_worlds_are_independent_and_close_twice(simulator: Simulator) -> None:
    arm = iiwa()
    other = Simulator(arm.kinematics.urdf, arm.settings.joint_names, PERIOD)
    other.reset(np.zeros(7))
    np.testing.assert_allclose(simulator.read()[1], arm.home, atol=1e-12)
    other.close()
    other.close()
    with pytest.raises(pybullet.error):
        other.read()
    np.testing.assert_allclose(simulator.read()[1], arm.home, atol=1e-12)


def test_a_urdf_whose_mesh_is_missing_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    urdf = tmp_path / 'arm.urdf'
    urdf.write_text('<robot name="arm"><link name="base"><visual><geometry>'
                    '<mesh filename="package://none/base.stl"/>'
                    '</geometry></visual></link></robot>')
    with pytest.raises(InvalidInput, match=r'^PyBullet cannot load .*arm.urdf .*give mesh paths'):
        Simulator(urdf, (), PERIOD)
    capfd.readouterr()  # what PyBullet says of it
