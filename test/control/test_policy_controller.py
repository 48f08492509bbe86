# SPDX-License-Identifier: Apache-2.0
"""The policy node's tick without ROS: as in training, within limits, and stopped by faults."""

from arms import acting, iiwa
from controllers import GOAL, PERIOD, WAVE, Rig, give_evidence, wave
import numpy as np
import pytest

from rl_control.common.types import Command
from rl_control.control.policy_controller import (
    DRIVING,
    STOPPED,
    STOPPING,
    WAITING,
    Margins,
    PolicyController,
)
from rl_control.control.state_evidence import EVIDENCE_SAMPLES
from rl_control.environments.make import simulate
from rl_control.robots import limits


def test_each_tick_is_the_environments() -> None:
    arm = iiwa()
    environment = simulate(arm)
    rng = np.random.default_rng(3)
    environment.restart(rng)
    environment.length = 1000
    environment._state = environment._read(environment._state.command, GOAL)
    controller = PolicyController(arm, Margins())
    controller.policy, controller.goal = acting(wave), GOAL
    stamp, q, _ = environment._robot.read()
    give_evidence(controller, q, 0.0, stamp)
    for step in range(60):
        now = step * PERIOD  # small, so that its rounding is
        stamp, q, dq = environment._robot.read()
        controller.receive(now, stamp, q, dq)
        plan = controller.tick(now, now)
        environment.step(wave(arm.task.observe(environment._state)))
        expected = environment._state.command
        np.testing.assert_allclose(plan.commands[0].q, expected.q, atol=1e-6)
        np.testing.assert_allclose(plan.commands[0].dq, expected.dq, atol=1e-6)
        np.testing.assert_allclose(plan.times[0], PERIOD)
    assert np.abs(expected.q - arm.home).max() > 0.1
    environment.close()


def test_a_policy_may_be_slowed_while_it_drives() -> None:
    rig = Rig()
    limit = rig.arm.limits.velocity
    fast = np.array([rig.tick().commands[0].dq for _ in range(60)])
    rig.controller.speed = 0.3
    slow = np.array([rig.tick().commands[0].dq for _ in range(80)])[20:]
    assert (np.abs(fast) / limit).max() > 0.5
    assert 0.2 < (np.abs(slow) / limit).max() <= 0.3 + 1e-9
    request = np.array([0.9, -0.45, 0.0, 0.1, 0.0, 0.0, 0.2]) * limit
    np.testing.assert_allclose(rig.controller._scaled(request), request / 3.0)  # as a whole
    np.testing.assert_array_equal(rig.controller._scaled(0.3 * request), 0.3 * request)


def test_every_plan_ends_at_rest_within_limits() -> None:
    rig = Rig()
    for _ in range(40):
        plan = rig.tick()
        assert (np.diff(plan.times) > 0.0).all()
        assert not plan.commands[-1].dq.any() and not plan.commands[-1].ddq.any()
        assert plan.times[-1] < 0.6
        for before, after in zip(plan.commands, plan.commands[1:], strict=False):
            assert (np.abs(after.dq) <= rig.arm.limits.velocity + 1e-9).all()
            assert (np.abs(after.ddq) <= rig.arm.limits.acceleration + 1e-9).all()
            assert (np.abs(after.q - before.q) <= 0.2).all()


def test_it_waits_for_each_thing_by_name() -> None:
    rig = Rig(evidence=False)
    rig.controller.policy, rig.controller.goal = None, None
    assert rig.tick(sensed=False) is None and rig.controller.reason == 'waiting for a policy'
    rig.controller.policy = acting(wave)
    assert rig.tick(sensed=False) is None and rig.controller.reason == 'waiting for joint_states'
    for _ in range(EVIDENCE_SAMPLES - 1):
        assert rig.tick() is None
        assert rig.controller.reason == f'waiting for {EVIDENCE_SAMPLES} joint states that agree'
    assert rig.tick() is None and rig.controller.reason == 'waiting for a goal'
    rig.controller.goal = GOAL
    rig.now += PERIOD
    rig.sense(dq=np.full(7, 0.5))
    assert rig.controller.tick(rig.now, rig.now) is None
    assert rig.controller.reason == 'waiting for joint lbr_iiwa_joint_1 to rest'
    assert rig.controller.mode == WAITING
    assert rig.tick() is not None and rig.controller.mode == DRIVING


def test_the_first_command_starts_from_the_measured_state() -> None:
    rig = Rig(lambda observation: np.full(7, 3.0))
    away = rig.arm.home + 0.04
    rig.now += PERIOD
    rig.sense(q=away, dq=np.zeros(7))
    plan = rig.controller.tick(rig.now, rig.now)
    expected = limits.limit(np.full(7, 3.0), Command.at_rest(away), PERIOD, rig.arm.limits)
    np.testing.assert_allclose(plan.commands[0].q, expected.q, atol=1e-6)


def test_silence_stops_in_time_and_latches_until_resumed() -> None:
    rig = Rig(lambda observation: WAVE)
    for _ in range(10):
        rig.tick()
    last_heard = rig.now
    speeds = [np.abs(rig.controller.command.dq)]
    moving = np.abs(rig.controller.command.dq).max()
    while np.abs(rig.controller.command.dq).max() >= moving - 1e-9:
        rig.tick(sensed=False)
    assert rig.now - last_heard <= 0.1 + 1e-9  # when the first slower command is sent
    while rig.controller.mode == DRIVING:
        speeds.append(np.abs(rig.controller.command.dq))
        rig.tick(sensed=False)
    assert rig.controller.mode == STOPPING
    assert rig.now - last_heard <= 0.1 + PERIOD + 1e-9
    while rig.controller.mode == STOPPING:
        speeds.append(np.abs(rig.controller.command.dq))
        rig.tick(sensed=False)
    assert rig.controller.mode == STOPPED
    assert 'no new joint_states' in rig.controller.reason
    assert (np.diff(speeds[2:], axis=0) <= 1e-9).all()
    assert rig.now - last_heard < 0.6
    for count in range(EVIDENCE_SAMPLES):
        rig.tick()
        assert rig.plans[-1] is None
        if count < EVIDENCE_SAMPLES - 1:
            assert f'{count + 1} of {EVIDENCE_SAMPLES} fresh' in rig.controller.resume(rig.now)
    assert rig.controller.resume(rig.now) == ''
    measured = rig.trajectory_controller.sample(rig.now + PERIOD)[0]
    plan = rig.tick()
    assert rig.controller.mode == DRIVING
    expected = limits.limit(WAVE, Command.at_rest(measured), PERIOD, rig.arm.limits)
    np.testing.assert_allclose(plan.commands[0].q, expected.q, atol=1e-6)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_non_finite_action_stops_and_is_not_sent(bad: float) -> None:
    actions = iter([WAVE] * 5)
    rig = Rig(lambda observation: next(actions, np.where(np.arange(7) == 3, bad, WAVE)))
    for _ in range(30):
        rig.tick()
    assert rig.controller.mode == STOPPED
    assert 'not finite' in rig.controller.reason
    sent = [command for plan in rig.plans if plan for command in plan.commands]
    assert all(np.isfinite([c.q, c.dq, c.ddq]).all() for c in sent)
    rig.controller.policy = acting(wave)
    assert rig.controller.resume(rig.now) == ''
    assert rig.tick() is not None


def test_stamps_that_jump_stop_the_arm() -> None:
    for jump in (500.0, -900.0):
        rig = Rig()
        for _ in range(5):
            rig.tick()
        rig.stamp += jump
        rig.tick()
        assert rig.controller.mode == STOPPING
        assert 'jumped' in rig.controller.reason


def test_a_late_tick_goes_on_from_where_the_stop_has_led() -> None:
    rig = Rig(lambda observation: WAVE)
    for _ in range(10):
        rig.tick()
    before = rig.controller.command
    plan = rig.tick(after=2 * PERIOD, late=0.012)
    began = limits.stop(before, PERIOD + 0.012, rig.arm.limits)
    expected = limits.limit(WAVE, began, PERIOD - 0.012, rig.arm.limits)
    np.testing.assert_allclose(plan.commands[0].q, expected.q, atol=1e-6)
    np.testing.assert_allclose(plan.times[0], PERIOD - 0.012, atol=1e-6)
    assert rig.controller.mode == DRIVING


@pytest.mark.parametrize(('late', 'ahead'), [(0.02, 0.03), (0.03, 0.07), (0.045, 0.055)])
def test_a_tick_that_is_very_late_aims_beyond_the_next(late: float, ahead: float) -> None:
    rig = Rig(lambda observation: WAVE)
    for _ in range(10):
        rig.tick()
    plan = rig.tick(late=late)
    np.testing.assert_allclose(plan.times[0], ahead, atol=1e-9)
    skipped = round((late + ahead) / PERIOD) - 1
    assert [rig.tick() is None for _ in range(3)] == [True] * skipped + [False] * (3 - skipped)
    assert rig.controller.mode == DRIVING


def test_a_long_stall_is_for_a_person_to_look_at() -> None:
    rig = Rig()
    for _ in range(10):
        rig.tick()
    assert rig.tick(after=0.7) is None
    assert rig.controller.mode == STOPPED
    assert 'stood still' in rig.controller.reason


def test_what_the_controller_follows_is_what_was_meant() -> None:
    """Between ticks the sent spline stays at the limiter's own profile, also in a stop."""
    rig = Rig(lambda observation: WAVE * np.sign(np.sin(8 * rig.now)))
    for _ in range(40):
        rig.tick()
        start, at = rig.controller.command, rig.now + PERIOD
        np.testing.assert_allclose(rig.trajectory_controller.sample(rig.now + 1e-9)[1],
                                   rig.trajectory_controller._points[0].dq, atol=1e-6)
    for t in np.linspace(0.0, 0.6, 61):
        q, dq = rig.trajectory_controller.sample(at + t)
        q_meant, dq_meant, _ = limits.Stop(start, rig.arm.limits).at([t])[0]
        np.testing.assert_allclose(q, q_meant, atol=1e-3)
        np.testing.assert_allclose(dq, dq_meant, atol=5e-2)
