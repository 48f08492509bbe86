# SPDX-License-Identifier: Apache-2.0
"""Faults injected over the topics of a running policy node, and what the arm is then sent."""

from collections.abc import Callable
import contextlib
import itertools
import os
from pathlib import Path
import signal
import threading
import time

from arms import acting, exported, iiwa
from controllers import give_evidence
import numpy as np
import pytest
from rig import START, FakeArm, Running, policy_process
from stalls import Stalls, waited, watching

from rl_control.bringup.graphs import graph
from rl_control.common import poses
from rl_control.control.emulated_controllers import TrajectoryController
from rl_control.control.policy_controller import DRIVING, Margins, PolicyController
from rl_control.control.realtime_loop import RealtimeLoop
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription

LIMITS = iiwa().limits
STALE = 0.1  # s after the last joint state at which the arm begins to stop
RESTED = 0.3  # s after the death of the policy node at which the arm is at rest


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / 'policy.onnx'
    exported().save(path)
    return path


def stop_begins(arm: FakeArm) -> float:
    """Wait for the stop; return when the first decelerating command, or the way to it, began."""
    arm.until_mode('stopped')
    speeds = [np.abs(sent.commands[0].dq).max() for sent in arm.sent]
    last = max(i for i, speed in enumerate(speeds) if speed >= speeds[i - 1] - 1e-6)
    # After its first command each trajectory decelerates.
    began = arm.sent[last].receipt + arm.sent[last].times[0]
    return min([began, *(sent.receipt for sent in arm.sent[last + 1:last + 2])])


@pytest.mark.alone
def test_sensor_faults_stop_the_arm_in_time_and_stay_stopped(
    arm: FakeArm, policy_file: Path
) -> None:
    """FAULTS 4, 7, 9, 12: silence, frozen and jumping stamps, NaN, a lacking joint."""
    arm.offset = -3600.0  # another host's clock
    faults = {
        'no new joint_states': ('silent', True),
        'stand still': ('frozen', True),
        'jumped by +': ('offset', arm.offset + 500.0),
        'jumped by -': ('offset', arm.offset + 500.0 - 900.0),
        'position nan': ('bad', np.nan),
        'lacks joint': ('lacking', True),
    }
    with Running(policy_process(policy_file)) as running:
        arm.until_driving()
        for text, (name, value) in faults.items():
            arm.until_moving()
            good = getattr(arm, name)
            stalls, began = Stalls(arm.witness, running.child.pid), time.monotonic()
            setattr(arm, name, value)
            braked = stop_begins(arm)
            if name != 'offset':
                began = arm.last_heard  # the last good one may have been on its way out
            assert braked - began <= STALE + stalls.seconds, text
            assert text in arm.status['why']
            count = len(arm.sent)
            time.sleep(0.15)
            assert len(arm.sent) == count
            if name != 'offset':
                success, message = arm.resume()
                assert not success and 'of 10 fresh joint_states' in message
                setattr(arm, name, good)
            else:
                arm.offset = value
            arm.resumed()


@pytest.mark.alone
@pytest.mark.parametrize('stamped', [True, False])
def test_a_simulated_clock_that_stands_still_or_jumps_stops_the_arm(
    make_arm: Callable[..., FakeArm], policy_file: Path, stamped: bool,
) -> None:
    """FAULTS 9: pause, +500 s, -900 s; with stamps of that clock, and of one that is right."""
    arm = make_arm(clock=True)
    with Running(policy_process(policy_file, **{'use_sim_time': True})) as running:
        stalls = Stalls(arm.witness, running.child.pid)
        arm.stamped = stamped
        arm.until_driving()
        for jump, texts in ((0.0, ('stand still', 'stood still')), (500.0, ('jumped', 'stood')),
                            (-900.0, ('jumped', 'jumped back'))):
            arm.until_moving()
            count = len(arm.sent)
            arm.paused = jump == 0.0
            arm.simulated += jump
            arm.until(lambda: arm.status['mode'] in ('stopping', 'stopped'), 2.0, 'a stop')
            assert texts[not stamped] in arm.status['why'], jump
            assert arm.controller.sample(time.monotonic() + 1.0)[1].max() == 0.0
            arm.paused = False
            arm.resumed()
        assert len(arm.sent) > count
        each = 1e3 * stalls.seconds / float(arm.status['ticks'])
        assert float(arm.status['period_p50_ms']) == pytest.approx(50.0, abs=15.0 + each)


@pytest.mark.alone
def test_estop_and_protective_stop_latch(arm: FakeArm, policy_file: Path) -> None:
    """FAULTS 18: stopped at once, not released by a message, re-armed by hand."""
    estop = arm.node.create_publisher(codec.Bool, 'estop', qos.ESTOP_LATCHED)
    ready = arm.node.create_publisher(codec.Bool, 'robot_ready', qos.OPERATOR)
    estop.publish(codec.flag(False))
    process = policy_process(policy_file, **{'policy.estop_required': True})
    with Running(process) as running:
        arm.until_driving()
        for publisher, bad, text in ((estop, True, 'estop'), (ready, False, 'not ready')):
            arm.until_moving()
            stalls, began = Stalls(arm.witness, running.child.pid), time.monotonic()
            publisher.publish(codec.flag(bad))
            assert stop_begins(arm) - began <= STALE + stalls.seconds
            assert text in arm.status['why']
            assert text in arm.resume()[1]
            publisher.publish(codec.flag(not bad))
            time.sleep(0.3)
            assert arm.status['mode'] == 'stopped'
            arm.resumed()
        arm.node.destroy_publisher(estop)
        arm.until_mode('stopped')
        assert 'the topic estop has no publisher' in arm.status['why']


@pytest.mark.alone
def test_an_estop_that_falls_silent_stops_the_arm(arm: FakeArm, policy_file: Path) -> None:
    """With a heartbeat, a publisher that sends nothing counts as none."""
    estop = arm.node.create_publisher(codec.Bool, 'estop', qos.OPERATOR)
    process = policy_process(
        policy_file, **{'policy.estop_required': True, 'policy.estop_heartbeat': 0.5,
                        'policy.stale_period': 1.0})  # silence of another kind
    with Running(process) as running:
        arm.until(lambda: 'heartbeat on estop' in arm.status.get('why', ''), START, 'waiting')
        beat = arm.node.create_timer(0.05, lambda: estop.publish(codec.flag(False)))
        arm.until_driving()
        arm.until_moving()
        beat.cancel()
        stalls, silent = Stalls(arm.witness, running.child.pid), time.monotonic()
        arm.until_mode('stopped')
        assert 'no heartbeat on estop' in arm.status['why']
        # And the way to rest.
        assert arm.sent[-1].receipt - silent <= 0.5 + 0.5 + stalls.seconds
        assert 'heartbeat' in arm.resume()[1]
        beat.reset()
        arm.resumed()


def test_an_estop_pressed_before_the_start_is_heard(arm: FakeArm, policy_file: Path) -> None:
    estop = arm.node.create_publisher(codec.Bool, 'estop', qos.ESTOP_LATCHED)
    estop.publish(codec.flag(True))
    with Running(policy_process(policy_file)):
        arm.until_mode('stopped', START)
        assert 'estop' in arm.status['why'] and not arm.sent


@pytest.mark.alone
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_brings_the_arm_to_rest(
    arm: FakeArm, policy_file: Path, number: signal.Signals
) -> None:
    """FAULTS 17: once and twice, within 3 s, nothing left behind."""
    with Running(policy_process(policy_file)) as running:
        arm.until_driving()
        arm.until_moving()
        moved = arm.speed
        again = threading.Timer(0.02, running.child.send_signal, (number,))
        again.start()
        status, output = running.ended(number, 3.0)
        again.join()
    assert status == 0 and 'Traceback' not in output, output
    assert moved > 0.5
    arm.until(lambda: arm.speed == 0.0, 2.0, 'rest')


@pytest.mark.alone
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_policy_node_is_a_stopped_arm(
    arm: FakeArm, policy_file: Path, number: signal.Signals
) -> None:
    """FAULTS 19: what was already sent ends at rest, soon."""
    with Running(policy_process(policy_file)) as running:
        arm.until_driving()
        arm.until_moving()
        running.child.send_signal(number)
        time.sleep(0.8)
        last = arm.sent[-1]
        assert last.times[-1] <= 0.3
        assert arm.controller.sample(time.monotonic())[1].max() == 0.0
        if number == signal.SIGSTOP:
            running.child.send_signal(signal.SIGCONT)
            arm.until_mode('stopped')
            arm.resumed()


def test_any_order_of_starts_reaches_driving(arm: FakeArm, policy_file: Path) -> None:
    """FAULTS 16: joint states that come late, a goal that was given early."""
    arm.silent = True
    with Running(policy_process(policy_file)):
        arm.until(lambda: 'waiting for joint_states' in arm.status.get('why', ''), START, 'why')
        assert arm.status['mode'] == 'waiting'
        arm.silent = False
        arm.until_mode('driving')


@pytest.mark.alone
@pytest.mark.parametrize('controller', ['trajectory', 'forward_position', 'forward_velocity'])
def test_the_simulated_arm_rests_when_the_policy_node_is_killed(
    ros: int, policy_file: Path, controller: str
) -> None:
    """FAULTS 19: by its controller's own behaviour, and by the gate where that has none."""
    import rclpy

    names = iiwa().settings.joint_names
    simulator, _, *gates, _ = graph('deploy').processes({
        'policy': str(policy_file), 'controller': controller})
    assert len(gates) == (controller != 'trajectory')
    node = rclpy.create_node('observer')
    goals = node.create_publisher(codec.Goal, 'goal', qos.GOAL)
    goals.publish(codec.goal_message(poses.from_position((5.0, 0.0, 0.5)), 'world'))
    intake = DrainedSubscription(node, codec.JointState, 'joint_states', qos.SENSOR)
    reader = codec.JointReader(names)

    def speed() -> float:
        time.sleep(0.01)
        found = [reader.read(message)[2] for message, _ in intake.take()]
        return float(np.abs(found[-1]).max()) if found else np.nan

    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(Running(process)) for process in (simulator, *gates)]
        witness = stack.enter_context(watching())
        running = stack.enter_context(Running(policy_process(policy_file)))
        deadline = time.monotonic() + START
        while not speed() > 0.5:
            assert time.monotonic() < deadline, 'the arm does not move'
        stalls, killed = Stalls(witness, *(one.child.pid for one in others)), time.monotonic()
        running.child.kill()
        while not speed() < 0.02:
            assert time.monotonic() < killed + 2.0, 'the arm does not rest'
        assert time.monotonic() - killed < RESTED + stalls.seconds
        time.sleep(0.3)
        assert speed() < 0.02
    node.destroy_node()


@pytest.mark.alone
@pytest.mark.parametrize('stall', [0.005, 0.02, 0.1])
def test_a_stall_of_the_policy_is_bridged_and_then_on_time_again(stall: float) -> None:
    """FAULTS 10: no burst, and what was sent before the stall has ended at rest."""
    arm, sent, due_times = iiwa(), [], []
    controller = TrajectoryController(arm.home)

    def act(observation: np.ndarray) -> np.ndarray:
        if len(sent) == 10:
            time.sleep(stall)
        return np.full(7, 0.8)

    driving = PolicyController(arm, Margins())
    driving.policy, driving.goal = acting(act), np.zeros(3)

    def tick(due: float) -> None:
        now = time.monotonic()
        if not sent:
            give_evidence(driving, arm.home, now, now)
        driving.receive(now, now, *controller.sample(now))
        plan = driving.tick(now, due)
        sent.append((time.monotonic(), plan))
        due_times.append(due)
        controller.follow(np.array(plan.times), plan.commands)

    loop, before = RealtimeLoop(arm.control_period, tick), waited(os.getpid())
    loop.start()
    time.sleep(1.2)
    loop.stop()
    each = (waited(os.getpid()) - before) / len(sent)
    loop.check()
    receipts = [receipt for receipt, _ in sent]
    assert driving.mode == DRIVING and len(sent) >= 18
    # The tick that stalled sends late; the next but one at the latest is on the grid again.
    lateness = np.array(receipts) - np.array(due_times)
    assert lateness[10] >= stall
    assert np.median(lateness[12:]) < 0.01 + each
    assert np.diff(due_times).min() >= arm.control_period - 1e-9
    assert loop.statistics.overruns >= (stall > arm.control_period)
    for (_, before), (_, after) in itertools.pairwise(sent):
        assert not before.commands[-1].dq.any()
        assert (np.abs(after.commands[0].ddq) <= LIMITS.acceleration + 1e-9).all()
