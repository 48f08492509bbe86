# SPDX-License-Identifier: Apache-2.0
"""Collecting on an arm: without ROS by a clock of the test's own, and over real topics."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
import signal
import time

from arms import exported, iiwa
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rig import START, Running

from rl_control.bringup.graphs import graph
from rl_control.collection.live_arm import LiveArm
from rl_control.collection.live_collector import LiveCollector
from rl_control.collection.live_environment import WAITING_FOR_OPERATOR, LiveEnvironment
from rl_control.collection.operator import Operator
from rl_control.common.episode import EVALUATION
from rl_control.common.errors import NonFinite
from rl_control.config.hardware import HardwareSettings
from rl_control.config.nodes import CollectorSettings
from rl_control.control.emulated_controllers import TrajectoryController
from rl_control.control.interlocks import BoolInterlock, PublisherInterlock
from rl_control.control.policy_controller import DRIVING, STOPPED, WAITING, Margins
from rl_control.control.state_evidence import EVIDENCE_SAMPLES
from rl_control.control.velocity_controller import VelocityController
from rl_control.environments.environment import Interrupted
from rl_control.ros import codec, qos
from rl_control.transport.inbox import Inbox

ARM = iiwa()
PERIOD = ARM.control_period
LENGTH = round(ARM.task.settings.episode_period / PERIOD)
STATES = 6  # joint states in a control period: 120 Hz


class Rig:
    """A perfect arm whose clock goes when somebody waits; everything that was sent is kept."""

    def __init__(self, **settings: object) -> None:
        self.now = 100.0
        self.offset = 5000.0  # of the arm's own clock
        self.silent = False
        self.sent = []
        self.starts = []  # where the arm was when each plan came
        self.goals = []
        self.blocked = ''
        self.at: dict[float, Callable[[], object]] = {}  # what happens when
        self.states = []
        self.trajectory_controller = TrajectoryController(ARM.home)
        self.estop = BoolInterlock('estop', True, 'the estop is pressed')
        self.controller = VelocityController(ARM, Margins(tracking_limit=0.5), [self.estop])
        self.operator = Operator()
        settings = HardwareSettings(real_time=False, **settings)
        self.hardware = LiveArm(
            ARM, self.controller, self.operator, self, settings, clock=self.clock, wait=self.wait)
        self.world = LiveEnvironment(
            ARM, self.hardware, settings, lambda: self.blocked, self.goals.append)

    def clock(self) -> float:
        return self.now

    def wait(self, due: float) -> None:
        """Let time pass, and what happens meanwhile happen."""
        assert due > self.now
        for instant in np.linspace(self.now, due, STATES + 1)[1:]:
            for when in [when for when in self.at if when <= instant]:
                self.now = when
                self.at.pop(when)()
            q, dq = self.trajectory_controller.sample(instant)
            self.states.append((instant, self.offset + instant, q, dq))
        self.now = due

    def update(self, controller: VelocityController) -> None:
        for state in [] if self.silent else self.states:
            controller.receive(*state)
        self.states = []

    def send(self, plan) -> None:
        self.starts.append(self.trajectory_controller.sample(self.now))
        self.trajectory_controller.follow(np.array(plan.times), plan.commands)
        self.trajectory_controller.sample(self.now)
        self.sent.append((self.now, plan))

    def phase_shift(self, now: float, idle: bool) -> float:
        return 0.0

    def press(self, pressed: bool) -> None:
        if why := self.estop.receive(self.now, b'operator', pressed):
            self.controller.fault(why)

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        self.at[self.now + seconds] = happen

    def begin(self, seed: int = 0) -> np.ndarray:
        return self.world.reset(np.random.default_rng(seed))


def wave(step: int) -> np.ndarray:
    return np.sin(0.3 * step + np.arange(7))


def require_limits(rig: Rig) -> None:
    """Check that all that was sent keeps the limits, ends at rest, and goes on where it was."""
    for (q, dq), (_, plan) in zip(rig.starts, rig.sent, strict=True):
        commands = plan.commands
        for command in commands:
            assert (np.abs(command.dq) <= ARM.limits.velocity + 1e-9).all()
            assert (np.abs(command.ddq) <= ARM.limits.acceleration + 1e-9).all()
        assert not commands[-1].dq.any()
        change = np.abs(commands[0].dq - dq) / plan.times[0]
        assert (change <= ARM.limits.acceleration * 1.02 + 0.05).all()
        assert (np.abs(commands[0].q - q) <= ARM.limits.velocity * plan.times[0] + 1e-3).all()


def test_a_step_lasts_a_period_and_says_what_was_applied() -> None:
    rig = Rig()
    observation = rig.begin()
    began = rig.now
    for step in range(20):
        outcome = rig.world.step(wave(step))
        assert rig.now == pytest.approx(began + (step + 1) * PERIOD)
        assert outcome.stamp == pytest.approx(5000.0 + rig.now)
        command = rig.sent[-1][1].commands[0]
        np.testing.assert_array_equal(outcome.applied, command.dq)
        np.testing.assert_allclose(outcome.observation[:7], command.q, atol=1e-6)
        np.testing.assert_allclose(outcome.observation[14:21], command.dq)
        assert not (outcome.terminated or outcome.truncated or outcome.intervention)
    assert len(observation) == len(ARM.contract().observation)
    np.testing.assert_array_equal(outcome.goal, rig.goals[-1][:3])
    require_limits(rig)


def test_the_way_to_a_start_pose_is_slow_and_arrives() -> None:
    rig = Rig(reset_speed=0.1)
    rig.begin(seed=3)
    start = ARM.draw_start(np.random.default_rng(3))
    np.testing.assert_allclose(rig.trajectory_controller.sample(rig.now)[0], start, atol=0.01)
    speeds = np.array([plan.commands[0].dq for _, plan in rig.sent])
    assert (np.abs(speeds) <= 0.1 * ARM.limits.velocity + 1e-9).all()
    # At a tenth of the speed, by the joint with the longest way, and some time to come to rest.
    way = np.abs(start - ARM.home).max() / 0.1
    assert way < rig.now - 100.0 < way + 2.0
    assert not rig.controller.command.dq.any()
    # In a straight line: every joint has the same share of its way behind it.
    way = np.array([plan.commands[0].q for _, plan in rig.sent]) - ARM.home
    share = way / (start - ARM.home)
    assert np.ptp(share[5:], axis=1).max() < 0.02
    require_limits(rig)


def test_a_way_that_lasts_too_long_is_for_the_operator_to_look_at() -> None:
    rig = Rig(reset_timeout=1.0, reset_speed=0.05)
    rig.after(5.0, rig.hardware.end)
    with pytest.raises(Interrupted):
        rig.begin(seed=3)
    assert rig.controller.mode == STOPPED
    assert rig.controller.reason == 'the start pose was not reached within 1.0 s'
    assert rig.sent[-1][0] < 102.0


def test_every_reset_interval_has_a_start_pose_and_between_the_arm_goes_on() -> None:
    rig = Rig()
    rng = np.random.default_rng(0)
    interval = ARM.task.settings.reset_interval
    moved = []
    for _ in range(2 * interval):
        before, motion = rig.now, rig.controller.command
        observation = rig.world.reset(rng)
        moved.append(rig.now > before)
        if not moved[-1]:
            np.testing.assert_array_equal(observation[14:21], motion.dq)
            assert motion.dq.any()
        for step in range(LENGTH):
            outcome = rig.world.step(wave(step))
        assert outcome.truncated
    assert moved == ([True] + [False] * (interval - 1)) * 2
    assert len(rig.goals) == len(set(map(tuple, rig.goals))) == 2 * interval


def test_joint_states_that_fall_silent_interrupt() -> None:
    rig = Rig()
    rig.begin()
    for step in range(10):
        rig.world.step(wave(step))
    rig.silent, silenced = True, rig.now
    with pytest.raises(Interrupted, match='joint_states'):
        rig.world.step(wave(10))
    rig.after(1.0, rig.hardware.end)
    with pytest.raises(Interrupted):
        rig.begin()
    assert rig.controller.mode == STOPPED and 'no new joint_states' in rig.controller.reason
    assert rig.sent[-1][0] - silenced <= 0.1 + 0.3 + 1e-9
    require_limits(rig)


def test_a_period_in_which_nothing_was_heard_ends_the_episode_and_stops_nothing() -> None:
    rig, policy = Rig(), Waving()
    silence = partial(setattr, rig, 'silent')
    policy.then[20] = lambda: (silence(True), rig.after(0.06, lambda: silence(False)))
    collected = Collected(rig, episodes=2).run(policy)
    assert [end.episode.steps for end in collected.ends] == [19, LENGTH]
    stamps = np.array([t.stamp for t in collected.sent])
    assert (np.diff(stamps) > 0.0).all() and stamps[19] - stamps[18] < 4 * PERIOD
    require_limits(rig)


def test_an_estop_interrupts_and_only_the_operator_goes_on_from_where_the_arm_is() -> None:
    rig = Rig()
    rng = np.random.default_rng(0)
    rig.begin()
    for step in range(10):
        rig.world.step(wave(step))
    rig.after(0.01, lambda: rig.press(True))
    pressed = rig.now + 0.01
    with pytest.raises(Interrupted, match='the estop is pressed'):
        rig.world.step(wave(10))
    assert rig.now - pressed <= PERIOD
    refused = []
    rig.after(1.0, lambda: refused.append(rig.controller.resume(rig.now)))
    rig.after(1.1, lambda: rig.press(False))
    away = ARM.home + 0.02
    rig.after(1.2, lambda: setattr(rig, 'trajectory_controller', TrajectoryController(away)))
    rig.after(2.0, lambda: refused.append(rig.controller.resume(rig.now)))
    resumed = rig.now + 2.0
    rig.world.reset(rng)
    assert refused == ['the estop is pressed', '']
    assert resumed < rig.now < resumed + 3 * PERIOD
    times = np.array([when for when, _ in rig.sent])
    assert not ((times > pressed + 0.6) & (times < resumed)).any()
    first = rig.sent[int(np.searchsorted(times, resumed))][1].commands[0]
    np.testing.assert_allclose(first.q, away, atol=1e-6)
    outcome = rig.world.step(wave(0))
    assert np.abs(outcome.applied).max() <= ARM.limits.acceleration.max() * PERIOD
    require_limits(rig)


def test_a_late_command_goes_on_from_where_the_stop_has_led() -> None:
    rig = Rig()
    rig.begin()

    def think(seconds: float, step: int) -> None:
        rig.wait(rig.now + seconds)
        rig.world.step(wave(step))

    for step in range(30):
        think(0.01, step)
    assert rig.hardware.statistics.overruns == 0
    before = rig.now
    for step in range(30, 50):
        think(0.07, step)  # more than a period: every second tick is skipped
    assert rig.now - before == pytest.approx(20 * 2 * PERIOD, abs=2 * PERIOD)
    assert rig.hardware.statistics.overruns >= 19
    require_limits(rig)


def test_the_operator_takes_over_within_limits_and_gives_back() -> None:
    rig = Rig()
    rig.begin()
    asked = np.full(7, 10.0)
    took = []
    for step in range(30):
        if 5 <= step < 15:
            rig.operator.set_command(rig.now - 0.01, asked * (-1) ** (step // 3))
        outcome = rig.world.step(np.full(7, 0.3))
        took.append(outcome.intervention)
        if outcome.intervention:
            expected = ARM.task.reward(outcome.applied / ARM.limits.velocity, rig.world._state)
            assert outcome.reward == pytest.approx(expected)
    # The last word, of step 14, is live for 0.2 s: four steps in all.
    assert took == [5 <= step < 18 for step in range(30)]
    np.testing.assert_allclose(outcome.applied, 0.3, atol=1e-6)
    require_limits(rig)


def test_an_episode_waits_for_the_operator_with_the_arm_left_alone() -> None:
    rig = Rig(wait_for_person=True)
    rng = np.random.default_rng(0)
    assert not rig.operator.start_episode()  # none is waiting
    called = []
    rig.after(20.0, lambda: called.append(rig.operator.start_episode()))
    rig.world.reset(rng)
    assert called == [True] and rig.now == pytest.approx(120.0, abs=2 * PERIOD)
    times = np.array([when for when, _ in rig.sent])
    resting = times[(times > 110.0) & (times < 120.0)]
    assert not len(resting), 'an operator may move the arm by hand meanwhile'
    assert rig.controller.mode == DRIVING
    for step in range(5):
        rig.world.step(wave(step))
    rig.after(1.0, rig.hardware.end)
    with pytest.raises(Interrupted, match='shutting down'):
        rig.world.reset(rng)
    assert (rig.controller.mode, rig.controller.reason) == (WAITING, WAITING_FOR_OPERATOR)


def test_the_operator_may_drive_the_arm_between_episodes() -> None:
    rig = Rig(wait_for_person=True)
    away = np.where(ARM.home > 0.0, -0.2, 0.2)  # from the position limits
    for tick in range(400):
        rig.after(15.0 + tick * 0.01, lambda: rig.operator.set_command(rig.now, away))
    rig.after(25.0, lambda: rig.operator.start_episode())
    rig.begin()
    start = ARM.draw_start(np.random.default_rng(0))
    # 4 s and the 0.2 s for which the last word counts, at 0.2 rad/s.
    moved = rig.trajectory_controller.sample(rig.now)[0] - start
    np.testing.assert_allclose(moved, 4.2 * away, atol=0.03)
    require_limits(rig)


def test_scores_by_topic_replace_what_is_computed() -> None:
    rig = Rig(reward='topic', success='topic')
    rig.begin()
    rig.operator.set_reward(9.0)  # between episodes
    rig.begin()
    rewards = []
    for step in range(10):
        if step == 3:
            rig.operator.set_reward(0.5)
            rig.operator.set_reward(2.0)
        if step == 9:
            rig.operator.set_success(True)
        outcome = rig.world.step(wave(step))
        rewards.append(outcome.reward)
        assert (outcome.success, outcome.terminated) == (step == 9, step == 9)
    assert rewards == [0.0] * 3 + [2.0] + [0.0] * 6 and not outcome.truncated


def test_what_the_operator_says_counts_for_nothing_unless_asked_for() -> None:
    rig = Rig()
    rig.begin()
    rig.operator.set_reward(100.0)
    rig.operator.set_success(True)
    outcome = rig.world.step(np.zeros(7))
    assert outcome.reward < 0.0 and not (outcome.success or outcome.terminated)


def test_who_must_publish_is_waited_for_and_missed() -> None:
    speaker = PublisherInterlock('estop')
    assert speaker.fault(0.0) == '' and speaker.waiting_for(0.0) == (
        'waiting for a publisher of estop')
    speaker.present = True
    assert speaker.fault(0.0) == speaker.waiting_for(0.0) == ''
    speaker.present = False
    assert speaker.fault(0.0) == 'the topic estop has no publisher any more'


class Collected:
    """A collecting loop on a rig, run until a number of episodes has ended or time is over."""

    def __init__(self, rig: Rig, seconds: float = 1e9, episodes: int = 10**9, **settings) -> None:
        self.rig, self.episodes = rig, episodes
        self.sent, self.ends = [], []
        self.collector = LiveCollector(
            rig.world, CollectorSettings(evaluation_period=0.0, **settings), self)
        rig.after(seconds, self.stop)

    def send(self, transition) -> None:
        self.sent.append(transition)

    def send_episode(self, end) -> None:
        self.ends.append(end)
        if len(self.ends) >= self.episodes:
            self.stop()

    def stop(self) -> None:
        self.collector.stopped.set()
        self.rig.hardware.end()

    def run(self, policy=None) -> 'Collected':
        self.collector.policy = policy
        self.collector.run()
        return self


class Waving:
    """A policy that waves, or calls something at one step."""

    run, version, noise_size, noise_correlation = 'run', 3, 7, 0.0

    def __init__(self) -> None:
        self.step = 0
        self.then: dict[int, Callable[[], object]] = {}

    def act(self, observation, noise=None):
        self.step += 1
        self.then.pop(self.step, lambda: None)()
        return wave(self.step), -1.0


def test_the_transition_of_a_stop_is_not_told_and_the_one_before_it_is_truncated() -> None:
    rig, policy = Rig(), Waving()
    collected = Collected(rig, episodes=3)
    policy.then[30] = lambda: (
        rig.after(0.02, lambda: rig.press(True)), rig.after(0.5, lambda: rig.press(False)),
        rig.after(3.0, lambda: rig.controller.resume(rig.now)))
    collected.run(policy)
    episodes = [list(steps) for _, steps in groupby(collected.sent, lambda t: t.episode)]
    assert [len(steps) for steps in episodes] == [29, LENGTH, LENGTH]
    for steps in episodes:
        assert [t.truncated for t in steps] == [False] * (len(steps) - 1) + [True]
        assert not any(t.terminated or t.intervention for t in steps)
        assert [t.step for t in steps] == list(range(len(steps)))
        for before, after in pairwise(steps):
            np.testing.assert_array_equal(before.next_observation, after.observation)
            assert after.stamp - before.stamp == pytest.approx(PERIOD)
    assert episodes[1][0].stamp - episodes[0][-1].stamp > 3.0
    assert [end.outcome.truncated for end in collected.ends] == [True] * 3
    assert [end.episode.steps for end in collected.ends] == [29, LENGTH, LENGTH]


def test_an_action_that_is_not_finite_stops_the_arm_not_the_collector() -> None:
    rig, policy = Rig(), Waving()

    def fail() -> None:
        rig.after(3.0, lambda: rig.controller.resume(rig.now))
        raise NonFinite('action of policy version 3 has NaN or infinity')

    policy.then[20] = fail
    collected = Collected(rig, episodes=2).run(policy)
    assert [end.episode.steps for end in collected.ends] == [19, LENGTH]
    assert collected.sent[18].truncated


def test_interventions_are_told_as_they_were_applied() -> None:
    rig, policy = Rig(), Waving()
    away = np.where(ARM.home > 0.0, -0.4, 0.4)
    for step in range(10, 16):
        policy.then[step] = lambda: rig.operator.set_command(rig.now - 0.01, away)
    collected = Collected(rig, episodes=1).run(policy)
    took = [t for t in collected.sent if t.intervention]
    assert [t.step for t in took] == list(range(9, 18))
    for transition in took:
        np.testing.assert_array_equal(transition.action, transition.applied)
        assert np.isnan(transition.log_prob) and transition.version == 3
    np.testing.assert_allclose(took[-1].applied, away, atol=1e-6)
    own = [t for t in collected.sent if not t.intervention]
    assert len(own) == LENGTH - 9 and all(t.log_prob == -1.0 for t in own)
    assert any((t.action != t.applied).any() for t in own)


def test_an_evaluation_repeats_what_was_interfered_with() -> None:
    rig, policy = Rig(), Waving()
    policy.then[5] = lambda: rig.operator.set_command(rig.now, np.zeros(7))
    policy.then[LENGTH + 5] = lambda: (
        rig.press(True), rig.press(False), rig.after(3.0, lambda: rig.controller.resume(rig.now)))
    collected = Collected(
        rig, episodes=2, evaluate=True, evaluation_episodes=2, confirmation_episodes=0)
    collected.run(policy)
    assert [end.phase for end in collected.ends] == [EVALUATION] * 2
    assert collected.sent == []
    assert policy.step == LENGTH + 4 + 1 + 2 * LENGTH


def test_no_episode_begins_without_room_for_it() -> None:
    rig = Rig()
    rig.blocked = 'waiting for the learner'
    collected = Collected(rig, episodes=1)
    rig.after(4.0, lambda: setattr(rig, 'blocked', ''))
    began = rig.now
    collected.run(Waving())
    assert not [when for when, _ in rig.sent if when < began + 4.0]
    assert len(collected.sent) == LENGTH


def test_the_end_comes_at_once_and_the_last_episode_is_truncated() -> None:
    rig = Rig()
    rig.begin()
    began = rig.now
    collected = Collected(rig, seconds=0.52).run(Waving())
    assert rig.now - began < 0.52 + 2 * PERIOD
    assert collected.sent[-1].truncated and not collected.sent[-2].truncated
    end = rig.sent[-1][1]
    assert end.times[-1] < 0.6 and not end.commands[-1].dq.any()


def test_fresh_samples_are_waited_for_after_silence() -> None:
    rig = Rig()
    rig.begin()
    rig.world.step(wave(3))
    rig.silent = True
    with pytest.raises(Interrupted):
        rig.world.step(wave(0))
    refusals = []
    rig.after(2.0, lambda: refusals.append(rig.controller.resume(rig.now)))
    rig.after(2.001, lambda: setattr(rig, 'silent', False))
    rig.after(2.5, lambda: refusals.append(rig.controller.resume(rig.now)))
    rig.begin()
    first, second = refusals
    assert first.startswith(f'only 0 of {EVIDENCE_SAMPLES} fresh joint_states') and second == ''
    assert rig.controller.mode == DRIVING


@pytest.mark.parametrize('jump', [500.0, -900.0])
def test_a_clock_that_jumps_interrupts_and_leaves_no_negative_time(jump: float) -> None:
    """FAULTS 9: the episode is cut short before the jump, and begins anew on the new clock."""
    rig = Rig()
    rig.begin()
    stamps = [rig.world.step(wave(step)).stamp for step in range(5)]
    rig.offset += jump
    with pytest.raises(Interrupted, match='jumped'):
        rig.world.step(wave(5))
    assert (np.diff(stamps) > 0.0).all()
    rig.after(2.5, lambda: rig.controller.resume(rig.now))
    rig.begin()
    stamps = [rig.world.step(wave(step)).stamp for step in range(5)]
    assert (np.diff(stamps) > 0.0).all() and stamps[0] > 5000.0 + jump + 100.0
    require_limits(rig)


class Attendant:
    """The learner and the operator of a collector on an arm, in this process."""

    def __init__(self) -> None:
        self.node = rclpy.create_node('attendant')
        self.columns = codec.transition_columns(ARM.contract())
        self.inbox = Inbox()
        self.parts: list[np.ndarray] = []
        self.ends: list[codec.EpisodeRow] = []
        self.status: dict[str, str] = {}
        self.goals: list[np.ndarray] = []
        self.runs: set[str] = set()
        self.receipts: list[tuple[float, int]] = []
        self.said = False
        create = self.node.create_publisher
        self.acknowledge = create(codec.Acknowledge, 'transitions/ack', qos.ACKNOWLEDGE)
        self.policy = create(codec.Policy, 'policy/latest', qos.POLICY)
        self.estop = create(codec.Bool, 'estop', qos.LATCHED)
        self.command = create(codec.ForwardCommand, 'teleop/command', qos.OPERATOR)
        subscribe = self.node.create_subscription
        subscribe(codec.Transitions, 'transitions', self.on_transitions, qos.TRANSITIONS)
        subscribe(codec.Episodes, 'episodes', self.on_episodes, qos.EPISODES)
        subscribe(codec.Diagnostics, '/diagnostics', self.on_diagnostics, qos.DIAGNOSTICS)
        subscribe(codec.Goal, 'goal', self.on_goal, qos.GOAL)
        self.resume = self.node.create_client(codec.Trigger, 'collector/resume')
        self.next = self.node.create_client(codec.Trigger, 'collector/next')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()

    @property
    def rows(self) -> codec.TransitionRows:
        return codec.TransitionRows.read(np.concatenate(self.parts), ARM.contract())

    def on_goal(self, message: codec.Goal) -> None:
        self.goals.append(codec.read_goal(message, ARM.frames[:1]))

    def on_transitions(self, message: codec.Transitions) -> None:
        table = codec.decode_table(message, self.columns)
        origin = codec.Origin.from_header(table.header, ARM.contract().hash)
        fresh = self.inbox.accept(
            origin.collector, origin.run, origin.first_sequence, table.rows, origin.oldest)
        assert codec.validate_rows(fresh, ARM.contract())[0].all()
        self.parts.append(fresh)
        # No more than ten rows are asked for: an arm goes on all the same.
        self.acknowledge.publish(codec.encode_table(
            codec.acknowledge_table(*self.inbox.acknowledge_all(10), 'run-1')))

    def on_episodes(self, message: codec.Episodes) -> None:
        table = codec.decode_table(message, codec.EPISODE_COLUMNS)
        self.ends += map(codec.EpisodeRow.from_row, table.rows)

    def on_diagnostics(self, message: codec.Diagnostics) -> None:
        for name, values in codec.read_diagnostics(message):
            if name == '/collector: driving':
                self.status = values

    def until(self, met: Callable[[], object], what: str, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, f'{what} not within {seconds} s: {self.status}'
            if 'joint_states' in self.status.get('why', '') and self.status['mode'] == 'stopped':
                self.status['mode'] = 'to be resumed'  # a busy machine kept the driver late
                self.resume.call_async(codec.Trigger.Request())
            self.executor.spin_once(timeout_sec=0.02)

    def count(self) -> int:
        return sum(map(len, self.parts))

    def call(self, client) -> tuple[bool, str]:
        future = client.call_async(codec.Trigger.Request())
        self.until(future.done, 'answer')
        return future.result().success, future.result().message


@pytest.fixture
def attendant(ros: int) -> Iterator[Attendant]:
    attendant = Attendant()
    yield attendant
    attendant.close()


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / 'task.yaml'
    path.write_text('/**:\n  ros__parameters:\n    task:\n      episode_period: 1.0\n'
                    '      start_range: 0.05\n      reset_interval: 1000\n')
    return path


def arm_and_collector(task: Path, out: Path, **parameters: object) -> list[Running]:
    """Start the simulator and the collector of the graph train_robot."""
    processes = graph('train_robot').processes({
        'task': str(task), 'out': str(out), 'simulate': 'true', 'evaluation_episodes': '0'})
    chosen = {process.name: process for process in processes}
    collector = chosen['collector']
    return [Running(chosen['simulator']), Running(replace(
        collector, parameters={**collector.parameters, **parameters}))]


@pytest.mark.alone
def test_collecting_over_topics_with_the_operator_beside_it(
    attendant: Attendant, task: Path, tmp_path: Path,
) -> None:
    policy = exported()
    simulator, collector = arm_and_collector(task, tmp_path)
    with simulator, collector:
        attendant.policy.publish(codec.encode_policy(policy.data, policy.run, policy.version))
        attendant.until(lambda: attendant.count() and attendant.rows.version[-1] == 1,
                        'transitions of the policy', START)
        attendant.until(lambda: len(attendant.ends) >= 2, 'two episodes')

        # The operator takes over for half a second, and gives back.
        begin = time.monotonic()
        while time.monotonic() < begin + 0.5:
            attendant.command.publish(codec.forward_command(np.full(7, -0.1)))
            attendant.executor.spin_once(timeout_sec=0.02)
        attendant.until(lambda: attendant.rows.intervention.any()
                        and not attendant.rows.intervention[-5:].any(), 'intervention and back')

        # The estop ends the episode; nothing moves before the operator has resumed.
        attendant.until(lambda: 3 < attendant.rows.step[-1] < 9, 'the midst of an episode')
        attendant.estop.publish(codec.flag(True))
        attendant.until(lambda: attendant.status.get('mode') == 'stopped', 'stop')
        assert attendant.call(attendant.resume) == (False, 'the estop is pressed')
        assert attendant.status['why'] == 'the estop is pressed'
        ended, count = len(attendant.ends), attendant.count()
        attendant.until(lambda: attendant.rows.truncated[-1], 'truncated row')
        attendant.estop.publish(codec.flag(False))
        attendant.until(lambda: attendant.call(attendant.resume)[0], 'resume')
        attendant.until(lambda: len(attendant.ends) >= ended + 2, 'two more episodes')
        assert attendant.count() > count
        status, output = collector.ended(  # which waits for its rows to be acknowledged
            signal.SIGINT, 3.0, lambda: attendant.executor.spin_once(timeout_sec=0.01))
        assert status == 0 and 'Traceback' not in output
        attendant.until(lambda: attendant.rows.truncated[-1], 'the last rows')

    rows = attendant.rows
    (known,) = attendant.inbox.runs.values()
    assert known.lost == 0 and known.received == len(rows.step) == known.published
    assert (np.diff(rows.stamp) > 0.0).all()
    same = np.diff(rows.episode) == 0
    np.testing.assert_array_equal(np.diff(rows.step)[same], 1)
    np.testing.assert_array_equal(rows.next_observation[:-1][same], rows.observation[1:][same])
    assert rows.truncated[:-1][~same].all() and not rows.truncated[:-1][same].any()
    assert not rows.terminated.any()
    lengths = {number: int((rows.episode == number).sum()) for number in set(rows.episode)}
    stopped = next(end for end in attendant.ends if end.length < 20)
    assert lengths[stopped.episode] == stopped.length
    took = rows.intervention
    assert 5 <= took.sum() <= 25
    np.testing.assert_array_equal(rows.action[took], rows.applied[took])
    assert np.isnan(rows.log_prob[took]).all()
    # Most joints; one may be at a position limit.
    assert np.median(np.abs(rows.applied[took][-3:] + 0.1)) < 1e-3
    goals = {tuple(np.round(goal[:3], 9)) for goal in attendant.goals}
    assert goals & {tuple(np.round((end.goal_x, end.goal_y, end.goal_z), 9))
                   for end in attendant.ends}
    # 20 Hz, but for what a busy machine makes late.
    periods = np.diff(rows.stamp)[same]
    assert np.median(periods) == pytest.approx(PERIOD, rel=0.1)
    assert np.mean(periods) == pytest.approx(PERIOD, rel=0.1)
