# SPDX-License-Identifier: Apache-2.0
"""No command before joint states agree: zeros, frozen stamps, two drivers, impossible places."""

from dataclasses import replace

from arms import iiwa
from controllers import WAVE, Rig
import numpy as np
import pytest

from rl_control.control.policy_controller import DRIVING, STOPPED, WAITING, Margins
from rl_control.control.state_evidence import EVIDENCE_SAMPLES, StateEvidence
from rl_control.control.velocity_controller import VelocityController
from rl_control.environments.arm_model import Arm

HOME = iiwa().home
AGREE = f'waiting for {EVIDENCE_SAMPLES} joint states that agree'


def reasons(arm: Arm, positions: np.ndarray, rate: float = 100.0) -> list[str]:
    """Return what is missing after each of `positions` (k, n), which come at `rate` Hz."""
    evidence, found = StateEvidence(arm, 0.1), []
    for number, q in enumerate(positions):
        evidence.add(50.0 + number / rate, 9.0 + number / rate, q)
        found.append(evidence.missing())
    return found


def test_ten_that_agree_are_enough_and_nine_are_not() -> None:
    found = reasons(iiwa(), np.tile(HOME, (EVIDENCE_SAMPLES, 1)))
    assert found == [AGREE] * (EVIDENCE_SAMPLES - 1) + ['']


@pytest.mark.parametrize('count', [5, 50, 500])
def test_zeros_are_no_evidence_unless_they_are_valid(count: int) -> None:
    """A driver that says zeros before its first packet: the arm is 1.3 rad away."""
    found = reasons(iiwa(), np.zeros((count, 7)))
    assert all('all joints are exactly 0.0' in reason for reason in found)
    arm = iiwa()
    there = replace(arm, settings=replace(arm.settings, zero_is_valid=True))
    assert reasons(there, np.zeros((count, 7)))[EVIDENCE_SAMPLES - 1:] == [''] * max(
        0, count - EVIDENCE_SAMPLES + 1)
    rig = VelocityController(arm, Margins())
    for number in range(count):
        now = 100.0 + 0.01 * number
        rig.receive(now, now, np.zeros(7), np.zeros(7))
        assert rig.tick(now, now) is None
    rig.receive(now + 0.01, now + 0.01, HOME, np.zeros(7))
    assert rig.tick(now + 0.01, now + 0.01) is None and rig.mode == WAITING


def test_positions_that_the_joints_cannot_reach_in_time_start_the_count_anew() -> None:
    speed = iiwa().kinematics.velocity_limit[0]
    for step, agrees in ((0.01 * speed + 0.04, True), (0.01 * speed + 0.06, False)):
        away = HOME + np.array([step, 0, 0, 0, 0, 0, 0])
        alternating = np.where(np.arange(40)[:, None] % 2, HOME, away)  # two drivers
        found = reasons(iiwa(), alternating)
        assert (found[-1] == '') == agrees
        if not agrees:
            assert f'joint lbr_iiwa_joint_1 jumped by {step:.3f} rad in 0.010 s' in found[-1]


def test_positions_outside_the_urdf_are_no_evidence() -> None:
    high = iiwa().kinematics.position_high[3]
    for beyond, enough in ((0.04, True), (0.06, False)):
        q = HOME.copy()
        q[3] = high + beyond
        found = reasons(iiwa(), np.tile(q, (20, 1)))
        assert (found[-1] == '') == enough
    assert f'lbr_iiwa_joint_4 is at {high + 0.06:.3f} rad, outside' in found[-1]
    assert 'outside' in reasons(iiwa(), np.tile(np.rad2deg(HOME), (20, 1)))[-1]


def test_stamps_that_never_advance_are_no_evidence() -> None:
    rig = Rig(evidence=False)
    for _ in range(50):
        rig.now += 0.05
        rig.sense(stamp=5.0)
        assert rig.controller.tick(rig.now, rig.now) is None
    assert rig.controller.reason == 'waiting for joint_states'


def test_states_that_come_twice_count_once() -> None:
    rig = Rig(evidence=False)
    for number in range(EVIDENCE_SAMPLES):
        assert rig.tick() is None or number == EVIDENCE_SAMPLES - 1
        rig.sense()
    assert rig.controller.mode == DRIVING


def test_a_jump_stops_a_moving_arm() -> None:
    rig = Rig(lambda observation: WAVE)
    for _ in range(10):
        rig.tick()
    rig.now += 0.01
    rig.sense(q=np.zeros(7))
    for _ in range(20):
        rig.tick()
    assert rig.controller.mode == STOPPED
    assert 'joint lbr_iiwa_joint_1 jumped by' in rig.controller.reason
    assert rig.controller.reason.endswith('in 0.010 s, faster than it can')


def test_a_pause_starts_the_count_anew() -> None:
    rig = Rig()
    rig.now += 5.0
    rig.sense()
    assert rig.controller.tick(rig.now, rig.now) is None
    assert rig.controller.reason == AGREE


@pytest.mark.parametrize('rate', [15.0, 100.0])
def test_a_driver_slower_than_control_deploys(rate: float) -> None:
    """The age limit is two control periods, and a plan's stop begins when it is over."""
    rig = Rig(lambda observation: WAVE, evidence=False)
    due, stopped = rig.now, []
    for _ in range(200):
        rig.now += 0.05
        while due <= rig.now:
            q, dq = rig.trajectory_controller.sample(due)
            rig.sense(receipt=due, stamp=due, q=q, dq=dq)
            due += 1.0 / rate
        plan = rig.controller.tick(rig.now, rig.now)
        if plan is not None:
            rig.trajectory_controller.follow(np.array(plan.times), plan.commands)
            rig.trajectory_controller.sample(rig.now)
            stopped.append(rig.now + plan.times[0] - (due - 1.0 / rate))
    assert rig.controller.mode == DRIVING and len(stopped) > 180
    assert np.abs(rig.controller.command.dq).max() > 0.1 or np.abs(
        rig.controller.command.q - HOME).max() > 0.3
    assert max(stopped) <= 0.1
