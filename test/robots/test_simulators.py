# SPDX-License-Identifier: Apache-2.0
"""Simulated arms: the same work in each engine, and the two beside each other."""

from collections.abc import Callable, Iterator
import math
from pathlib import Path

from arms import iiwa, panda
from engines import EACH, PENDULUM, made
import numpy as np
import pytest

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.environments.arm_model import Arm
from rl_control.environments.make import load_arm
from rl_control.robots.engines import ENGINES
from rl_control.robots.robot import Simulator

PERIOD = 0.05
Maker = Callable[..., Simulator]


@pytest.fixture
def make() -> Iterator[Maker]:
    """Return what makes a simulator of an engine, by default of the iiwa at home."""
    simulators: list[Simulator] = []

    def one(engine: str, arm: Arm | None = None, period: float = PERIOD) -> Simulator:
        arm = arm or iiwa()
        simulators.append(made(engine, arm.kinematics.urdf, arm.settings.joint_names, period))
        simulators[-1].reset(arm.home)
        return simulators[-1]

    yield one
    for simulator in simulators:
        simulator.close()


def wave(arm: Arm, t: float, amplitude: float = 0.3, period: float = 4.0) -> Command:
    """Return all joints, by turns up and down, on one slow wave about home that begins at rest."""
    omega, signs = 2 * math.pi / period, (-1.0) ** np.arange(len(arm.home))
    return Command(
        arm.home + amplitude * (1 - math.cos(omega * t)) * signs,
        amplitude * omega * math.sin(omega * t) * signs,
        amplitude * omega**2 * math.cos(omega * t) * signs)


@EACH
def test_it_follows_a_slow_wave(make: Maker, engine: str) -> None:
    simulator, arm = make(engine), iiwa()
    errors, speed_errors = [], []
    for tick in range(1, 81):
        command = wave(arm, tick * PERIOD)
        simulator.send(command)
        stamp, q, dq = simulator.read()
        assert stamp == pytest.approx(tick * PERIOD)
        errors.append(np.abs(q - command.q).max())
        speed_errors.append(np.abs(dq - command.dq).max())
    assert max(errors) < 3e-4  # rad; at up to 0.47 rad/s this is 0.6 ms
    assert max(speed_errors) < 0.02
    assert np.abs(simulator.read()[1] - arm.home).max() < 3e-4  # a whole period is over


@pytest.mark.parametrize('arm', [
    load_arm('two_joint', 'reach'), iiwa(), panda()], ids=lambda arm: arm.settings.name)
def test_the_engines_move_an_arm_alike(make: Maker, arm: Arm) -> None:
    """Same trajectory: 2 mm (RMS) between the end effectors, 0.5 mm at rest."""
    simulators = [make(engine, arm) for engine in ENGINES]
    paths: list[list[np.ndarray]] = [[], []]
    for tick in range(1, 61):
        command = wave(arm, min(tick, 40) * PERIOD, period=2.0)  # one wave of 2 s, then rest
        for simulator, path in zip(simulators, paths, strict=True):
            simulator.send(command if tick < 40 else Command.at_rest(arm.home))
            path.append(arm.kinematics.position(simulator.read()[1]))
    apart = np.linalg.norm(np.subtract(*paths), axis=1)
    assert np.ptp(paths[0], axis=0).max() > 0.15  # m
    assert np.sqrt(np.mean(apart**2)) < 5e-4 and apart[-1] < 1e-4


@EACH
def test_a_pendulum_has_its_period(make: Maker, engine: str, tmp_path: Path) -> None:
    """T = 2 pi sqrt(I / (m g l)) (1 + a²/16 + 11 a⁴/3072) for the amplitude a, within 0.1 %."""
    urdf = tmp_path / 'pendulum.urdf'
    urdf.write_text(PENDULUM)
    simulator = made(engine, urdf, (), PERIOD)
    amplitude, mass, length, inertia = 0.3, 2.0, 0.4, 0.03 + 2.0 * 0.4**2
    swing = _swing(simulator, amplitude)
    times = simulator.substep_period * np.arange(1, len(swing) + 1)
    simulator.close()
    falling = np.flatnonzero((swing[:-1] > 0.0) & (swing[1:] <= 0.0))
    share = swing[falling] / (swing[falling] - swing[falling + 1])
    crossings = times[falling] + share * simulator.substep_period
    # What friction takes from the amplitude shortens the period by less than is asked for here.
    assert swing.max() > 0.95 * amplitude and len(crossings) >= 5
    ideal = 2 * math.pi * math.sqrt(inertia / (mass * 9.81 * length)) * (
        1 + amplitude**2 / 16 + 11 * amplitude**4 / 3072)
    assert np.diff(crossings).mean() == pytest.approx(ideal, rel=1e-3)


def _swing(simulator: Simulator, amplitude: float) -> np.ndarray:
    """Return the angle of the undriven hinge after each substep, let go at `amplitude` rad."""
    angles = []
    if simulator.engine == 'pybullet':
        import pybullet

        body, world = simulator.body, simulator._world
        pybullet.resetJointState(body, 0, amplitude, 0.0, **world)
    else:
        simulator.data.qpos[0] = amplitude
        simulator.model.body_gravcomp[:] = 0.0
    for _ in range(2500):
        simulator.track(np.zeros((1, 2, 0)))
        angles.append(pybullet.getJointState(body, 0, **world)[0]
                      if simulator.engine == 'pybullet' else simulator.data.qpos[0])
    return np.array(angles)


@EACH
def test_a_command_is_reached_and_held(make: Maker, engine: str) -> None:
    simulator = make(engine)
    goal = iiwa().home + np.array([0.02, -0.02, 0.02, -0.02, 0.02, -0.02, 0.02])
    for _ in range(21):
        simulator.send(Command.at_rest(goal))
    _, q, dq = simulator.read()
    assert np.abs(q - goal).max() < 1e-4 and np.abs(dq).max() < 1e-3


@EACH
def test_reset_is_at_rest_at_once_and_forgets_the_motion(make: Maker, engine: str) -> None:
    simulator, arm = make(engine), iiwa()
    for tick in range(1, 30):
        simulator.send(wave(arm, tick * PERIOD))
    before, _, moving = simulator.read()
    assert np.abs(moving).min() > 0.1
    start = arm.home + 0.4
    simulator.reset(start)
    stamp, q, dq = simulator.read()
    assert stamp == before
    np.testing.assert_allclose(q, start, atol=1e-12)
    assert not dq.any()
    simulator.send(Command.at_rest(start))  # from rest at `start`, not from the wave
    _, q, dq = simulator.read()
    assert np.abs(q - start).max() < 1e-3 and np.abs(dq).max() < 0.02


@EACH
def test_an_episode_after_reset_is_the_same_again(make: Maker, engine: str) -> None:
    simulator, arm = make(engine), panda()
    simulator, runs = make(engine, arm), []
    for _ in range(2):
        simulator.reset(arm.home)
        for tick in range(1, 10):
            simulator.send(wave(arm, tick * PERIOD))
        runs.append(simulator.read()[1:])
    np.testing.assert_allclose(*runs, atol=1e-9)


@EACH
def test_read_returns_copies(make: Maker, engine: str) -> None:
    simulator = make(engine)
    simulator.read()[1][:] = 9.0
    np.testing.assert_allclose(simulator.read()[1], iiwa().home, atol=1e-12)


@EACH
@pytest.mark.parametrize(('rate', 'substeps'), [(20.0, 12), (100.0, 3)])
def test_a_control_period_is_that_many_substeps(
    make: Maker, engine: str, rate: float, substeps: int,
) -> None:
    simulator = make(engine, period=1.0 / rate)
    assert simulator.substep_period * substeps == pytest.approx(1.0 / rate)
    simulator.send(Command.at_rest(np.zeros(7)))
    assert simulator.read()[0] == pytest.approx(1.0 / rate)


@EACH
def test_a_heavier_arm_has_heavier_links(make: Maker, engine: str) -> None:
    simulator = make(engine)
    masses = simulator.masses
    assert masses[1:].sum() == pytest.approx(20.67, rel=1e-3)  # kg, all but the base
    simulator.set_dynamics(1.5 * masses, np.zeros(7), 0.0)
    np.testing.assert_allclose(simulator.masses, 1.5 * masses)


@EACH
def test_the_picture_shows_arm_and_goal(make: Maker, engine: str) -> None:
    simulator = make(engine)
    goal = poses.from_position((0.0, 0.7, 0.8))  # where the arm hides nothing
    picture = simulator.picture(goal)
    assert picture.shape == (320, 320, 3) and picture.dtype == np.uint8
    assert 10 < len(_rows_of_red(picture)) < 2000
    moved = simulator.picture(poses.from_position(goal[:3] - (0.0, 0.0, 0.3)))
    rows = [_rows_of_red(shown) for shown in (picture, moved)]
    assert rows[1].mean() > rows[0].mean() + 10  # lower in the world, lower in the picture
    simulator.reset(np.zeros(7))
    assert (simulator.picture(goal) != picture).mean() > 0.01  # the arm has moved


def _rows_of_red(picture: np.ndarray) -> np.ndarray:
    """Return the rows of the goal's pixels: far redder than the orange of the arm."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return np.nonzero((red > 80) & (green < 0.25 * red) & (blue < 0.25 * red))[0]


def test_the_engines_draw_the_same_things_at_the_same_places(make: Maker) -> None:
    arm, goal = load_arm('two_joint', 'reach'), poses.from_position((0.0, 0.7, 0.8))
    drawn = [(make(engine, arm).picture(goal) < 255).any(axis=2) for engine in ENGINES]
    assert 0.01 < drawn[0].mean() < 0.5
    assert (drawn[0] != drawn[1]).mean() < 0.15 * drawn[0].mean()  # their edges differ


@EACH
def test_two_worlds_are_independent_and_close_twice(make: Maker, engine: str) -> None:
    simulator, other = make(engine), make(engine)
    other.reset(np.zeros(7))
    np.testing.assert_allclose(simulator.read()[1], iiwa().home, atol=1e-12)
    other.close()
    other.close()
    np.testing.assert_allclose(simulator.read()[1], iiwa().home, atol=1e-12)


@EACH
def test_a_urdf_whose_mesh_is_missing_is_refused(
    engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str],
) -> None:
    urdf = tmp_path / 'arm.urdf'
    urdf.write_text('<robot name="arm"><link name="base"><collision><geometry>'
                    '<mesh filename="package://none/base.stl"/>'
                    '</geometry></collision></link></robot>')
    with pytest.raises(
            InvalidInput, match=r'^(PyBullet|MuJoCo) cannot load .*arm.urdf.*give mesh paths'):
        made(engine, urdf, (), PERIOD)
    capfd.readouterr()  # what PyBullet says of it
