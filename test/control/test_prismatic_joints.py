# SPDX-License-Identifier: Apache-2.0
"""Prismatic joints are in m: contract, margins, ranges, and a jam of a SCARA's slide."""

from dataclasses import replace
from pathlib import Path

from arms import acting, iiwa
from controllers import give_evidence
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.config.motion import MotionSettings
from rl_control.config.robot import RobotSettings
from rl_control.control.policy_controller import STOPPED, Margins, PolicyController
from rl_control.control.preflight import _describe_margins
from rl_control.environments.arm_model import Arm

JOINT = ('<joint name="{0}" type="{1}"><parent link="{2}"/><child link="{3}"/>'
         '<origin xyz="{4}"/><axis xyz="0 0 {5}"/>'
         '<limit lower="{6}" upper="{7}" effort="50" velocity="{8}"/></joint>')
URDF = ('<robot name="scara"><link name="base"/><link name="upper"/><link name="fore"/>'
        '<link name="tip"/>'
        + JOINT.format('shoulder', 'revolute', 'base', 'upper', '0 0 0.3', 1, -2, 2, 3)
        + JOINT.format('elbow', 'revolute', 'upper', 'fore', '0.3 0 0', 1, -2, 2, 3)
        + JOINT.format('slide', 'prismatic', 'fore', 'tip', '0.2 0 0', -1, 0, 0.2, 0.5)
        + '</robot>')


@pytest.fixture
def scara(tmp_path: Path) -> Arm:
    path = tmp_path / 'scara.urdf'
    path.write_text(URDF)
    return Arm.make(RobotSettings(
        name='scara', urdf=str(path), joint_names=('shoulder', 'elbow', 'slide'),
        end_effector='tip', home=(0.3, 0.8, 0.1)), iiwa().task.settings)


def test_columns_have_the_unit_of_the_joint(scara: Arm) -> None:
    contract = scara.contract()
    units = {column.name: column.unit for column in (*contract.observation, *contract.action)}
    assert units['elbow.q'] == 'rad' and units['elbow.dq'] == 'rad/s'
    assert units['slide.q'] == 'm' and units['slide.dq'] == 'm/s'
    assert units['slide.command_dq'] == 'm/s' and contract.action[2].unit == 'm/s'


def test_a_policy_of_before_is_refused_by_its_unit(scara: Arm) -> None:
    contract = scara.contract()
    former = replace(contract, observation=tuple(
        replace(column, unit='rad') if column.name == 'slide.q' else column
        for column in contract.observation))
    with pytest.raises(InvalidInput, match=r'robot scara has slide\.q in m but policy p in rad; '
                       'prismatic joints are in m, so train that policy again'):
        contract.require_equal(former, 'robot scara', 'policy p')


@pytest.mark.parametrize('joint', ['elbow', 'slide'])
def test_a_joint_that_jams_stops_the_arm_within_its_own_margin(scara: Arm, joint: str) -> None:
    settings = MotionSettings()
    limit, unit = {'elbow': (settings.tracking_limit, 'rad'),
                   'slide': (settings.slide_tracking_limit, 'm')}[joint]
    request = np.array([joint == name for name in scara.settings.joint_names]) * 0.4
    controller = PolicyController(scara, Margins.of(settings))
    controller.policy, controller.goal = acting(lambda _: request), np.zeros(7)
    give_evidence(controller, scara.home, 100.0, 100.0)
    for tick in range(60):
        now = 100.0 + 0.05 * tick
        controller.receive(now, now, scara.home, np.zeros(3))  # the joint never moves
        controller.tick(now, now)
    assert controller.mode == STOPPED
    assert f'joint {joint} is ' in controller.reason
    assert f' {unit} from its command, more than {limit:g}' in controller.reason
    assert limit < np.abs(controller.command.q - scara.home).max() < limit + 0.07
    assert '0.5 rad and 0.05 m' in _describe_margins(scara, Margins.of(settings))


def test_each_joint_of_the_chain_is_driven_held_or_refused(scara: Arm) -> None:
    two = replace(scara.settings, joint_names=('shoulder', 'elbow'), home=(0.3, 0.8))
    with pytest.raises(InvalidInput, match=r"joint 'slide' of .* moves tip but is not driven"):
        Arm.make(two, scara.task.settings)
    held = replace(two, held_joints=('slide',), held_positions=(0.1,))
    arm = Arm.make(held, scara.task.settings)
    np.testing.assert_allclose(arm.kinematics.position(arm.home),
                               scara.kinematics.position(scara.home))
    path = Path(scara.settings.urdf)
    path.write_text(path.read_text().replace(
        '<limit lower="0"', '<mimic joint="elbow"/><limit lower="0"'))
    with pytest.raises(InvalidInput, match=r"joint 'slide' of .* mimics a driven one"):
        Arm.make(two, scara.task.settings)


def test_start_poses_and_goals_are_within_the_ranges_of_each_type(scara: Arm) -> None:
    rng, task = np.random.default_rng(0), scara.task.settings
    away = np.array([scara.draw_start(rng) - scara.home for _ in range(300)])
    assert 0.9 * task.start_range < np.abs(away[:, :2]).max() <= task.start_range
    assert 0.9 * task.slide_start_range < np.abs(away[:, 2]).max() <= task.slide_start_range
    narrow = scara.make(scara.settings, replace(task, slide_goal_range=0.02, goal_height=-1.0))
    heights = [narrow.draw_goal(rng)[2] for _ in range(100)]
    assert min(heights) >= 0.18 - 1e-9 and max(heights) <= 0.22 + 1e-9
