# SPDX-License-Identifier: Apache-2.0
"""Bags that other people recorded, read beside rosbags and numpy; see their README for traps."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from rl_control.bags.bag_info import survey
from rl_control.bags.bag_reader import Bag
from rl_control.bags.dataset import Dataset, DatasetWriter
from rl_control.bags.dataset_builder import from_robot
from rl_control.common.errors import InvalidInput
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import load_arm

BAGS = Path(__file__).parents[3] / 'shared' / 'bags'
IIWA = ('danieffe_bag_js_1', 'danieffe_bag_os_1')
RENAME = tuple(f'joint_a{n}=lbr_iiwa_joint_{n}' for n in range(1, 8))
pytestmark = pytest.mark.skipif(
    not BAGS.is_dir(), reason='the recorded bags are not beside the repository')


def other_reader(name, *topics):
    """Return the messages as rosbags reads them: (topic, receipt ns, message)."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    with AnyReader([BAGS / name], default_typestore=store) as reader:
        return [(connection.topic, receipt, reader.deserialize(data, connection.msgtype))
                for connection, receipt, data in reader.messages()
                if connection.topic in topics]


@pytest.mark.parametrize(('name', 'counts', 'pace'), [
    ('danieffe_bag_js_1', {'/joint_states': 1117, '/effort_controller/commands': 749}, 0.527),
    ('danieffe_bag_os_1', {'/joint_states': 696, '/effort_controller/commands': 512}, 0.348),
    ('abitobot_mcap', {'/joint_states': 1866, '/imu/data': 4712}, 0.990),
])
def test_every_message_is_read_and_the_clocks_are_distinguished(name, counts, pace):
    facts = survey(Bag(BAGS / name))
    assert facts['losses'] == {'files': [], 'messages': []}
    topics = {topic['name']: topic for topic in facts['topics']}
    for topic, count in counts.items():
        assert topics[topic]['messages'] == count
    states = topics['/joint_states']
    assert states['stamp_pace'] == pytest.approx(pace, abs=1e-3)
    assert states['offset_least'] > 1.7e9 and states['stamps_before_the_last'] == 0


def sampled(tmp_path, name, **settings):
    arm = load_arm('iiwa', 'reach')
    with DatasetWriter(tmp_path / name, arm.contract()) as writer:
        report = from_robot([Bag(BAGS / name)], arm, SamplingSettings(
            goal=(0.4, 0.2, 0.6), rename=RENAME, command_interface='effort', action='measured',
            **settings), writer)
        writer.finish({}, report)
    return Dataset.load(tmp_path / name)


@pytest.mark.parametrize('name', IIWA)
def test_iiwa_states_and_commands_are_paired_causally(tmp_path, name):
    found = sampled(tmp_path, name)
    (bag,) = found.report['bags']
    assert bag['clock'] == 'receive'
    assert bag['clock_why'] == '/effort_controller/commands carries no stamps'
    messages = other_reader(name, '/joint_states', '/effort_controller/commands')
    states = [(receipt, message) for topic, receipt, message in messages
              if topic == '/joint_states']
    receipts = np.array([receipt for receipt, _ in states])
    commands = np.array([receipt for topic, receipt, _ in messages if topic != '/joint_states'])
    q = np.array([message.position for _, message in states])
    dq = np.array([message.velocity for _, message in states])
    rows, period = found.rows, 50_000_000
    assert len(rows) > 70 and bag['ticks'] == len(rows) + sum(bag['reasons'].values())
    for index, tick in enumerate(found.extra['tick']):
        number = round((tick - receipts[0] * 1e-9) / 0.05)
        start = receipts[0] + number * period
        before, after = (np.flatnonzero(receipts <= t)[-1] for t in (start, start + period))
        assert np.array_equal(rows.observation[index, :7], q[before])
        assert np.array_equal(rows.observation[index, 7:14], dq[before])
        assert np.array_equal(rows.next_observation[index, :7], q[after])
        assert np.array_equal(rows.action[index], dq[after])
        assert start - receipts[before] == pytest.approx(
            found.extra['state_age'][index] * 1e9, abs=10)
        newest = commands[commands <= start + period][-1]
        assert start + period - newest == pytest.approx(
            found.extra['command_age'][index] * 1e9, abs=10)
    # Commands begin seconds after the recording: nothing is made of what was before.
    assert found.extra['tick'].min() * 1e9 >= commands[0]
    assert np.abs(rows.action).max() <= 1.0
    assert (found.extra['state_age'] >= 0.0).all() and (found.extra['command_age'] >= 0.0).all()


def test_iiwa_header_time_is_refused_since_commands_have_none(tmp_path):
    with pytest.raises(InvalidInput, match='carries no stamps; use --time receive'):
        sampled(tmp_path, IIWA[0], time='header')


def test_effort_is_not_taken_for_positions(tmp_path):
    arm = load_arm('iiwa', 'reach')
    with (pytest.raises(InvalidInput, match='names effort but robot iiwa'),
          DatasetWriter(tmp_path / 'set', arm.contract()) as writer):
        from_robot([Bag(BAGS / IIWA[0])], arm,
                   SamplingSettings(goal=(0.4, 0.2, 0.6), rename=RENAME), writer)


def test_a_rover_without_arm_commands_is_refused_or_measured(tmp_path):
    arm = load_arm('iiwa', 'reach')
    bag = Bag(BAGS / 'abitobot_mcap')
    with (pytest.raises(InvalidInput, match='no topics of commands'),
          DatasetWriter(tmp_path / 'set', arm.contract()) as writer):
        from_robot([bag], arm, SamplingSettings(goal=(0.4, 0.2, 0.6)), writer)
    with DatasetWriter(tmp_path / 'set', arm.contract()) as writer:
        report = from_robot([bag], arm, SamplingSettings(
            goal=(0.4, 0.2, 0.6), action='measured'), writer)
    (lost,) = report['bags'][0]['losses']['messages']
    assert lost['count'] == 1866 and lost['reason'].startswith('lacks joint lbr_iiwa_joint_1 (')
