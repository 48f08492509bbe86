# SPDX-License-Identifier: Apache-2.0
"""Joints that are not driven: where they are held, in kinematics and in each engine."""

from pathlib import Path

from arms import panda
from engines import EACH, made
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.environments.arm_model import Arm
from rl_control.robots.held_joints import held_positions
from rl_control.robots.kinematics import Kinematics

ARM = '''<robot name="arm">
  <link name="base"/><link name="a"/><link name="b"/><link name="c"/><link name="d"/>
  <link name="e"/>
  <joint name="turn" type="revolute"><parent link="base"/><child link="a"/>
    <axis xyz="1 2 3"/><limit lower="-3" upper="3" effort="9"/></joint>
  <joint name="bend" type="continuous"><parent link="a"/><child link="b"/>
    <origin xyz="0.1 0.2 0.3" rpy="0.4 0.5 0.6"/><axis xyz="0 1 0"/></joint>
  <joint name="slide" type="prismatic"><parent link="b"/><child link="c"/>
    <origin xyz="0 0 0.2"/><axis xyz="0 0 1"/><limit lower="-0.1" upper="0.3" effort="9"/></joint>
  <joint name="follow" type="prismatic"><parent link="b"/><child link="d"/>
    <axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="9"/>
    <mimic joint="slide" multiplier="-2" offset="0.05"/></joint>
  <joint name="shadow" type="revolute"><parent link="c"/><child link="e"/>
    <axis xyz="0 0 1"/><limit lower="-3" upper="3" effort="9"/><mimic joint="turn"/></joint>
</robot>
'''


@pytest.fixture
def urdf(tmp_path: Path) -> Path:
    path = tmp_path / 'arm.urdf'
    path.write_text(ARM)
    return path


def test_held_joints_keep_their_position_and_others_mimic_them(urdf: Path) -> None:
    assert held_positions(urdf, ('turn',), {}) == {'bend': 0.0, 'slide': 0.0, 'follow': 0.05}
    held = held_positions(urdf, ('turn',), {'slide': 0.2, 'bend': 7.0})
    assert held == pytest.approx({'bend': 7.0, 'slide': 0.2, 'follow': -0.35})


@pytest.mark.parametrize(('name', 'position', 'words'), [
    ('elbow', 0.1, r"names 'elbow'; joints of .* that can be held are bend, slide"),
    ('turn', 0.1, r"names 'turn'; joints"),
    ('follow', 0.1, r"names 'follow'; joints"),
    ('slide', 0.31, r'held_positions of slide is 0.31, its URDF allows -0.1 to 0.3; keep it'),
    ('slide', float('nan'), r'held_positions of slide is nan'),
])
def test_what_cannot_be_held_is_refused(
    urdf: Path, name: str, position: float, words: str,
) -> None:
    with pytest.raises(InvalidInput, match=words):
        held_positions(urdf, ('turn',), {name: position})


def test_kinematics_are_those_of_the_held_joints_driven_there(urdf: Path) -> None:
    held = {'bend': 0.7, 'slide': 0.2}
    one = Kinematics(urdf, ('turn',), 'c', held)
    all_of_them = Kinematics(urdf, ('turn', 'bend', 'slide'), 'c')
    q = np.random.default_rng(0).uniform(-3.0, 3.0, (10, 1))
    driven = np.hstack((q, np.tile(list(held.values()), (10, 1))))
    np.testing.assert_allclose(one.pose(q), all_of_them.pose(driven), atol=1e-12)
    assert not np.allclose(one.pose(q), Kinematics(urdf, ('turn',), 'c').pose(q), atol=0.05)


def test_the_numbers_of_names_and_positions_are_compared() -> None:
    from dataclasses import replace

    arm = panda()
    settings = replace(arm.settings, held_positions=())
    with pytest.raises(InvalidInput, match='panda has 1 held joints but 0 held positions; give'):
        Arm.make(settings, arm.task.settings)


def fingers(simulator) -> np.ndarray:
    """Return the positions (2,) m of the Panda's fingers."""
    names = ('panda_finger_joint1', 'panda_finger_joint2')
    if simulator.engine == 'mujoco':
        return np.array([simulator.data.joint(name).qpos[0] for name in names])
    import pybullet

    world = simulator._world
    indices = {pybullet.getJointInfo(simulator.body, index, **world)[1].decode(): index
               for index in range(pybullet.getNumJoints(simulator.body, **world))}
    return np.array([
        pybullet.getJointState(simulator.body, indices[name], **world)[0] for name in names])


@EACH
@pytest.mark.parametrize('width', [0.0, 0.015, 0.04])
def test_fingers_stay_where_they_are_held(engine: str, width: float) -> None:
    arm = panda()
    names = arm.settings.joint_names
    held = held_positions(arm.kinematics.urdf, names, {'panda_finger_joint1': width})
    simulator = made(engine, arm.kinematics.urdf, names, 0.05, held)
    simulator.reset(arm.home)
    np.testing.assert_allclose(fingers(simulator), width, atol=1e-9)
    for phase in 0.5 * np.arange(1, 40):  # all joints to and fro at up to 1 rad/s
        q, dq = arm.home + 0.1 * (1.0 - np.cos(phase)), np.sin(phase) * np.ones(7)
        simulator.send(Command(q, dq, np.zeros(7)))
        np.testing.assert_allclose(fingers(simulator), width, atol=1e-3)
    simulator.reset(arm.home)
    np.testing.assert_allclose(fingers(simulator), width, atol=1e-9)
    simulator.close()
