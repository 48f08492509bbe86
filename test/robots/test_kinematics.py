# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics against PyBullet, Jacobian against differences, rejected URDFs."""

import numpy as np
import pybullet
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.environments.make import load_arm
from rl_control.robots import kinematics
from rl_control.robots.kinematics import Kinematics, urdf_path

IIWA = ('kuka_iiwa/model.urdf', tuple(f'lbr_iiwa_joint_{i}' for i in range(1, 8)),
        'lbr_iiwa_link_7')
PANDA = ('franka_panda/panda.urdf', tuple(f'panda_joint{i}' for i in range(1, 8)),
         'panda_grasptarget')
# A tree with every kind of joint, turned origins, a skew axis, and a driven joint beside the
# chain (`side`); `idle` lies on the chain and is not driven.
SMALL = '''<?xml version="1.0"?>
<robot name="small">
  <link name="base"/><link name="a"/><link name="b"/><link name="c"/><link name="tool"/>
  <link name="d"/>
  <joint name="turn" type="continuous"><parent link="base"/><child link="a"/>
    <origin xyz="0.1 0.2 0.3" rpy="0.3 -0.4 0.5"/><axis xyz="1 2 3"/></joint>
  <joint name="slide" type="prismatic"><parent link="a"/><child link="b"/>
    <origin xyz="0 0.1 0"/><axis xyz="0 0.8 0.6"/>
    <limit lower="-0.1" upper="0.4" velocity="0.5" effort="1"/></joint>
  <joint name="idle" type="revolute"><parent link="b"/><child link="c"/>
    <origin xyz="0.2 0 0" rpy="1 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-1" upper="1" velocity="1" effort="1"/></joint>
  <joint name="bolt" type="fixed"><parent link="c"/><child link="tool"/>
    <origin xyz="0 0 0.25" rpy="0 1 0"/></joint>
  <joint name="side" type="revolute"><parent link="base"/><child link="d"/>
    <axis xyz="0 0 1"/><limit lower="-1" upper="2" effort="1"/></joint>
</robot>
'''
DRIVEN = ('slide', 'side', 'turn')


@pytest.fixture
def small(tmp_path):
    path = tmp_path / 'small.urdf'
    path.write_text(SMALL)
    return path


@pytest.fixture
def client():
    client = pybullet.connect(pybullet.DIRECT)
    yield client
    pybullet.disconnect(client)


def bullet_frames(client, path, joint_names, end_effector, positions):
    """Yield PyBullet's frame of the link at each joint position."""
    body = pybullet.loadURDF(str(path), useFixedBase=True, physicsClientId=client)
    about = [pybullet.getJointInfo(body, index, physicsClientId=client)
             for index in range(pybullet.getNumJoints(body, physicsClientId=client))]
    joints = {info[1].decode(): info[0] for info in about}
    links = {info[12].decode(): info[0] for info in about}
    for q in positions:
        for name, angle in zip(joint_names, q, strict=True):
            pybullet.resetJointState(body, joints[name], angle, physicsClientId=client)
        position, orientation = pybullet.getLinkState(
            body, links[end_effector], computeForwardKinematics=1, physicsClientId=client)[4:6]
        frame = np.eye(4)
        frame[:3, :3] = np.array(pybullet.getMatrixFromQuaternion(orientation)).reshape(3, 3)
        frame[:3, 3] = position
        yield frame


@pytest.mark.parametrize(('urdf', 'joint_names', 'end_effector'), [IIWA, PANDA])
def test_pose_equals_pybullet(client, urdf, joint_names, end_effector):
    path = urdf_path(f'pybullet_data:{urdf}')
    arm = Kinematics(path, joint_names, end_effector)
    positions = np.random.default_rng(1).uniform(arm.position_low, arm.position_high, (50, 7))
    expected = np.array(list(bullet_frames(client, path, joint_names, end_effector, positions)))
    np.testing.assert_allclose(arm.pose(positions), expected, atol=1e-6)
    np.testing.assert_allclose([arm.position(q) for q in positions], expected[:, :3, 3], atol=1e-6)


def test_slides_rotated_origins_and_idle_joints_equal_pybullet(client, small):
    arm = Kinematics(small, DRIVEN, 'tool')
    positions = np.random.default_rng(2).uniform(-1.0, 1.0, (20, 3))
    expected = np.array(list(bullet_frames(client, small, DRIVEN, 'tool', positions)))
    np.testing.assert_allclose(arm.pose(positions), expected, atol=1e-6)


def test_leading_axes_equal_single_calls(small):
    arm = Kinematics(small, DRIVEN, 'tool')
    q = np.random.default_rng(3).uniform(-1.0, 1.0, (2, 5, 3))
    single = np.array([[arm.pose(one) for one in row] for row in q])
    np.testing.assert_allclose(arm.pose(q), single, atol=1e-15)
    np.testing.assert_allclose(arm.position(q), single[..., :3, 3], atol=1e-15)


@pytest.mark.parametrize('which', ['iiwa', 'panda', 'small'])
def test_jacobian_is_the_slope_of_position(which, small):
    if which == 'small':
        arm = Kinematics(small, DRIVEN, 'tool')
    else:
        urdf, joint_names, end_effector = IIWA if which == 'iiwa' else PANDA
        arm = Kinematics(urdf_path(f'pybullet_data:{urdf}'), joint_names, end_effector)
    count, rng = len(arm.joint_names), np.random.default_rng(4)
    for q in rng.uniform(-1.5, 1.5, (10, count)):
        steps = 1e-6 * np.eye(count)
        slope = (arm.position(q + steps) - arm.position(q - steps)).T / 2e-6
        np.testing.assert_allclose(arm.jacobian(q), slope, atol=1e-8)


def test_a_link_without_driven_joints_is_fixed(small):
    arm = Kinematics(small, ('side',), 'a')
    assert arm.position(np.array([1.0])) == pytest.approx([0.1, 0.2, 0.3])
    assert arm.position(np.zeros((4, 1))).shape == (4, 3)
    assert not arm.jacobian(np.array([1.0])).any()


def test_limits_are_those_of_the_urdf(small):
    arm = Kinematics(small, DRIVEN, 'tool')
    assert arm.position_low.tolist() == [-0.1, -1.0, -np.inf]
    assert arm.position_high.tolist() == [0.4, 2.0, np.inf]
    assert arm.velocity_limit.tolist() == [0.5, np.inf, np.inf]


def test_q_of_another_length_is_an_error(small):
    with pytest.raises(ValueError, match='slide, side, turn'):
        Kinematics(small, DRIVEN, 'tool').position(np.zeros(2))


@pytest.mark.parametrize(('joint_names', 'link', 'words'), [
    (('slide', 'elbow'), 'tool', "no joint 'elbow'; it has turn, slide, idle, si"),
    (('slide',), 'hand', "no link 'hand'; it has base, a, b, c, tool, d"),
    (('bolt',), 'tool', "'bolt' .* of type 'fixed'; drive only"),
    (('slide', 'slide'), 'tool', 'name one twice'),
])
def test_unknown_names_are_rejected(small, joint_names, link, words):
    with pytest.raises(InvalidInput, match=words):
        Kinematics(small, joint_names, link)


@pytest.mark.parametrize(('old', 'new', 'words'), [
    ('</robot>', '', 'not well-formed XML'),
    ('<robot name="small">', '<!DOCTYPE r [<!ENTITY a "aa">]><robot name="&a;">',
     'declares a document type'),
    ('robot', 'sdf', 'begins with <sdf>'),
    ('1 2 3', '0 0 0', "'turn' .* axis '0 0 0'"),
    ('1 2 3', '${axis}', "'turn' .* axis"),
    ('0.3 -0.4 0.5', '0.3 -0.4', "'turn' .* origin rpy '0.3 -0.4'"),
    ('0.1 0.2 0.3', '0.1 nan 0.3', "'turn' .* origin xyz"),
    ('1 2 3', '1 inf 3', "'turn' .* axis"),
    ('lower="-0.1"', 'lower="low"', "'slide' .* limit 'low'"),
    ('<limit lower="-1" upper="2" effort="1"/>', '', "'side' .* has no <limit>"),
    ('<child link="d"/>', '<child link="a"/>', "two joints above link 'a'"),
    ('<joint name="side" type="revolute"><parent link="base"/><child link="d"/>',
     '<joint name="side" type="revolute"><parent link="tool"/><child link="base"/>', 'circle'),
    ('<joint name="side" type="revolute"><parent link="base"/><child link="d"/>',
     '<joint name="side" type="revolute"><parent link="b"/><child link="base"/>', 'circle'),
    ('name="small"', 'name="' + 'x' * 2000 + '"', 'larger than 1900 bytes'),
])
def test_a_broken_urdf_is_refused(small, monkeypatch, old, new, words):
    if 'larger' in words:
        monkeypatch.setattr(kinematics, 'URDF_SIZE_LIMIT', 1900)
    assert old in SMALL
    small.write_text(SMALL.replace(old, new))
    with pytest.raises(InvalidInput, match=words):
        Kinematics(small, DRIVEN, 'tool')


@pytest.mark.parametrize('encoding', ['utf-16', 'utf-8-sig'])
def test_a_document_type_is_found_in_any_encoding(small, encoding):
    text = SMALL.replace('<?xml version="1.0"?>\n', '<!DOCTYPE robot>')
    small.write_bytes(text.encode(encoding))
    with pytest.raises(InvalidInput, match='document type'):
        Kinematics(small, DRIVEN, 'tool')


def test_paths_are_resolved_or_refused(small, monkeypatch):
    assert urdf_path(str(small)) == small
    assert urdf_path('pybullet_data:kuka_iiwa/model.urdf').is_file()
    with pytest.raises(InvalidInput, match='is not a file'):
        urdf_path(str(small.parent))
    with pytest.raises(InvalidInput, match=r'pybullet_data:nowhere\.urdf is not a file'):
        urdf_path('pybullet_data:nowhere.urdf')
    monkeypatch.setitem(__import__('sys').modules, 'pybullet_data', None)
    with pytest.raises(InvalidInput, match='needs the package pybullet_data'):
        urdf_path('pybullet_data:kuka_iiwa/model.urdf')


def test_an_unreadable_file_is_rejected(tmp_path):
    with pytest.raises(InvalidInput, match='cannot be read'):
        Kinematics(tmp_path, ('a',), 'b')


def test_the_pose_of_two_joints_is_worked_by_hand() -> None:
    arm = load_arm('two_joint', 'reach')
    limits = arm.limits
    q = np.random.default_rng(0).uniform(limits.position_low, limits.position_high, (20, 2))
    upper, fore = q[:, 0], q[:, 0] + q[:, 1]
    np.testing.assert_allclose(arm.kinematics.position(q), np.stack((
        0.4 * np.sin(upper) + 0.4 * np.sin(fore), np.zeros(20),
        0.4 + 0.4 * np.cos(upper) + 0.4 * np.cos(fore)), axis=1), atol=1e-12)


def test_a_xacro_file_is_named_with_the_command_that_makes_a_urdf(tmp_path) -> None:
    path = tmp_path / 'arm.urdf.xacro'
    path.write_text('<robot name="x" xmlns:xacro="http://www.ros.org/wiki/xacro">'
                    '<xacro:property name="a" value="1"/><link name="base"/></robot>')
    with pytest.raises(InvalidInput, match=r'is a xacro file; run `xacro arm.urdf.xacro > robot'):
        Kinematics(path, (), 'base')


def test_a_missing_packaged_urdf_is_rejected() -> None:
    with pytest.raises(InvalidInput, match=r'URDF config:robots/none\.urdf is not a file'):
        urdf_path('config:robots/none.urdf')
