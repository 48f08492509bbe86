# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's model of a URDF: frames, inertias, shapes, couplings, and each refusal."""

from pathlib import Path

from arms import iiwa, panda
import numpy as np
import pytest

mujoco = pytest.importorskip('mujoco')

from rl_control.common.errors import InvalidInput  # noqa: E402
from rl_control.common.types import Command  # noqa: E402
from rl_control.environments.make import load_arm  # noqa: E402
from rl_control.robots.mujoco_model import UNSEEN, arm_spec  # noqa: E402
from rl_control.robots.mujoco_simulator import MujocoSimulator  # noqa: E402

STEP = 1.0 / 240.0
HAND = '''<robot name="hand">
  <material name="blue"><color rgba="0 0 1 1"/></material>
  <link name="base"/>
  <joint name="slide" type="prismatic">
    <parent link="base"/><child link="left"/><origin xyz="0 0 1"/><axis xyz="0 1 0"/>
    <limit lower="0" upper="0.04" effort="20" velocity="1"/>
  </joint>
  <link name="left">
    <inertial><mass value="0.1"/><inertia ixx="0" ixy="0" ixz="0" iyy="0" iyz="0" izz="0"/></inertial>
    <visual><geometry><mesh filename="left.dae"/></geometry></visual>
    <collision><geometry><capsule radius="0.01" length="0.06"/></geometry></collision>
  </link>
  <joint name="follow" type="prismatic">
    <parent link="base"/><child link="right"/><origin xyz="0 0 1"/><axis xyz="0 -1 0"/>
    <limit lower="0" upper="0.04" effort="20" velocity="1"/>
    <mimic joint="slide" multiplier="1" offset="0.002"/>
  </joint>
  <link name="right">
    <visual>
      <origin xyz="0 0 0.01" rpy="0 0 1.5707963267948966"/>
      <geometry><box size="0.02 0.04 0.06"/></geometry><material name="blue"/>
    </visual>
    <collision><geometry><sphere radius="0.03"/></geometry></collision>
  </link>
</robot>'''  # noqa: E501


def written(folder: Path, text: str = HAND) -> Path:
    path = folder / 'hand.urdf'
    path.write_text(text)
    return path


def compiled(urdf: Path, joints: tuple[str, ...]) -> 'mujoco.MjModel':
    return arm_spec(urdf, joints, STEP).compile()


@pytest.mark.filterwarnings('ignore:obj_decoder')
@pytest.mark.parametrize('arm', [load_arm('two_joint', 'reach'), iiwa(), panda()],
                         ids=lambda arm: arm.settings.name)
def test_the_end_effector_is_where_kinematics_have_it(arm) -> None:
    model = compiled(arm.kinematics.urdf, arm.settings.joint_names)
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    joints = [model.joint(name).qposadr[0] for name in arm.settings.joint_names]
    for _ in range(20):
        q = rng.uniform(arm.limits.position_low, arm.limits.position_high)
        data.qpos[joints] = q
        mujoco.mj_kinematics(model, data)
        body, frame = data.body(arm.settings.end_effector), arm.kinematics.pose(q)
        np.testing.assert_allclose(body.xpos, frame[:3, 3], atol=1e-9)
        np.testing.assert_allclose(body.xmat.reshape(3, 3), frame[:3, :3], atol=1e-9)


def test_links_at_fixed_joints_stay_bodies_and_masses_are_the_urdfs() -> None:
    arm = load_arm('two_joint', 'reach')
    model = compiled(arm.kinematics.urdf, arm.settings.joint_names)
    assert [model.body(index).name for index in range(1, model.nbody)] == [
        'base', 'upper_arm', 'forearm', 'tip']
    np.testing.assert_allclose(model.body_mass[1:], [5.0, 1.0, 0.8, 0.05])
    np.testing.assert_allclose(sorted(model.body('forearm').inertia), [0.0004, 0.0108, 0.0108])
    np.testing.assert_allclose(model.body('forearm').ipos, [0.0, 0.0, 0.2])
    np.testing.assert_allclose(model.jnt_range, [[-2.0, 2.0], [0.0, 2.6]])
    np.testing.assert_allclose(model.actuator_forcerange, [[-60, 60], [-40, 40]])


def test_a_turned_inertia_is_the_same_tensor(tmp_path: Path) -> None:
    """R I Rᵀ of the URDF's tensor and frame, against the principal ones of the model."""
    tensor = np.array([[0.03, 0.004, -0.002], [0.004, 0.025, 0.001], [-0.002, 0.001, 0.02]])
    xx, xy, xz, yy, yz, zz = tensor[np.triu_indices(3)]
    urdf = written(tmp_path, HAND.replace(
        '<mass value="0.1"/><inertia ixx="0" ixy="0" ixz="0" iyy="0" iyz="0" izz="0"/>',
        f'<origin rpy="0 0 0.5"/><mass value="0.1"/><inertia ixx="{xx}" ixy="{xy}" ixz="{xz}" '
        f'iyy="{yy}" iyz="{yz}" izz="{zz}"/>'))
    model = compiled(urdf, ('slide',))
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, model.body('left').iquat)
    axes = matrix.reshape(3, 3)
    cosine, sine = np.cos(0.5), np.sin(0.5)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(
        axes @ np.diag(model.body('left').inertia) @ axes.T, turn @ tensor @ turn.T, atol=1e-12)


def test_primitive_shapes_and_colours(tmp_path: Path) -> None:
    """Meshes that MuJoCo cannot read are drawn as they collide; massless bodies get a little."""
    model = compiled(written(tmp_path), ('slide',))
    capsule, box, sphere = (model.geom(index) for index in range(3))
    assert [geom.type[0] for geom in (capsule, box, sphere)] == [
        mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_SPHERE]
    np.testing.assert_allclose(capsule.size[:2], [0.01, 0.03])
    np.testing.assert_allclose(box.size, [0.01, 0.02, 0.03])
    np.testing.assert_allclose(box.pos, [0.0, 0.0, 0.01])
    np.testing.assert_allclose(np.abs(box.quat), [0.5**0.5, 0.0, 0.0, 0.5**0.5], atol=1e-9)
    np.testing.assert_allclose(box.rgba, [0.0, 0.0, 1.0, 1.0])
    assert capsule.group[0] != UNSEEN and box.group[0] != UNSEEN and sphere.group[0] == UNSEEN
    assert capsule.contype[0] and sphere.contype[0] and not box.contype[0]
    assert not any(geom.conaffinity[0] for geom in (capsule, box, sphere))  # of one arm
    assert 0.0 < model.body('right').mass[0] < 1e-5


def test_mimic_couples_and_effort_holds(tmp_path: Path) -> None:
    hand = MujocoSimulator(written(tmp_path), ('slide',), 0.05)
    for _ in range(20):
        hand.send(Command.at_rest(np.array([0.03])))
    left, right = (hand.data.joint(name).qpos[0] for name in ('slide', 'follow'))
    assert left == pytest.approx(0.03, abs=1e-4) and right == pytest.approx(0.032, abs=2e-4)
    # Not driven, the fingers are held at 0 (and 2 mm) against a pull of 5 N.
    held = MujocoSimulator(written(tmp_path), (), 0.05)
    held.data.xfrc_applied[held.model.body('left').id, 1] = 5.0
    held.track(np.zeros((240, 2, 0)))
    assert held.data.joint('slide').qpos[0] == pytest.approx(0.0, abs=2e-3)
    held.data.xfrc_applied[held.model.body('left').id, 1] = 30.0  # more than the effort limit
    held.track(np.zeros((240, 2, 0)))
    assert held.data.joint('slide').qpos[0] > 0.03


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('<mesh filename="left.dae"/>', '<torus/>', "link 'left' .*shape that is none of box"),
    ('<capsule radius="0.01" length="0.06"/>', '<mesh filename="left.dae"/>',
     'MuJoCo cannot load .*left.dae is not found'),
    ('type="prismatic"', 'type="planar"', "joint 'slide' .* is of type 'planar'; give it one"),
    ('<child link="left"/>', '<child link="none"/>', "has no link 'none'"),
    ('<mass value="0.1"/>', '<mass value="heavy"/>', 'heavy'),
    ('<mimic joint="slide"', '<mimic joint="none"', 'MuJoCo cannot load .*none'),
])
def test_what_mujoco_cannot_have_is_refused(
    tmp_path: Path, old: str, new: str, message: str,
) -> None:
    with pytest.raises(InvalidInput, match=message):
        MujocoSimulator(written(tmp_path, HAND.replace(old, new, 1)), ('slide',), 0.05)
