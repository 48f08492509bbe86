# SPDX-License-Identifier: Apache-2.0
"""Arm model: goals, starts and contract, and another arm from a parameter file alone."""

from dataclasses import replace
from pathlib import Path

from arms import iiwa, panda
import numpy as np
import pytest

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.config.robot import RobotSettings
from rl_control.config.task import TaskSettings
from rl_control.environments.arm_model import Arm
from rl_control.environments.make import load_arm, simulate

XARM = '''
/**:
  ros__parameters:
    robot:
      name: xarm6
      urdf: pybullet_data:xarm/xarm6_robot.urdf
      joint_names: [joint1, joint2, joint3, joint4, joint5, joint6]
      end_effector: link6
      home: [0.0, -0.4, -1.0, 0.0, 1.4, 0.0]
      velocity_limit: [1.5, 1.5, 1.5, 2.0, 2.0, 5.0]
      control_rate: 25
'''


@pytest.mark.parametrize('arm', [iiwa(), panda()], ids=['iiwa', 'panda'])
def test_goals_are_reachable_and_high_enough(arm: Arm) -> None:
    settings = arm.task.settings
    low, high = arm.limits.position_low, arm.limits.position_high
    drawn = np.random.default_rng(5)
    again, draws = np.random.default_rng(5), np.random.default_rng(5)
    goals = np.array([arm.draw_goal(drawn) for _ in range(200)])
    np.testing.assert_array_equal(goals, [arm.draw_goal(again) for _ in range(200)])
    assert goals.shape == (200, 7)
    assert (goals[:, 2] >= settings.goal_height).all()
    assert (goals.std(axis=0) > 0.05).all()
    # Draw the joint positions again, and find the goals among where they lead.
    drawn_q = draws.uniform(
        np.maximum(arm.home - settings.goal_range, low),
        np.minimum(arm.home + settings.goal_range, high), (1000, len(arm.home)))
    reached = arm.kinematics.pose(drawn_q)
    reached = reached[reached[:, 2, 3] >= settings.goal_height][:200]
    np.testing.assert_allclose(goals[:, :3], reached[:, :3, 3], atol=1e-12)
    np.testing.assert_allclose(poses.rotation(goals), reached[:, :3, :3], atol=1e-12)


def test_the_base_frame_has_the_root_links_name_and_aliases_that_are_no_links() -> None:
    assert iiwa().frames == ('lbr_iiwa_link_0', 'world')
    settings = replace(iiwa().settings, frame_aliases=('map', 'lbr_iiwa_link_3'))
    arm = Arm.make(settings, iiwa().task.settings)
    assert arm.frames == ('lbr_iiwa_link_0', 'map')
    for frame in ('', 'map', 'lbr_iiwa_link_0'):
        poses.require_frame(frame, arm.frames)
    with pytest.raises(InvalidInput, match=r"in frame 'world'; give it in frame 'lbr_iiwa_link_0' "
                       r'\(or map\), or add the name to robot.frame_aliases'):
        poses.require_frame('world', arm.frames)


@pytest.mark.parametrize('arm', [iiwa(), panda()], ids=['iiwa', 'panda'])
def test_starts_are_near_home_and_within_limits(arm: Arm) -> None:
    rng = np.random.default_rng(1)
    starts = np.array([arm.draw_start(rng) for _ in range(300)])
    assert (np.abs(starts - arm.home) <= arm.task.settings.start_range).all()
    assert (starts >= arm.limits.position_low).all()
    assert (starts <= arm.limits.position_high).all()
    assert (np.ptp(starts, axis=0) > 0.5).all()


def test_a_start_is_clipped_to_the_limits() -> None:
    arm = load_arm('panda', 'reach', {'start_range': 3.0})
    rng = np.random.default_rng(1)
    starts = np.array([arm.draw_start(rng) for _ in range(300)])
    # Joint 4 may go from -3.0718 to -0.0698.
    assert -3.08 < starts[:, 3].min() < -3.0 and -0.15 < starts[:, 3].max() <= -0.0698


def test_an_unreachable_goal_height_is_rejected() -> None:
    arm = load_arm('iiwa', 'reach', {'goal_height': 2.0})
    with pytest.raises(
        InvalidInput, match=r'higher than task.goal_height 2.0 m; lower it or widen'
    ):
        arm.draw_goal(np.random.default_rng(0))


@pytest.mark.parametrize(('arm', 'joint'), [
    (iiwa(), 'lbr_iiwa_joint_{}'), (panda(), 'panda_joint{}')], ids=['iiwa', 'panda'])
def test_the_contract_of_each_arm(arm: Arm, joint: str) -> None:
    contract = arm.contract()
    names = tuple(joint.format(number) for number in range(1, 8))
    assert contract.robot == arm.settings.name and contract.task == 'reach'
    assert contract.joint_names == names
    assert [(c.name, c.unit) for c in contract.action] == [(f'{n}.dq', 'rad/s') for n in names]
    assert contract.action_low == (-1.0,) * 7 and contract.action_high == (1.0,) * 7
    assert (contract.command_interface, contract.control_period) == ('position', 0.05)
    assert [c.name for c in contract.observation[:21]] == [
        f'{n}.{what}' for what in ('q', 'dq', 'command_dq') for n in names]
    assert contract == load_arm(arm.settings.name, 'reach').contract()  # made anew, the same
    state = arm.state(
        0.0, arm.home, np.zeros(7), Command.at_rest(arm.home), np.zeros(3))
    assert len(arm.task.observe(state)) == len(contract.observation)


def test_two_arms_have_two_contracts() -> None:
    assert iiwa().contract().hash != panda().contract().hash
    with pytest.raises(InvalidInput, match='this has robot iiwa but that has panda'):
        iiwa().contract().require_equal(panda().contract(), 'this', 'that')


@pytest.mark.parametrize(('change', 'words'), [
    ({'urdf': '/none/arm.urdf'}, 'URDF /none/arm.urdf is not a file'),
    ({'urdf': 'pybullet_data:none.urdf'}, 'URDF pybullet_data:none.urdf is not a file'),
    ({'joint_names': ('lbr_iiwa_joint_1', 'elbow'), 'home': ()}, "no joint 'elbow'"),
    ({'end_effector': 'hand'}, "no link 'hand'"),
    ({'home': (0.0, 0.6)}, 'robot iiwa has 7 joints but 2 home positions; give one per joint'),
    ({'home': (0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0)}, 'lbr_iiwa_joint_2 is 9.0, outside'),
    ({'home': (float('inf'),) * 7}, 'lbr_iiwa_joint_1 is inf, outside'),
    ({'velocity_limit': (1.0, 1.0)}, 'robot.velocity_limit has 2 values; give 1 or 7'),
    ({'position_high': (9.0,)}, 'its URDF allows'),
    ({'acceleration_limit': (float('inf'),)}, 'acceleration limit of lbr_iiwa_joint_1 is inf'),
])
def test_a_contradictory_description_is_rejected(
    change: dict[str, object], words: str
) -> None:
    robot: RobotSettings = replace(iiwa().settings, **change)
    with pytest.raises(InvalidInput) as refused:
        Arm.make(robot, TaskSettings())
    assert words in str(refused.value)


def test_a_third_arm_needs_a_parameter_file_and_no_code(tmp_path: Path) -> None:
    file = tmp_path / 'xarm6.yaml'
    file.write_text(XARM)
    arm = load_arm(str(file), 'reach')
    contract = arm.contract()
    assert contract.control_period == 0.04
    assert contract.action_high == (1.5, 1.5, 1.5, 2.0, 2.0, 3.14)  # joint6 by its URDF
    environment = simulate(arm)
    try:
        rng = np.random.default_rng(0)
        observation = environment.reset(rng)
        assert len(observation) == len(contract.observation)
        first, outcome, steps = observation, None, 0
        while outcome is None or not outcome.truncated:
            outcome = environment.step(np.array([0.3, -0.3, 0.3, -0.3, 0.3, -0.3]))
            steps += 1
            assert np.isfinite(outcome.observation).all() and not outcome.terminated
        assert steps == round(2.5 * 25)
        turned = outcome.observation[:6] - first[:6]
        assert (np.sign(turned) == [1, -1, 1, -1, 1, -1]).all() and abs(turned[0]) > 0.6
    finally:
        environment.close()
