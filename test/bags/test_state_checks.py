# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from recordings import ARRAY, JOINT_STATE, MS, START, array, joint_state, record

from rl_control.bags import resampling, state_checks
from rl_control.bags.bag_reader import Bag
from rl_control.bags.dataset import Dataset, DatasetWriter
from rl_control.bags.dataset_builder import from_robot
from rl_control.cli import main
from rl_control.config.robot import RobotSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.config.task import TaskSettings
from rl_control.environments.arm_model import Arm

PERIOD = 0.05
GOAL = (0.4, 0.1, 0.0)
URDF = '''<robot name="two">
<link name="base"/><link name="upper"/><link name="lower"/><link name="tool"/>
<joint name="a" type="revolute"><parent link="base"/><child link="upper"/><axis xyz="0 0 1"/>
<limit lower="-3" upper="3" velocity="2" effort="1"/></joint>
<joint name="b" type="revolute"><parent link="upper"/><child link="lower"/><axis xyz="0 0 1"/>
<origin xyz="0.3 0 0"/><limit lower="{low}" upper="{high}" velocity="2" effort="1"/></joint>
<joint name="end" type="fixed"><parent link="lower"/><child link="tool"/>
<origin xyz="0.2 0 0"/></joint></robot>'''


def two(path: Path, low=0.0, high=2.5) -> Arm:
    (path / 'two.urdf').write_text(URDF.format(low=low, high=high))
    return Arm.make(
        RobotSettings(name='two', urdf=str(path / 'two.urdf'), joint_names=('a', 'b'),
                      end_effector='tool', velocity_limit=(2.0,), control_rate=1.0 / PERIOD),
        TaskSettings(name='reach', episode_period=3600.0))


@pytest.fixture
def arm(tmp_path) -> Arm:
    return two(tmp_path)


def motion(t):
    """Return positions and velocities of a and b at `t` s."""
    return ((0.3 + 0.2 * np.sin(t), 1.2 + 0.2 * np.sin(1.3 * t)),
            (0.2 * np.cos(t), 0.26 * np.cos(1.3 * t)))


def state(time, q, dq, stamp=0):
    return int(time), '/joint_states', JOINT_STATE, joint_state(('a', 'b'), q, dq, int(stamp))


def recording(count=1000, change=lambda t, q, dq: (q, dq)):
    """Return states at 100 Hz, changed by `change(t, q, dq)`, and the velocities commanded."""
    messages = []
    for n in range(count):
        time, (q, dq) = START + n * 10 * MS, motion(0.01 * n)
        messages.append(state(time, *change(0.01 * n, np.array(q), np.array(dq))))
        if n % 5 == 0:
            messages.append((time + 2 * MS, '/commands', ARRAY, array(dq)))
    return messages


def sampled(path, arm, messages, **settings):
    """Return the dataset of the messages and the report of their bag."""
    bag = Bag(record(path / 'bag', sorted(messages, key=lambda message: message[0])))
    with DatasetWriter(path / 'set', arm.contract()) as writer:
        report = from_robot([bag], arm, SamplingSettings(
            goal=GOAL, command_interface='velocity', episode_period=0.0, **settings), writer)
        if writer.rows:
            writer.finish({}, report)
    (one,) = report['bags']
    return Dataset.load(path / 'set') if one['transitions'] else None, one


def findings(report):
    return [(one['count'], one['finding'], one['cause'])
            for one in report['time_quality']['/joint_states']['findings']]


def test_plausible_states_are_all_used_and_nothing_is_said(tmp_path, arm):
    found, report = sampled(tmp_path, arm, recording())
    assert len(found) == 198 and findings(report) == []


def test_an_arm_at_its_velocity_limit_on_a_jittering_network_is_plausible(tmp_path, arm):
    generator = np.random.default_rng(2)
    messages, q, sign = [], np.array([0.0, 0.1]), np.ones(2)
    for n in range(3000):
        messages.append(state(START + n * 10 * MS + int(generator.uniform(0, 9 * MS)), q,
                              2.0 * sign))
        q = q + 0.02 * sign
        sign = np.where((q > 2.4) | (q < 0.1), -sign, sign)
        messages.append((START + n * 10 * MS, '/commands', ARRAY, array(2.0 * sign)))
    _, report = sampled(tmp_path, arm, messages)
    assert findings(report) == [] and resampling.STEP not in report['reasons']


def test_positions_beyond_the_urdfs_limits_are_left_out(tmp_path, arm):
    found, report = sampled(tmp_path, arm, recording(
        change=lambda t, q, dq: (q - (0.0, 3.1 * (int(t) // 2 % 2)), dq)))
    assert findings(report) == [(400, f'state {state_checks.BEYOND_LIMITS}', (
        'an encoder that wraps (b -2.1 to -1.7 beyond 0 to 2.5)'))]
    assert {'topic': '/joint_states', 'reason': state_checks.BEYOND_LIMITS, 'count': 400} in (
        report['losses']['messages'])
    assert found.rows.observation[:, 1].min() > 0.9 and 110 < len(found) < 120


def test_a_position_at_its_limit_may_be_measured_a_little_beyond_it(tmp_path):
    arm = two(tmp_path, 0.0, 1.4 - 0.005)
    _, report = sampled(tmp_path, arm, recording())
    assert findings(report) == []


def test_degrees_for_radians_are_recognised(tmp_path, arm):
    found, report = sampled(tmp_path, arm, recording(
        change=lambda t, q, dq: (np.degrees(q), np.degrees(dq))))
    assert found is None and report['transitions'] == 0
    assert findings(report) == [
        (1000, f'state {state_checks.IN_DEGREES}', 'degrees for radians; convert the bag')]


def test_a_jump_ends_the_episode_and_both_sides_of_it_are_used(tmp_path):
    arm = two(tmp_path, -3.0, 3.0)
    found, report = sampled(tmp_path, arm, recording(
        change=lambda t, q, dq: (q - (0.0, 3.1 * (int(t) // 2 % 2)), dq)))
    ((count, finding, cause),) = findings(report)
    assert count == 4 and finding.startswith('jump between states, of up to 3.1')
    assert 'b, faster' in finding and cause.startswith('an encoder that wraps')
    assert report['reasons'][resampling.STEP] == 4 and len(found) > 180
    moved = np.abs(found.rows.next_observation[:, :2] - found.rows.observation[:, :2])
    assert moved.max() < 0.02 and found.rows.observation[:, 1].min() < -1.5
    assert len(set(found.rows.episode)) == 5


@pytest.mark.parametrize('every', [10, 1, 0.2])
@pytest.mark.parametrize('first', [-3 * MS, 1 * MS])
def test_a_second_publisher_of_zeros_changes_no_transition(tmp_path, arm, every, first):
    (tmp_path / 'alone').mkdir()
    expected, _ = sampled(tmp_path / 'alone', arm, recording())
    zeros = [state(START + first + n * round(every * 10 * MS), (0.0, 0.0), ())
             for n in range(round(1000 / every))]
    found, report = sampled(tmp_path, arm, recording() + zeros)
    assert findings(report) == [(len(zeros), f'state {state_checks.FOREIGN}', (
        'a second publisher of joint states that says zeros, such as joint_state_publisher'))]
    for name in ('observation', 'action', 'next_observation', 'reward'):
        assert np.array_equal(getattr(found.rows, name), getattr(expected.rows, name)), name


def test_of_two_arms_that_move_the_one_with_more_states_is_used(tmp_path, arm):
    other = [state(START + 1 * MS + n * 20 * MS, (-1.5 + 0.1 * np.sin(0.02 * n), 0.2), ())
             for n in range(500)]
    found, report = sampled(tmp_path, arm, recording() + other)
    assert findings(report) == [(500, f'state {state_checks.FOREIGN}',
                               'a second publisher of joint states')]
    assert len(found) == 198 and found.rows.observation[:, 0].min() > 0.0


def test_a_spike_is_left_out(tmp_path, arm):
    found, report = sampled(tmp_path, arm, recording(
        change=lambda t, q, dq: (q + np.array((1.0, 0.0)) if abs(t - 5.05) < 1e-3 else q, dq)))
    assert findings(report) == [(1, f'state {state_checks.FOREIGN}',
                               'spikes of a sensor, or a second publisher of joint states')]
    assert found.rows.observation[:, 0].max() < 0.6


def test_ticks_that_command_a_joint_which_never_moves_are_left_out(tmp_path, arm):
    messages = recording(change=lambda t, q, dq: (np.array([q[0], 1.2]), np.array([dq[0], 0.0])))
    found, report = sampled(tmp_path, arm, messages)
    assert findings(report) == [(1, 'b is commanded but never moves; ticks with its commands are '
                               'left out', 'a joint that is not connected, or whose driver '
                               'repeats one value')]
    assert report['reasons'][resampling.STUCK] > 190 and (found is None or len(found) < 8)


def test_a_joint_that_is_not_commanded_may_stand_still(tmp_path, arm):
    messages = [message if message[2] == JOINT_STATE else (*message[:3], array((0.1, 0.0)))
                for message in recording(
                    change=lambda t, q, dq: (np.array([q[0], 1.2]), np.array([dq[0], 0.0])))]
    found, report = sampled(tmp_path, arm, messages)
    assert findings(report) == [(1, 'b never moves', '')] and len(found) == 198


@pytest.mark.parametrize(('factor', 'words'), [
    (0.0, 'has velocity 0 while it moves'), (180 / np.pi, 'has a velocity 57 times the change')])
def test_velocities_that_the_positions_contradict_are_derived(tmp_path, arm, factor, words):
    found, report = sampled(tmp_path, arm, recording(
        change=lambda t, q, dq: (q, dq * (1.0, factor))))
    ((count, finding, _),) = findings(report)
    assert count == 1 and finding.startswith('b ') and words in finding
    columns = found.rows.observation[:, 2:4]
    t = found.rows.stamp[:-1] - START * 1e-9
    assert columns[1:, 0] == pytest.approx(0.2 * np.cos(t), abs=1e-6)
    assert columns[1:, 1] == pytest.approx(0.26 * np.cos(1.3 * (t - 0.025)), abs=1e-3)


def test_a_simulation_faster_than_real_time_is_plausible_by_receipt(tmp_path, arm):
    messages = []
    for n in range(2000):
        q, dq = motion(8.0 * 0.005 * n)
        q = np.array(q) + np.array((0.9 * np.sin(0.04 * n), 0.0))
        messages.append(state(START + n * 5 * MS, q, dq, stamp=10**9 + n * 40 * MS))
        messages.append((START + n * 5 * MS, '/commands', ARRAY, array(np.clip(dq, -2, 2))))
    found, report = sampled(tmp_path, arm, messages)
    assert report['clock'] == 'receive' and findings(report) == []
    assert resampling.STEP not in report['reasons'] and len(found) > 150


def test_the_command_prints_the_likely_cause(tmp_path, arm, capsys):
    settings = tmp_path / 'two.yaml'
    settings.write_text(f'''/**:
  ros__parameters:
    robot:
      name: two
      urdf: {tmp_path / 'two.urdf'}
      joint_names: [a, b]
      end_effector: tool
      home: [0.3, 1.2]
''')
    zeros = [state(START + 1 * MS + n * 100 * MS, (0.0, 0.0), ()) for n in range(100)]
    bag = record(tmp_path / 'bag', sorted(recording() + zeros, key=lambda one: one[0]))
    assert main(['bag', 'transitions', str(bag), '--robot', str(settings), '--task', 'reach',
                 '--goal', '0.4', '0.1', '0', '--command-interface', 'velocity', '-o',
                 str(tmp_path / 'set')]) == 0
    output = capsys.readouterr()
    assert ("100: state alternates with the arm's states and is out of its reach; likely cause: "
            'a second publisher of joint states that says zeros') in output.out
    assert 'lost: 100 messages of /joint_states: alternates with' in output.err


def test_a_first_look_counts_nothing_twice(tmp_path, arm):
    messages = [*recording(), (START + 5, '/joint_states', JOINT_STATE, b'\0\1\0\0')]
    _, report = sampled(tmp_path, arm, messages)
    assert [one['count'] for one in report['losses']['messages']] == [1]
