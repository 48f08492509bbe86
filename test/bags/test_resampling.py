# SPDX-License-Identifier: Apache-2.0
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from recordings import (
    ARRAY,
    BOOL,
    JOINT_STATE,
    MS,
    POSE,
    START,
    TRAJECTORY,
    array,
    flag,
    joint_state,
    mcap,
    pose,
    record,
    trajectory,
)

from rl_control.bags import resampling
from rl_control.bags.bag_reader import Bag
from rl_control.bags.command_velocity import HeldVelocity
from rl_control.bags.dataset import Dataset, DatasetWriter
from rl_control.bags.dataset_builder import from_robot
from rl_control.bags.joint_mapping import Setpoint
from rl_control.bags.robot_topics import COMMAND, STATE, Event, RobotTopics
from rl_control.common.errors import InvalidInput
from rl_control.config.robot import RobotSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.config.task import TaskSettings
from rl_control.environments.arm_model import Arm

PERIOD = 0.05
GOAL = (0.4, 0.1, 0.0)
URDF = '''<robot name="two">
<link name="base"/><link name="upper"/><link name="lower"/><link name="tool"/>
<joint name="a" type="revolute"><parent link="base"/><child link="upper"/><axis xyz="0 0 1"/>
<limit lower="-999" upper="999" velocity="50" effort="1"/></joint>
<joint name="b" type="revolute"><parent link="upper"/><child link="lower"/><axis xyz="0 0 1"/>
<origin xyz="0.3 0 0"/><limit lower="-999" upper="999" velocity="50" effort="1"/></joint>
<joint name="end" type="fixed"><parent link="lower"/><child link="tool"/>
<origin xyz="0.2 0 0"/></joint></robot>'''


@pytest.fixture(scope='module')
def arm(tmp_path_factory) -> Arm:
    path = tmp_path_factory.mktemp('urdf') / 'two.urdf'
    path.write_text(URDF)
    return planar(path)


@cache
def planar(path: Path) -> Arm:
    return Arm.make(
        RobotSettings(name='two', urdf=str(path), joint_names=('a', 'b'), end_effector='tool',
                      velocity_limit=(4.0,), control_rate=1.0 / PERIOD),
        TaskSettings(name='reach', episode_period=0.5))


def moments(generator, count, period, jitter):
    """Return `count` rising times in ns after START."""
    times = np.arange(count) * period + generator.uniform(0.0, jitter, count)
    return START + (times * 1e9).astype(np.int64)


def seconds(time) -> float:
    return (int(time) - START) * 1e-9


def dataset(tmp_path, arm, messages, **settings) -> Dataset:
    """Make a dataset of messages, which are put in the order of their receipt."""
    bag = Bag(record(tmp_path / 'bag', sorted(messages, key=lambda message: message[0])))
    return make(tmp_path, arm, bag, **settings)


def make(tmp_path, arm, bag, **settings) -> Dataset:
    with DatasetWriter(tmp_path / 'set', arm.contract()) as writer:
        report = from_robot([bag], arm, SamplingSettings(**settings), writer)
        writer.finish({}, report)
    return Dataset.load(tmp_path / 'set')


def report_of(arm, bag, **settings):
    """Return the report of a bag that may give no transitions."""
    sampling_settings = SamplingSettings(**settings)
    topics = RobotTopics.find(bag, arm, sampling_settings)
    sampler = resampling.Sampler(arm, sampling_settings, commanded=topics.command is not None)
    return list(sampler.sample(topics.events())), sampler, topics


def timed_states(times, names=('a', 'b'), stamps=None, drift=0.0):
    """Return joint states whose position a is their own time in s."""
    stamps = times if stamps is None else stamps
    return [(int(time), '/joint_states', JOINT_STATE,
             joint_state(names, (seconds(time), 1.0 + drift * seconds(time)), (0.5, -0.5),
                         int(stamp)))
            for time, stamp in zip(times, stamps, strict=True)]


def newest(times, tick):
    """Return the index of the newest time <= tick, found by looking at all of them."""
    return max(index for index, time in enumerate(times) if time <= tick)


@pytest.mark.parametrize('kind', ['position', 'velocity'])
def test_every_pair_is_of_the_newest_before_the_tick(tmp_path, arm, kind):
    generator = np.random.default_rng(3)
    state_times = moments(generator, 900, 0.008, 0.007)
    command_times = moments(generator, 700, 0.010, 0.009)
    values = generator.uniform(-0.03, 0.03, (700, 2)) if kind == 'position' else (
        generator.uniform(-3.9, 3.9, (700, 2)))
    commands = [(int(time), '/commands', ARRAY, array(value))
                for time, value in zip(command_times, values, strict=True)]
    found = dataset(tmp_path, arm, timed_states(state_times, drift=0.1) + commands, goal=GOAL,
                    command_interface=kind, time='receive', episode_period=0.0)
    rows = found.rows
    assert len(rows) > 120
    ticks = np.round(found.extra['tick'] * 1e9).astype(np.int64)  # float64: to a quarter of a us
    first = int(command_times[command_times >= state_times[0]][0])
    for index in range(len(rows)):
        number = round((ticks[index] - first) / (PERIOD * 1e9))
        start, end = first + number * 50 * MS, first + (number + 1) * 50 * MS
        assert abs(start - ticks[index]) < 1000
        used, then = (state_times[newest(state_times, tick)] for tick in (start, end))
        assert rows.observation[index, 0] == pytest.approx(seconds(used), abs=1e-9)
        assert rows.next_observation[index, 0] == pytest.approx(seconds(then), abs=1e-9)
        assert rows.stamp[index] == then * 1e-9
        assert found.extra['state_age'][index] == pytest.approx((start - used) * 1e-9, abs=1e-9)
        if kind == 'position':
            before, after = (values[newest(command_times, tick)] for tick in (start, end))
            expected = (after - before) / PERIOD
        else:  # the mean over the interval, summed ns by ns of 10 us
            instants = np.arange(start, end, 10_000) + 5_000
            held = np.searchsorted(command_times, instants, side='right') - 1
            expected = values[held].mean(axis=0)
        assert rows.action[index] == pytest.approx(expected, abs=1e-6 if kind == 'position'
                                                   else 2e-3)
    assert np.array_equal(rows.action, rows.applied)
    # The command that an observation shows is the action of the transition before it.
    follows = rows.step[1:] == rows.step[:-1] + 1
    assert np.array_equal(rows.observation[1:, 4:6][follows], rows.action[:-1][follows])
    assert found.extra['state_age'].min() >= 0.0 and found.extra['command_age'].min() >= 0.0


def test_a_message_at_the_tick_counts_and_one_after_it_does_not(tmp_path, arm):
    times = START + np.arange(0, 400) * 50 * MS
    late = times + 1
    messages = timed_states(times)
    # A nanosecond after each tick the world changes: nothing of it may be seen at that tick.
    messages += [(int(time), '/commands', ARRAY, array((number * 0.01, 0.0)))
                 for number, time in enumerate([times[0], *late], -1)]
    rows = dataset(tmp_path, arm, messages, goal=GOAL, time='receive', episode_period=0.0).rows
    assert rows.observation[:, 0] == pytest.approx(rows.next_observation[:, 0] - PERIOD)
    assert np.round(rows.observation[:, 0] / PERIOD, 6) == pytest.approx(
        np.arange(1, len(rows) + 1))
    assert rows.action[:, 0] == pytest.approx(0.01 / PERIOD)


def test_reward_and_observation_are_the_tasks_own(tmp_path, arm):
    times = START + np.arange(100) * 10 * MS
    commands = [(int(time), '/commands', ARRAY, array((0.001 * n, 0.0)))
                for n, time in enumerate(times)]
    rows = dataset(tmp_path, arm, timed_states(times) + commands, goal=GOAL).rows
    for index in (0, 3, len(rows) - 1):
        qa = rows.next_observation[index, 0]
        tip = 0.3 * np.array([np.cos(qa), np.sin(qa)]) + 0.2 * np.array(
            [np.cos(qa + 1.0), np.sin(qa + 1.0)])
        columns = [column.name for column in arm.contract().observation]
        x, y = columns.index('end_effector.x'), columns.index('to_goal.y')
        assert rows.next_observation[index, x] == pytest.approx(tip[0])
        assert rows.next_observation[index, y] == pytest.approx(GOAL[1] - tip[1])
        q = np.array([qa, 1.0])
        state = arm.state(0.0, q, np.zeros(2), None, np.array(GOAL))
        assert rows.reward[index] == arm.task.reward(rows.action[index] / 4.0, state)


def holding(times, value=(0.0, 0.0)):
    return [(int(time), '/commands', ARRAY, array(value)) for time in times]


def test_time_outs_are_truncations_of_the_tasks_period(tmp_path, arm):
    times = START + np.arange(500) * 10 * MS
    rows = dataset(tmp_path, arm, timed_states(times) + holding(times), goal=GOAL).rows
    ends = np.flatnonzero(rows.truncated)
    assert not rows.terminated.any()
    assert np.diff(ends)[:-1].tolist() == [10] * (len(ends) - 2)  # 0.5 s of 0.05 s
    assert rows.step[ends[:-1]].tolist() == [9] * (len(ends) - 1)
    assert rows.truncated[-1] and rows.episode.tolist() == sorted(rows.episode)


def test_an_episode_that_the_task_ends_is_terminated(tmp_path, arm, monkeypatch):
    times = START + np.arange(300) * 10 * MS
    monkeypatch.setattr(type(arm.task), 'terminated',
                        lambda self, state: bool(1.0 <= state.q[0] < 1.04))
    rows = dataset(tmp_path, arm, timed_states(times) + holding(times), goal=GOAL,
                   episode_period=0.0).rows
    (end,) = np.flatnonzero(rows.terminated)
    assert 1.0 <= rows.next_observation[end, 0] < 1.04 and not rows.truncated[end]
    assert rows.step[end + 1] == 0 and rows.episode[end + 1] == rows.episode[end] + 1


def test_a_changed_goal_and_a_flag_end_an_episode(tmp_path, arm):
    times = START + np.arange(400) * 10 * MS
    goals = [(START - 1, '/goal', POSE, pose(0.4, 0.1, 0.0)),
             (START + 1000 * MS, '/goal', POSE, pose(0.4, 0.1, 0.0)),  # the same once more
             (START + 2010 * MS, '/goal', POSE, pose(0.1, 0.3, 0.0))]
    flags = [(START + 3020 * MS, '/done', BOOL, flag(True)),
             (START + 3520 * MS, '/done', BOOL, flag(False))]
    rows = dataset(tmp_path, arm, timed_states(times) + holding(times) + goals + flags,
                   episode_topic='/done').rows
    ends = np.flatnonzero(rows.truncated)
    assert rows.next_observation[ends, 0] == pytest.approx([2.05, 3.05, 3.95])
    columns = [column.name for column in arm.contract().observation]
    tip, way = columns.index('end_effector.x'), columns.index('to_goal.x')
    goal_x = rows.observation[:, tip] + rows.observation[:, way]
    next_goal_x = rows.next_observation[:, tip] + rows.next_observation[:, way]
    assert goal_x == pytest.approx(next_goal_x)  # within a transition there is one goal
    assert goal_x == pytest.approx(np.where(rows.observation[:, 0] < 2.04, 0.4, 0.1))


def test_in_header_time_a_goal_counts_from_the_state_it_came_after(tmp_path, arm):
    times = START + np.arange(400) * 20 * MS
    stamps = 5 * 10**9 + (times - START) // 2  # a simulation at half pace: 4 s of it
    states = [(int(time), '/joint_states', JOINT_STATE,
               joint_state(('a', 'b'), (stamp * 1e-9, 0.0), (0.0, 0.0), int(stamp)))
              for time, stamp in zip(times, stamps, strict=True)]
    commands = [(int(time) + 1, '/leader', JOINT_STATE,
                 joint_state(('a', 'b'), (0.5 * stamp * 1e-9, 0.0), stamp=int(stamp)))
                for time, stamp in zip(times, stamps, strict=True)]
    # The goals carry the wall's time, and the first comes before any state.
    goals = [(START - 5 * MS, '/goal', POSE, pose(0.4, 0.1, 0.0, stamp=START)),
             (START + 4010 * MS, '/goal', POSE, pose(0.1, 0.3, 0.0, stamp=START))]
    found = dataset(tmp_path, arm, states + commands + goals, command='/leader',
                    joint_states='/joint_states')
    (bag,) = found.report['bags']
    assert bag['clock'] == 'header' and bag['ticks'] == 80  # 3.99 s of the simulation
    rows = found.rows
    assert rows.action[:, 0] == pytest.approx(0.5, abs=1e-6)  # in the simulation's seconds
    columns = [column.name for column in arm.contract().observation]
    tip, way = columns.index('end_effector.x'), columns.index('to_goal.x')
    goal_x = rows.observation[:, tip] + rows.observation[:, way]
    assert goal_x == pytest.approx(np.where(rows.observation[:, 0] < 7.001, 0.4, 0.1))
    assert rows.truncated.sum() == 2


def test_a_velocity_is_in_force_until_it_is_too_old(arm):
    held = HeldVelocity(age_limit=0.12)
    assert held.tick(0.0) == 'no command yet'
    held.add(0.02, Setpoint(velocity=np.array([2.0])))
    assert held.tick(0.05) == 'no command since the gap'
    assert [held.tick(time)[0][0] for time in (0.1, 0.139)] == [2.0, 2.0]
    assert held.tick(0.15) == held.tick(0.2) == 'the newest command is too old'
    held.add(0.21, Setpoint(velocity=np.array([4.0])))
    assert held.tick(0.25) == 'no command since the gap'
    held.add(0.26, Setpoint(velocity=np.array([-1.0])))
    assert held.tick(0.30)[0] == pytest.approx([(0.01 * 4.0 - 0.04 * 1.0) / 0.05])


def test_a_hole_ends_the_episode_and_is_accounted_for(tmp_path, arm):
    times = START + np.concatenate(
        (np.arange(200), np.arange(6200, 6400), np.arange(6460, 6600))) * 10 * MS
    always = START + np.arange(0, 6600) * 10 * MS
    found = dataset(tmp_path, arm, timed_states(times) + holding(always), goal=GOAL,
                    episode_period=0.0)
    (bag,) = found.report['bags']
    rows = found.rows
    assert len(set(rows.episode)) == 3
    assert rows.truncated[np.flatnonzero(np.diff(rows.episode))].all()
    steps = (rows.stamp[1:] - rows.stamp[:-1])[np.diff(rows.episode) == 0]
    assert steps.min() > 0.039 and steps.max() < PERIOD + 1e-6
    assert bag['ticks'] == 1320 and sum(bag['reasons'].values()) == 1320 - len(rows)
    assert bag['reasons'][resampling.OLD_STATE] > 1190
    assert bag['time_quality']['/joint_states']['gaps'] == 2
    assert bag['time_quality']['/joint_states']['largest_gap'] == pytest.approx(60.01)


def test_a_gap_between_two_ticks_ends_the_episode_too(tmp_path, arm):
    times = START + np.delete(np.arange(200), (102, 103, 104)) * 10 * MS
    always = START + np.arange(0, 200) * 10 * MS
    found = dataset(tmp_path, arm, timed_states(times) + holding(always), goal=GOAL,
                    episode_period=0.0, max_gap=0.03)
    assert found.report['bags'][0]['reasons'][resampling.GAP] == 1
    (end,) = np.flatnonzero(np.diff(found.rows.episode))
    assert found.rows.next_observation[end, 0] == pytest.approx(1.0)


def test_holes_between_commands_give_no_transitions(tmp_path, arm):
    times = START + np.arange(5000) * 10 * MS
    commands = START + np.concatenate((np.arange(100, 200), np.arange(4200, 4300))) * 10 * MS
    found = dataset(tmp_path, arm, timed_states(times) + holding(commands), goal=GOAL)
    (bag,) = found.report['bags']
    assert bag['reasons']['no command yet'] == 20
    assert bag['reasons']['the newest command is too old'] > 780
    starts = found.rows.observation[:, 0]
    assert ((starts >= 1.0) & (starts <= 2.5) | (starts >= 42.0) & (starts <= 43.5)).all()


def test_states_slower_than_the_ticks_are_not_used_twice(tmp_path, arm):
    times = START + np.arange(100) * 80 * MS
    always = START + np.arange(800) * 10 * MS
    bag = Bag(record(tmp_path / 'bag', sorted(timed_states(times) + holding(always))))
    found, sampler, _ = report_of(arm, bag, goal=GOAL, max_age=1.0)
    assert sampler.reasons[resampling.SAME_STATE] > 50
    for item in found:
        row = item.transition
        assert row.next_observation[0] > row.observation[0]


def test_actions_beyond_the_bounds_are_refused_not_clipped(tmp_path, arm):
    times = START + np.arange(400) * 10 * MS
    values = np.where(np.arange(400) == 200, 0.5, 0.0)  # 10 rad/s there and back
    commands = [(int(time), '/commands', ARRAY, array((value, 0.0)))
                for time, value in zip(times, values, strict=True)]
    found = dataset(tmp_path, arm, timed_states(times) + commands, goal=GOAL,
                    episode_period=0.0)
    (bag,) = found.report['bags']
    assert bag['reasons'][resampling.BEYOND] == 2
    assert bag['largest_refused_action'] == pytest.approx({'a': 10.0, 'b': 0.0})
    assert not found.rows.action.any() and len(set(found.rows.episode)) == 2
    assert found.rows.observation[:, 4].max() == 0.0  # nor does an observation show what was cut


def test_a_trajectory_is_followed_from_where_the_last_has_led(tmp_path, arm):
    times = START + np.arange(300) * 10 * MS
    # Point to point in 1 s with speeds at the ends: q(t) = t² / 2, so that dq(t) = t.
    point = [(1.0, (0.5, 0.0), (1.0, 0.0)), (2.0, (2.0, 0.0), (2.0, 0.0))]
    commands = [(START, '/joint_trajectory', TRAJECTORY,
                 trajectory(('a', 'b'), [(0.0, (0.0, 0.0), (0.0, 0.0)), *point]))]
    found = dataset(tmp_path, arm, timed_states(times) + commands, goal=GOAL,
                    episode_period=0.0)
    rows = found.rows
    moving = rows.next_observation[:, 0] < 1.99
    assert rows.action[moving, 0] == pytest.approx(rows.next_observation[moving, 0], abs=1e-6)
    assert not rows.action[rows.next_observation[:, 0] > 2.0].any()  # at its end it is at rest
    assert found.report['bags'][0]['action'] == 'velocity of the commanded trajectory'


def parabola(t):
    """Return q and dq of the joints a and b at `t` s: at rest at 0, at speed t and -t / 2."""
    return (0.5 * t * t, -0.25 * t * t), (t, -0.5 * t)


def staged(ahead, pace=1.0, zero=5 * 10**9, count=300, period=10 * MS, **other):
    """
    Return joint states by a clock at `pace` that is `zero` ns at START, and one trajectory.

    The trajectory is received at 0.5 s and begins `ahead` s later, for 1 s, in stamped time.
    """
    messages = []
    for n in range(count):
        receipt = START + n * period
        stamp = zero + round(n * period * pace)
        messages.append((receipt, '/joint_states', JOINT_STATE,
                         joint_state(('a', 'b'), (n * 1e-3, n * 1e-3), (0.0, 0.0), stamp)))
        if n == 50:
            points = [(t / 10, *parabola(t / 10)) for t in range(11)]
            begin = stamp + round(ahead * 1e9)
            messages.append((receipt, '/joint_trajectory', TRAJECTORY, trajectory(
                ('a', 'b'), points, **({'stamp': begin} | other))))
    return messages


@pytest.mark.parametrize('time', ['auto', 'header', 'receive'])
@pytest.mark.parametrize('zero', [5 * 10**9, START])
@pytest.mark.parametrize('ahead', [0.5, 0.0, -0.4])
def test_a_trajectory_begins_at_its_stamp(tmp_path, arm, time, zero, ahead):
    found = dataset(tmp_path, arm, staged(ahead, zero=zero), goal=GOAL, time=time,
                    command_age=9.0, episode_period=0.0)
    rows = found.rows
    # The position a says when a state was sampled: 1e-3 rad for each 10 ms.
    elapsed = rows.next_observation[:, 0] * 10.0 - 0.5 - ahead
    speed = np.where((elapsed >= 0.0) & (elapsed < 1.0), elapsed, 0.0)
    at_a_jump = (np.abs(elapsed) < 1e-6) | (np.abs(elapsed - 1.0) < 0.02)
    expected = np.stack((speed, -0.5 * speed), axis=1)
    assert rows.action[~at_a_jump] == pytest.approx(expected[~at_a_jump], abs=1e-6)
    assert speed.max() > 0.9 and len(rows) > 40
    (bag,) = found.report['bags']
    assert bag['clock'] == ('receive' if time == 'receive' else 'header')


def test_a_trajectory_of_slow_simulated_time_begins_in_it(tmp_path, arm):
    found = dataset(tmp_path, arm, staged(0.5, pace=0.5, count=800), goal=GOAL, command_age=9.0,
                    episode_period=0.0)
    elapsed = found.rows.next_observation[:, 0] * 5.0 - 0.25 - 0.5  # 5 ms of it in 10
    inside = (elapsed > 0.01) & (elapsed < 0.98)
    assert inside.sum() > 15
    assert found.rows.action[inside, 0] == pytest.approx(elapsed[inside], abs=1e-6)
    assert not found.rows.action[elapsed < -0.01].any()


def test_trajectories_without_a_stamp_begin_when_received(tmp_path, arm):
    found = dataset(tmp_path, arm, staged(0.5, stamp=0), goal=GOAL, episode_period=0.0)
    elapsed = found.rows.next_observation[:, 0] * 10.0 - 0.5
    inside = (elapsed > 0.01) & (elapsed < 0.98)
    assert found.rows.action[inside, 0] == pytest.approx(elapsed[inside], abs=1e-6)
    (bag,) = found.report['bags']
    assert bag['clock_why'] == ('1 of 1 trajectories of /joint_trajectory have stamp 0 and begin '
                                'when they are received')


@pytest.mark.parametrize(('ahead', 'words'), [
    (-1.2, 'has a stamp from which it has ended before it is received'),
    (-3600.0, 'has a stamp more than 60 s from the clock of the joint states; with '
     '--trajectory-start receipt'),
    (3600.0, 'has a stamp more than 60 s from the clock of the joint states'),
])
def test_a_trajectory_that_no_controller_would_follow_is_counted(tmp_path, arm, ahead, words):
    for time in ('header', 'receive'):
        bag = Bag(record(tmp_path / time, staged(ahead)))
        found, sampler, _ = report_of(arm, bag, goal=GOAL, time=time)
        assert not found and sampler.reasons['no command yet'] == sampler.ticks
        ((topic, reason), count), = bag.losses.messages.items()
        assert (topic, count) == ('/joint_trajectory', 1) and reason.startswith(words)
    bag = Bag(tmp_path / 'receive')
    found, _, _ = report_of(arm, bag, goal=GOAL, time='receive', trajectory_start='receipt')
    assert found and not bag.losses.messages
    assert max(item.transition.action[0] for item in found) > 0.9


def test_a_running_trajectory_is_left_at_once_for_one_that_begins_later(tmp_path, arm):
    # As joint_trajectory_controller: from the position of the receipt on a cubic to the first
    # point, here to rest at the same place, while the first trajectory would have gone on.
    times = START + np.arange(200) * 10 * MS
    states = [(int(time), '/joint_states', JOINT_STATE,
               joint_state(('a', 'b'), (n * 1e-3, 0.0), (0.0, 0.0), int(time)))
              for n, time in enumerate(times)]
    going = [(0.0, (0.0, 0.0), (1.0, 0.0)), (9.0, (9.0, 0.0), (1.0, 0.0))]
    resting = [(0.0, (0.5, 0.0), (0.0, 0.0)), (1.0, (0.5, 0.0), (0.0, 0.0))]
    commands = [(START, '/t', TRAJECTORY, trajectory(('a', 'b'), going, START)),
                (START + 500 * MS + 1, '/t', TRAJECTORY,
                 trajectory(('a', 'b'), resting, START + 900 * MS))]
    rows = dataset(tmp_path, arm, states + commands, goal=GOAL, episode_period=0.0).rows
    at = rows.next_observation[:, 0] * 10.0
    assert rows.action[at < 0.49, 0] == pytest.approx(1.0)
    s = (at - 0.5) / 0.4  # q = 0.5 + 0.4 (s - 2 s² + s³), whose derivative is 1 - 4 s + 3 s²
    waiting = (s > 0.01) & (s < 0.99)
    assert rows.action[waiting, 0] == pytest.approx((1 - 4 * s + 3 * s * s)[waiting], abs=1e-6)
    assert rows.action[at > 0.91, 0] == pytest.approx(0.0, abs=1e-9)


def test_points_without_velocities_are_joined_by_lines(tmp_path, arm):
    times = START + np.arange(300) * 10 * MS
    commands = [
        (START, '/t', TRAJECTORY,
         trajectory(('b', 'a'), [(0.0, (0, 0), None), (1.0, (1, 2), None)])),
        (START + 500 * MS, '/t', TRAJECTORY, trajectory(('a', 'b'), [(0.5, (0, 0.5), None)]))]
    rows = dataset(tmp_path, arm, timed_states(times) + commands, goal=GOAL,
                   episode_period=0.0).rows
    at = rows.next_observation[:, 0]
    # By name: a goes to 2 and b to 1. At 0.5 s a is at 1 and turns back; b stays where it is.
    assert rows.action[at < 0.51] == pytest.approx(np.tile((2.0, 1.0), ((at < 0.51).sum(), 1)))
    back = (at > 0.54) & (at < 1.01)
    assert rows.action[back] == pytest.approx(np.tile((-2.0, 0.0), (back.sum(), 1)), abs=1e-6)


def test_commands_that_are_joint_states_of_a_leader(tmp_path, arm):
    times = START + np.arange(300) * 10 * MS
    # The follower has positions only, 170 ms behind the leader; its velocity is derived.
    followers = [(int(time), '/follower/joint_states', JOINT_STATE,
                  joint_state(('a', 'b'), (0.5 * (seconds(time) - 0.17), 0.0))) for time in times]
    leaders = [(int(time), '/leader/joint_states', JOINT_STATE,
                joint_state(('b', 'a'), (0.0, 0.5 * seconds(time)))) for time in times]
    found = dataset(tmp_path, arm, followers + leaders, goal=GOAL,
                    joint_states='/follower/joint_states', command='leader/joint_states')
    rows = found.rows
    assert rows.action == pytest.approx(np.tile((0.5, 0.0), (len(rows), 1)), abs=1e-6)
    assert rows.observation[:, 2] == pytest.approx(0.5, abs=1e-6)
    (bag,) = found.report['bags']
    assert any('has no velocities' in said for said in bag['assumed'])


def moving_states(times, velocity):
    """Return joint states at 0.5 and -0.25 rad/s that say `velocity` of these."""
    return [(int(time), '/joint_states', JOINT_STATE,
             joint_state(('a', 'b'), (0.5 * seconds(time), -0.25 * seconds(time)), velocity))
            for time in times]


@pytest.mark.parametrize(('velocity', 'expected', 'words'), [
    ((np.nan, np.nan), (0.5, -0.25), 'has no velocities; they are'),
    ((), (0.5, -0.25), 'has no velocities; they are'),
    ((7.0, np.nan), (7.0, -0.25), 'has no velocities of b; they are'),
])
def test_a_velocity_of_nan_is_derived_as_one_that_lacks(tmp_path, arm, velocity, expected, words):
    times = START + np.arange(200) * 10 * MS
    found = dataset(tmp_path, arm, moving_states(times, velocity) + holding(times), goal=GOAL)
    (bag,) = found.report['bags']
    assert not bag['losses']['messages'] and bag['transitions'] == 38
    assert found.rows.observation[:, 2:4] == pytest.approx(np.tile(expected, (38, 1)))
    assert sum(words in said for said in bag['assumed']) == 1


def test_a_command_of_nan_commands_nothing(tmp_path, arm):
    times = START + np.arange(100) * 10 * MS
    commands = [(int(time), '/leader', JOINT_STATE,
                 joint_state(('a', 'b'), (0.005 * n, 0.0), (np.nan, np.nan)))
                for n, time in enumerate(times)]
    bad = [(START + 500 * MS + 1, '/leader', JOINT_STATE, joint_state(('a', 'b'), values, dq))
           for values, dq in (((np.nan, 9.0), ()), ((np.nan, np.nan), (np.nan, np.nan)))]
    found = dataset(tmp_path, arm, timed_states(times) + commands + bad, goal=GOAL,
                    command='/leader', joint_states='/joint_states', command_interface='velocity')
    assert found.rows.action[:, 0] == pytest.approx(0.5)
    lost = {one['reason']: one['count'] for one in found.report['bags'][0]['losses']['messages']}
    assert lost == {'has a position that is NaN for some of the joints': 1,
                    'is neither position nor velocity': 1}


def test_names_off_by_one_are_reported_and_renamed(tmp_path, arm):
    times = START + np.arange(100) * 10 * MS
    messages = [(int(time), '/joint_states', JOINT_STATE,
                 joint_state(('a', 'b'), (0.0, 0.0), (0.0, 0.0))) for time in times]
    messages += [(int(time), '/leader', JOINT_STATE, joint_state(('b', 'c'), (0.01 * n, 0.0)))
                 for n, time in enumerate(times)]
    bag = Bag(record(tmp_path / 'bag', sorted(messages)))
    found, sampler, _ = report_of(arm, bag, goal=GOAL, command='/leader')
    assert not found and sampler.reasons['no command yet'] == sampler.ticks
    assert bag.losses.messages == {('/leader', 'lacks joint a (it names b, c)'): 100}
    rows = make(tmp_path, arm, bag, goal=GOAL, command='/leader',
                rename_command=('b=a', 'c=b')).rows
    assert rows.action[:, 0] == pytest.approx(1.0) and not rows.action[:, 1].any()


def test_what_names_no_joints_is_assumed_and_said_or_given(tmp_path, arm):
    times = START + np.arange(100) * 10 * MS
    messages = timed_states(times, names=())
    messages += [(int(time), '/commands', ARRAY, array((0.0, 0.01 * n)))
                 for n, time in enumerate(times)]
    bag = Bag(record(tmp_path / 'bag', sorted(messages)))
    found = make(tmp_path, arm, bag, goal=GOAL)
    (said,) = [bag['assumed'] for bag in found.report['bags']]
    assert '/commands names no joints; assumed are a, b' in said
    assert '/joint_states names no joints; assumed are a, b' in said
    assert '/commands commands position' in said
    assert found.rows.action[:, 1] == pytest.approx(1.0)
    (tmp_path / 'set').rename(tmp_path / 'other')
    found = make(tmp_path, arm, bag, goal=GOAL, command_joints=('b', 'a'),
                 state_joints=('a', 'b'))
    assert found.rows.action[:, 0] == pytest.approx(1.0)
    assert not any('names no joints' in said for said in found.report['bags'][0]['assumed'])


def test_messages_that_cannot_be_used_are_counted_by_reason(tmp_path, arm):
    times = START + np.arange(200) * 10 * MS
    bad = [
        *((START + 1, '/joint_states', JOINT_STATE, joint_state(('a', 'b'), (value, 0.0)))
        for value in (np.nan, 1e39)),
        (START + 2, '/joint_states', JOINT_STATE, joint_state(('a', 'b'), (0.0,))),
        (START + 3, '/joint_states', JOINT_STATE, joint_state(('a', 'b'), ())),
        (START + 4, '/joint_states', JOINT_STATE, b'{"name": ["a"]}'),
        (START + 5, '/commands', ARRAY, array((0.0, 0.0, 0.0))),
        (START + 6, '/commands', ARRAY, array((0.0, 0.0))[:-3]),
    ]
    found = dataset(tmp_path, arm, timed_states(times) + holding(times) + bad, goal=GOAL)
    lost = {(one['topic'], one['reason']): one['count']
            for one in found.report['bags'][0]['losses']['messages']}
    assert lost == {
        ('/joint_states', 'has a position that is not finite'): 2,
        ('/joint_states', 'has 1 values of position for 2 joints'): 1,
        ('/joint_states', 'has no positions'): 1,
        ('/joint_states', 'is JSON, not CDR'): 1,
        ('/commands', 'has 3 values without names; 2 are expected'): 1,
        ('/commands', f'is cut or damaged for a {ARRAY}'): 1,
    }


def test_effort_becomes_no_action_but_measured_velocity_may(tmp_path, arm):
    times = START + np.arange(200) * 10 * MS
    states = [(int(time), '/joint_states', JOINT_STATE,
               joint_state(('a', 'b'), (0.0, 0.0), (seconds(time), 0.0))) for time in times]
    messages = states + [(int(time), '/effort_controller/commands', ARRAY, array((9.0, 9.0)))
                         for time in times[50:]]
    bag = Bag(record(tmp_path / 'bag', sorted(messages)))
    with pytest.raises(
        InvalidInput, match='names effort but robot two is commanded by position'
    ):
        make(tmp_path, arm, bag, goal=GOAL)
    with pytest.raises(InvalidInput, match='--action measured'):
        make(tmp_path, arm, bag, goal=GOAL, command_interface='effort')
    found = make(tmp_path, arm, bag, goal=GOAL, command_interface='effort', action='measured')
    rows = found.rows
    assert np.array_equal(rows.action, rows.next_observation[:, 2:4])  # what it came to
    assert np.array_equal(rows.observation[:, 4:6], rows.observation[:, 2:4])
    assert found.report['bags'][0]['reasons'] == {
        'no command yet': 10, resampling.UNUSABLE_BEFORE: 1}


def test_topics_in_doubt_are_refused(tmp_path, arm):
    times = START + np.arange(3) * 10 * MS
    messages = timed_states(times) + holding(times) + [
        (START, '/other', ARRAY, array((0.0, 0.0)))]
    bag = Bag(record(tmp_path / 'bag', sorted(messages)))
    with pytest.raises(
        InvalidInput, match=r'2 topics of commands.*--command from: /commands, /other'
    ):
        make(tmp_path, arm, bag, goal=GOAL)
    with pytest.raises(InvalidInput, match='no topic named /goal; choose with --goal x y z'):
        make(tmp_path, arm, bag, command='/other')
    with pytest.raises(InvalidInput, match=r'/joint_states is of type .*; supported types are'):
        make(tmp_path, arm, bag, goal_topic='/joint_states', command='/other')
    json_bag = Bag(mcap(tmp_path / 'json.mcap', messages, encoding='json'))
    with pytest.raises(InvalidInput, match='/joint_states is encoded as json; only cdr is read'):
        make(tmp_path, arm, json_bag, goal=GOAL, command='/other')


def test_settings_that_contradict_are_refused():
    for words, values in (
        ('give x, y and z', {'goal': (1.0,)}),
        ('give one of them', {'goal': GOAL, 'goal_topic': '/goal'}),
        ('write THEIRS=OURS', {'rename': ('a',)}),
        ('each name once', {'rename': ('a=b', 'c=b')}),
        ('known are', {'time': 'sim'}),
    ):
        with pytest.raises(InvalidInput, match=words):
            SamplingSettings(**values)


def test_the_sampler_needs_no_more_memory_for_a_longer_hole(arm):
    # A clock that jumps by a year must not make a year of ticks one by one.
    zero = np.zeros(2)
    year = 365 * 24 * 3600 * 10**9
    events = [event for base in (START, START + year) for n in range(100) for event in (
        Event(base + n * 10 * MS, STATE, Setpoint(zero, zero)),
        Event(base + n * 10 * MS, COMMAND, Setpoint(zero)))]
    sampler = resampling.Sampler(arm, SamplingSettings(goal=GOAL), commanded=True)
    found = list(sampler.sample(events))
    assert sampler.ticks == (year + 990 * MS) // (50 * MS) + 1
    assert len(found) + sum(sampler.reasons.values()) == sampler.ticks
    assert len({item.transition.episode for item in found}) >= 2
