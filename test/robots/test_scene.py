# SPDX-License-Identifier: Apache-2.0
"""Scenes: contact, friction and free flight in each engine, against closed forms."""

from collections.abc import Callable, Iterator
import math
from pathlib import Path

from engines import EACH, require
import numpy as np
import pytest

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.robots.engines import make_simulator
from rl_control.robots.robot import Simulator
from rl_control.robots.scene import Fixture, Object, Scene

GRAVITY, PERIOD, STEP = 9.81, 0.05, 1.0 / 240.0
# A plate that slides along x, to push things with.
PUSHER = '''<robot name="pusher">
  <link name="base"/>
  <joint name="slide" type="prismatic">
    <parent link="base"/><child link="plate"/><origin xyz="0 0 0.1"/><axis xyz="1 0 0"/>
    <limit lower="-1" upper="1" effort="50" velocity="1"/>
  </joint>
  <link name="plate">
    <inertial>
      <mass value="1"/><inertia ixx="0.01" ixy="0" ixz="0" iyy="0.01" iyz="0" izz="0.01"/>
    </inertial>
    <collision><geometry><box size="0.02 0.2 0.1"/></geometry></collision>
  </link>
</robot>'''
TABLE = Fixture('table', 'box', (2.0, 2.0, 0.1), pose=(0.0, 0.0, -0.05, 0.0, 0.0, 0.0, 1.0))
Maker = Callable[..., Simulator]


def at(x: float, y: float, z: float) -> tuple[float, ...]:
    return (x, y, z, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Maker]:
    """Return what makes a world of an engine with the pusher, the table and objects."""
    urdf, made = tmp_path / 'pusher.urdf', []
    urdf.write_text(PUSHER)

    def one(engine: str, *objects: Object, fixtures: tuple[Fixture, ...] = (TABLE,)) -> Simulator:
        require(engine)
        made.append(make_simulator(
            engine, urdf, ('slide',), PERIOD, scene=Scene(fixtures, objects)))
        made[-1].reset(np.array([-0.9]))
        return made[-1]

    yield one
    for simulator in made:
        simulator.close()


def wait(simulator: Simulator, seconds: float, q: float = -0.9) -> None:
    for _ in range(round(seconds / PERIOD)):
        simulator.send(Command.at_rest(np.array([q])))


@EACH
@pytest.mark.parametrize(('shape', 'size'), [
    ('box', (0.1, 0.08, 0.06)), ('cylinder', (0.03, 0.06)), ('sphere', (0.03,))])
def test_a_body_rests_on_the_table_with_its_weight(
    make: Maker, engine: str, shape: str, size: tuple[float, ...],
) -> None:
    simulator = make(engine, Object('thing', shape, size, at(0.5, 0.5, 0.03), mass=0.5))
    wait(simulator, 2.0)
    pose = simulator.bodies.pose('thing')
    np.testing.assert_allclose(pose[:3], (0.5, 0.5, 0.03), atol=4e-4)
    np.testing.assert_allclose(pose[3:], (0.0, 0.0, 0.0, 1.0), atol=5e-4)
    # MuJoCo finds changing points on a cylinder's rim: it rocks by 0.1 mrad.
    still = 0.1 if (engine, shape) == ('mujoco', 'cylinder') else 1e-3
    assert np.abs(simulator.bodies.velocity('thing')).max() < still
    assert simulator.bodies.contact_force('thing', 'table') == pytest.approx(
        0.5 * GRAVITY, rel=0.01)


@EACH
@pytest.mark.parametrize('friction', [0.2, 0.5])
def test_a_box_slides_as_far_as_friction_lets_it(
    make: Maker, engine: str, friction: float,
) -> None:
    """v²/(2 mu g), less v h/2 by the step h of what integrates velocity before position."""
    simulator = make(engine, Object(
        'box', 'box', (0.1, 0.1, 0.04), at(0.0, 0.3, 0.02), mass=0.5, friction=friction))
    wait(simulator, 0.5)
    start = simulator.bodies.pose('box')
    simulator.bodies.place('box', start, np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    wait(simulator, 1.0)
    way = simulator.bodies.pose('box')[:3] - start[:3]
    assert way[0] == pytest.approx(1.0 / (2 * friction * GRAVITY) - STEP / 2, rel=0.01)
    np.testing.assert_allclose(way[1:], 0.0, atol=1e-3)


@EACH
def test_two_boxes_stay_stacked(make: Maker, engine: str) -> None:
    simulator = make(
        engine,
        Object('low', 'box', (0.1, 0.1, 0.05), at(0.5, 0.0, 0.025), mass=0.3),
        Object('top', 'box', (0.06, 0.06, 0.06), at(0.5, 0.0, 0.08), mass=0.2))
    wait(simulator, 3.0)
    bodies = simulator.bodies
    np.testing.assert_allclose(bodies.pose('low')[:3], (0.5, 0.0, 0.025), atol=1e-3)
    np.testing.assert_allclose(bodies.pose('top')[:3], (0.5, 0.0, 0.08), atol=1e-3)
    assert bodies.contact_force('low', 'table') == pytest.approx(0.5 * GRAVITY, rel=0.01)
    assert bodies.contact_force('low', 'top') == pytest.approx(0.2 * GRAVITY, rel=0.01)
    assert bodies.contact_force('top', 'table') == 0.0


@EACH
def test_friction_between_two_objects_is_the_product(make: Maker, engine: str) -> None:
    simulator = make(
        engine,
        Object('slab', 'box', (1.0, 0.4, 0.04), at(0.0, 0.0, 0.02), mass=50.0, friction=1.0),
        Object('box', 'box', (0.1, 0.1, 0.04), at(0.0, 0.0, 0.06), mass=0.1, friction=0.3))
    rough = make(
        engine,
        Object('slab', 'box', (1.0, 0.4, 0.04), at(0.0, 0.0, 0.02), mass=50.0, friction=0.6),
        Object('box', 'box', (0.1, 0.1, 0.04), at(0.0, 0.0, 0.06), mass=0.1, friction=0.5))
    for world in (simulator, rough):
        wait(world, 0.5)
        start = world.bodies.pose('box')
        world.bodies.place('box', start, np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
        wait(world, 1.0)
        way = world.bodies.pose('box')[0] - start[0]
        assert way == pytest.approx(1.0 / (2 * 0.3 * GRAVITY) - STEP / 2, rel=0.01)


@EACH
def test_a_thrown_body_flies_on_a_parabola_and_spins(make: Maker, engine: str) -> None:
    """Its angular velocity is in the base frame; steps h of velocity first: g t (t + h) / 2."""
    turned = np.array([0.0, 0.0, 0.0, math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])  # x to x, y to z
    simulator = make(engine, Object('ball', 'sphere', (0.05,), at(0.0, 0.5, 0.5), mass=0.3))
    start = np.array([0.0, 0.5, 0.5, *turned[3:]])
    thrown = np.array([0.4, -0.2, 3.0, 0.0, 0.0, 2.0])
    simulator.bodies.place('ball', start, thrown)
    np.testing.assert_allclose(simulator.bodies.pose('ball'), start, atol=1e-9)
    np.testing.assert_allclose(simulator.bodies.velocity('ball'), thrown, atol=1e-9)
    wait(simulator, 0.5)
    t, pose = 0.5, simulator.bodies.pose('ball')
    expected = start[:3] + thrown[:3] * t - (0.0, 0.0, GRAVITY * t * (t + STEP) / 2)
    np.testing.assert_allclose(pose[:3], expected, atol=1e-3)
    turn = poses.rotation(pose) @ poses.rotation(start).T  # in the base frame: about z by 1 rad
    np.testing.assert_allclose(poses.rotation_vector(turn), (0.0, 0.0, 1.0), atol=5e-3)
    np.testing.assert_allclose(simulator.bodies.velocity('ball')[3:], (0.0, 0.0, 2.0), atol=1e-3)


@EACH
def test_the_arm_pushes_with_the_force_of_friction(make: Maker, engine: str) -> None:
    """At constant speed it is mu times the table's force, since the plate may lift a little."""
    simulator = make(engine, Object(
        'box', 'box', (0.3, 0.1, 0.12), at(-0.4, 0.0, 0.06), mass=1.5, friction=0.4))
    forces, speed = [], 0.2  # N, m/s
    for tick in range(1, 81):
        simulator.send(Command(np.array([-0.9 + speed * PERIOD * tick]), np.array([speed]),
                               np.zeros(1)))
        if tick > 50:
            forces.append([simulator.bodies.contact_force(*pair)
                           for pair in (('plate', 'box'), ('table', 'box'))])
    q = simulator.read()[1][0]
    assert simulator.bodies.pose('box')[0] == pytest.approx(q + 0.16, abs=1e-3)
    assert simulator.bodies.velocity('box')[0] == pytest.approx(speed, rel=0.02)
    push, weight = np.mean(forces, axis=0)
    assert push == pytest.approx(0.4 * weight, rel=0.02)
    assert weight == pytest.approx(1.5 * GRAVITY, rel=0.4**2 + 0.02)  # friction of the plate


@EACH
def test_reset_puts_objects_back(make: Maker, engine: str) -> None:
    simulator = make(engine, Object('box', 'box', (0.1, 0.1, 0.04), at(0.0, 0.3, 0.02)))
    simulator.bodies.place('box', np.array(at(0.4, 0.4, 0.5)), np.ones(6))
    wait(simulator, 0.2)
    simulator.reset(np.array([0.0]))
    np.testing.assert_allclose(simulator.bodies.pose('box'), at(0.0, 0.3, 0.02), atol=1e-12)
    assert not simulator.bodies.velocity('box').any()


@EACH
def test_a_scene_is_in_the_picture(make: Maker, engine: str) -> None:
    goal = poses.from_position((0.0, 0.7, 0.8))
    simulator = make(engine, Object(
        'box', 'box', (0.3, 0.3, 0.3), at(0.3, 0.3, 0.3), colour=(0.0, 0.9, 0.0)), fixtures=())
    red, green, blue = np.moveaxis(simulator.picture(goal).astype(int), -1, 0)
    there = (green > 60) & (red < 0.3 * green) & (blue < 0.3 * green)
    assert 0.01 < there.mean() < 0.3
    simulator.bodies.place('box', np.array(at(0.3, 0.3, 9.0)))
    red, green, blue = np.moveaxis(simulator.picture(goal).astype(int), -1, 0)
    assert not ((green > 60) & (red < 0.3 * green)).any()


@EACH
def test_masses_are_those_of_the_arm_alone(make: Maker, engine: str) -> None:
    simulator = make(engine, Object('box', 'box', (0.1, 0.1, 0.04), at(0.0, 0.3, 0.02), mass=7.0))
    masses = simulator.masses
    assert len(masses) == 2 and masses[1] == pytest.approx(1.0)
    simulator.set_dynamics(2.0 * masses, np.zeros(1), 0.0)
    simulator.reset(np.array([-0.9]))
    wait(simulator, 1.0)
    assert simulator.bodies.contact_force('box', 'table') == pytest.approx(7.0 * GRAVITY, rel=0.01)


@pytest.mark.parametrize(('given', 'message'), [
    ({'shape': 'cone'}, "shape of it is 'cone'; known are box, cylinder, sphere"),
    ({'size': (0.1,)}, r'size of it is \(0.1,\); give 3 numbers above 0'),
    ({'size': (0.1, 0.0, 0.1)}, 'size of it'),
    ({'pose': (0.0,) * 7}, 'orientation of it .* give a unit quaternion'),
    ({'pose': (0.0, math.nan, 0.0, 0.0, 0.0, 0.0, 1.0)}, 'pose of it'),
    ({'mass': 0.0}, r'mass of it is \(0.0,\); give 1 numbers above 0'),
    ({'friction': -0.1}, 'friction of it is -0.1'),
])
def test_bodies_that_cannot_be_are_refused(given: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Object(**{'name': 'it', 'shape': 'box', 'size': (0.1, 0.1, 0.1), **given})


def test_each_body_has_a_name_of_its_own() -> None:
    with pytest.raises(InvalidInput, match="the scene has two bodies 'table'"):
        Scene((TABLE,), (Object('table', 'sphere', (0.1,)),))
