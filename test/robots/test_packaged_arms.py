# SPDX-License-Identifier: Apache-2.0
"""The packaged iiwa and Panda beside PyBullet's, which are the same arms of meshes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
import math

from arms import iiwa, panda
from engines import EACH, made
import numpy as np
import pytest

from rl_control.common.types import Command
from rl_control.environments.arm_model import Arm
from rl_control.robots.kinematics import Kinematics, _origin, _parse, urdf_path
from rl_control.robots.robot import Simulator

MESHES = {'iiwa': 'pybullet_data:kuka_iiwa/model.urdf',
          'panda': 'pybullet_data:franka_panda/panda.urdf'}
TOTALS = {'iiwa': 29.9, 'panda': 18.0 + 0.73}  # kg, by the data sheets of arms and hand
BOTH = pytest.mark.parametrize('arm', [iiwa(), panda()], ids=lambda arm: arm.settings.name)
PERIOD = 0.05


def of_meshes(arm: Arm) -> Arm:
    """Return the same arm by PyBullet's URDF, or skip the test where that is not installed."""
    pytest.importorskip('pybullet_data')
    settings = replace(arm.settings, urdf=MESHES[arm.settings.name])
    return Arm.make(settings, arm.task.settings)


@BOTH
def test_all_links_are_where_those_of_meshes_are(arm: Arm) -> None:
    other, names = of_meshes(arm), arm.settings.joint_names
    links = [link.get('name', '') for link in _parse(arm.kinematics.urdf).findall('link')]
    assert links == [link.get('name', '') for link in _parse(other.kinematics.urdf).iter('link')]
    q = np.random.default_rng(0).uniform(
        arm.limits.position_low, arm.limits.position_high, (1000, len(names)))
    for link in links:
        ours, theirs = (Kinematics(one.kinematics.urdf, names, link, arm.held).pose(q)
                        for one in (arm, other))
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-9, err_msg=link)


@BOTH
def test_a_policy_for_the_one_fits_the_other(arm: Arm) -> None:
    other = of_meshes(arm)
    assert arm.contract() == other.contract()
    for ours, theirs in ((arm.limits, other.limits), (arm.held, other.held)):
        assert repr(ours) == repr(theirs)


def inertias(arm: Arm) -> Iterator[tuple[str, float, np.ndarray, np.ndarray]]:
    """Yield each link's name, mass kg, centre of mass (3,) m and inertia (3, 3) kg m²."""
    for link in _parse(arm.kinematics.urdf).findall('link'):
        inertial = link.find('inertial')
        xx, xy, xz, yy, yz, zz = (float(inertial.find('inertia').get(key)) for key in (
            'ixx', 'ixy', 'ixz', 'iyy', 'iyz', 'izz'))
        frame = _origin(arm.kinematics.urdf, inertial)
        np.testing.assert_array_equal(frame[:3, :3], np.eye(3))
        yield (link.get('name'), float(inertial.find('mass').get('value')), frame[:3, 3],
               np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))


@BOTH
def test_bodies_with_these_masses_and_inertias_exist(arm: Arm) -> None:
    for name, mass, _, inertia in inertias(arm):
        moments = np.linalg.eigvalsh(inertia)
        assert mass > 0.0 and moments[0] > 0.0, name
        assert moments[0] + moments[1] > moments[2], name  # of no mass distribution otherwise
    assert sum(mass for _, mass, *_ in inertias(arm)) == pytest.approx(
        TOTALS[arm.settings.name], abs=1e-3)


@pytest.mark.parametrize(('arm', 'filled'), [
    (iiwa(), 'lbr_iiwa_link'), (panda(), ('panda_link0', 'panda_left', 'panda_right'))],
    ids=['iiwa', 'panda'])
def test_evenly_filled_links_have_the_inertia_of_their_shapes(
    arm: Arm, filled: str | tuple[str, ...],
) -> None:
    rng, links = np.random.default_rng(0), _parse(arm.kinematics.urdf).findall('link')
    for link, (name, mass, centre, inertia) in zip(links, inertias(arm), strict=True):
        if not name.startswith(filled):
            continue
        shapes = link.findall('collision')
        corners = np.array([
            _origin(arm.kinematics.urdf, shape)[:3, 3] + sign * largest(shape)
            for shape in shapes for sign in (-1.0, 1.0)])
        points = rng.uniform(corners.min(axis=0), corners.max(axis=0), (300_000, 3))
        points = points[np.any([within(arm, shape, points) for shape in shapes], axis=0)]
        np.testing.assert_allclose(centre, points.mean(axis=0), atol=2e-3, err_msg=name)
        spread = mass * np.cov(points.T)
        expected = np.trace(spread) * np.eye(3) - spread
        np.testing.assert_allclose(inertia, expected, atol=0.06 * np.trace(inertia), err_msg=name)


def largest(collision) -> float:
    """Return a distance (m) from its centre that a shape keeps within."""
    (shape,) = collision.find('geometry')
    return sum(float(part) for value in shape.attrib.values() for part in value.split())


def within(arm: Arm, collision, points: np.ndarray) -> np.ndarray:
    """Return which of the points (k, 3), m in the link's frame, lie in a collision shape."""
    frame, (shape,) = _origin(arm.kinematics.urdf, collision), collision.find('geometry')
    x, y, z = ((points - frame[:3, 3]) @ frame[:3, :3]).T
    size = {key: np.array(value.split(), float) for key, value in shape.attrib.items()}
    if shape.tag == 'box':
        return np.all(np.abs((x, y, z)) < size['size'][:, None] / 2, axis=0)
    if shape.tag == 'sphere':
        return x**2 + y**2 + z**2 < size['radius']**2
    assert shape.tag == 'cylinder'
    return (x**2 + y**2 < size['radius']**2) & (np.abs(z) < size['length'] / 2)


class Distances:
    """Distances between the links of an arm that do not follow each other."""

    REACH = 0.1  # m; beyond it no distance is looked for

    def __init__(self, arm: Arm) -> None:
        import pybullet

        self._bullet, client = pybullet, pybullet.connect(pybullet.DIRECT)
        self._world = {'physicsClientId': client}
        self._body = pybullet.loadURDF(
            str(arm.kinematics.urdf), useFixedBase=True, **self._world)
        infos = [pybullet.getJointInfo(self._body, index, **self._world)
                 for index in range(pybullet.getNumJoints(self._body, **self._world))]
        self._joints = {info[1].decode(): info[0] for info in infos}
        self._names = arm.settings.joint_names
        self._place(arm.held, arm.held.values())
        above = {-1: -2, **{info[0]: info[16] for info in infos}}
        solid = {link for link in above
                 if pybullet.getCollisionShapeData(self._body, link, **self._world)}
        for link in above:  # past links without a body
            while above[link] >= 0 and above[link] not in solid:
                above[link] = above[above[link]]
        self._pairs = [(one, other) for one, other in combinations(sorted(solid), 2)
                       if above[other] != one]

    def _place(self, names, q) -> None:
        for name, position in zip(names, q, strict=True):
            self._bullet.resetJointState(
                self._body, self._joints[name], position, 0.0, **self._world)

    def at(self, q: np.ndarray) -> np.ndarray:
        """Return the distance (m) of each pair, below 0 inside, at most REACH, at `q` (n,)."""
        self._place(self._names, q)
        return np.array([min((point[8] for point in self._bullet.getClosestPoints(
            self._body, self._body, self.REACH, *pair, **self._world)), default=self.REACH)
            for pair in self._pairs])

    def close(self) -> None:
        self._bullet.disconnect(**self._world)


@BOTH
def test_links_are_as_far_apart_as_those_of_meshes(arm: Arm) -> None:
    """At home and at 200 random poses nothing overlaps that is not within 5 mm with meshes."""
    pytest.importorskip('pybullet')
    beside = [Distances(arm), Distances(of_meshes(arm))]
    poses = np.random.default_rng(0).uniform(
        arm.limits.position_low, arm.limits.position_high, (200, len(arm.home)))
    ours, theirs = (np.array([one.at(q) for q in (arm.home, *poses)]) for one in beside)
    for one in beside:
        one.close()
    assert ours.shape == theirs.shape and np.count_nonzero(theirs < 0.0) > 10
    assert ours[0].min() > 0.02
    assert (theirs[ours < 0.0] < 0.005).all()
    near = (theirs > 0.0) & (theirs < Distances.REACH)
    assert np.abs(ours - theirs)[near].mean() < 0.01
    assert (ours - theirs)[near].max() < 0.05


@EACH
@BOTH
def test_home_is_held_under_gravity(
    arm: Arm, engine: str, capfd: pytest.CaptureFixture[str],
) -> None:
    simulator = made(engine, arm.kinematics.urdf, arm.settings.joint_names, PERIOD, arm.held)
    simulator.reset(arm.home)
    for _ in range(40):
        simulator.send(Command.at_rest(arm.home))
    _, q, dq = simulator.read()
    simulator.close()
    assert np.abs(q - arm.home).max() < 1e-4 and np.abs(dq).max() < 1e-3
    assert not any(capfd.readouterr())  # PyBullet prints what it does not like of a URDF


@BOTH
def test_a_wave_is_followed_as_by_the_arm_of_meshes(arm: Arm) -> None:
    ours, theirs = (mean_error(made(
        'pybullet', one.kinematics.urdf, one.settings.joint_names, PERIOD, one.held), one)
        for one in (arm, of_meshes(arm)))
    assert ours <= theirs < 2e-4


def mean_error(simulator: Simulator, arm: Arm) -> float:
    """Return the mean distance (m) of the end effector from a wave of 2 s on all joints."""
    simulator.reset(arm.home)
    omega, signs, errors = math.pi, (-1.0) ** np.arange(len(arm.home)), []
    for tick in range(1, 81):
        phase = omega * tick * PERIOD
        command = Command(arm.home + 0.3 * (1 - math.cos(phase)) * signs,
                          0.3 * omega * math.sin(phase) * signs,
                          0.3 * omega**2 * math.cos(phase) * signs)
        simulator.send(command)
        errors.append(np.linalg.norm(arm.kinematics.position(simulator.read()[1])
                                     - arm.kinematics.position(command.q)))
    simulator.close()
    return float(np.mean(errors))


def test_the_packaged_urdfs_need_no_other_file() -> None:
    for name in MESHES:
        text = urdf_path(f'config:robots/{name}.urdf').read_text()
        assert '<mesh' not in text and 'package://' not in text
