# SPDX-License-Identifier: Apache-2.0
"""The recorder: everything that was said, in a bag that others read, killed or not."""

import errno
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy
from rosbags.highlevel import AnyReader
from training import Nodes, environment

from rl_control.bags.bag_reader import Bag
from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.supervisor import command_line
from rl_control.common import poses
from rl_control.nodes.recorder import Recorder
from rl_control.ros import codec, qos


@pytest.fixture
def nodes(ros_domain, tmp_path):
    made = Nodes({'recorder.out': str(tmp_path / 'bag'), 'recorder.period': 0.01})
    yield made
    made.end()


def speak(node, kind, topic, profile):
    return node.create_publisher(kind, topic, profile).publish


def test_all_topics_are_recorded_as_they_were_said(nodes, tmp_path):
    speaker = nodes.add(rclpy.create_node('speaker'))
    goal = speak(speaker, codec.Goal, '/lab/goal', qos.GOAL)
    # Published before the recorder subscribes.
    goal(codec.goal_message(poses.from_position((1.0, 2.0, 3.0)), 'base', 4.5))
    recorder = nodes.add(Recorder())
    joints = speak(speaker, codec.JointState, '/joint_states', qos.SENSOR)
    rows = speak(speaker, codec.Transitions, '/transitions', qos.TRANSITIONS)
    candidate = speak(speaker, codec.Policy, '/policy/candidate', qos.POLICY)
    latest = speak(speaker, codec.Policy, '/policy/latest', qos.POLICY)
    nodes.until(lambda: (
        {'/lab/goal', '/joint_states', '/policy/latest'} <= set(recorder._recorded)))
    nodes.until(lambda: all(
        publish.__self__.get_subscription_count() for publish in (joints, rows, latest)))
    nodes.spin(0.2)
    for number in range(300):
        joints(codec.joint_state(('a', 'b'), float(number), np.full(2, number), np.zeros(2)))
        rows(codec.encode_table(codec.Table(('x',), np.full((64, 1), number), {'n': number})))
        if number % 20 == 0:
            nodes.spin(0.01)
    for publish in (candidate, latest):
        publish(codec.encode_policy(b'x' * 300_000, 'run', 1))
    nodes.until(lambda: recorder._journal.message_count > 610)
    assert nodes.levels['/recorder: recording'][0] in (b'', codec.OK)
    nodes.close(recorder)
    with AnyReader([tmp_path / 'bag']) as reader:
        found = {connection.topic: connection for connection in reader.connections}
        count = {topic: connection.msgcount for topic, connection in found.items()}
        assert count['/lab/goal'] == 1 and count['/policy/latest'] == 1
        assert count['/joint_states'] == count['/transitions'] == 300
        assert '/policy/candidate' not in found and '/diagnostics' in found
        (offered,) = found['/transitions'].ext.offered_qos_profiles
        # Who plays the bag must promise as much as a collector, or no learner hears it.
        assert offered.liveliness_lease_duration.nsec == qos.LEASE_OFFERED.nanoseconds
        assert offered.reliability.name == 'RELIABLE' and offered.depth == 64
        (offered,) = found['/lab/goal'].ext.offered_qos_profiles
        assert offered.durability.name == 'TRANSIENT_LOCAL'
        (offered,) = found['/joint_states'].ext.offered_qos_profiles
        assert offered.reliability.name == 'BEST_EFFORT'
        told = [reader.deserialize(data, connection.msgtype).header.stamp.sec
                for connection, _, data in reader.messages([found['/joint_states']])]
    assert told == list(range(300))
    receipts = [raw.receipt for raw in Bag(tmp_path / 'bag').messages()]
    assert receipts == sorted(receipts) and abs(receipts[-1] - time.time_ns()) < 60e9


def test_topics_that_cannot_be_recorded_are_left_out(nodes, monkeypatch):
    recorder = nodes.add(Recorder())
    odd = {
        '/a': 'std_msgs/msg/_bool', '/b': 'std_msgs/msg/__name__', '/c': '', '/d': '/msg/X',
        '/e': 'std_msgs/msg/Metaclass_Bool', '/f': 'std_srvs/srv/Trigger',
        '/g': 'antigravity/msg/X', '/h': 'std_msgs/msg/../Bool', 'no name': 'std_msgs/msg/Bool'}
    with monkeypatch.context() as patch:
        patch.setattr(recorder, 'get_topic_names_and_types', lambda: [
            (topic, [kind]) for topic, kind in {**odd, '/good': 'std_msgs/msg/Bool'}.items()])
        patch.setattr(recorder, 'get_publishers_info_by_topic', lambda topic: [
            SimpleNamespace(qos_profile=qos.GOAL)])
        recorder._discover()
    assert recorder._unknown == odd.keys() and '/good' in recorder._recorded
    assert 'antigravity' not in sys.modules
    nodes.until(lambda: nodes.levels['/recorder: recording'][1].endswith(
        'not recorded: /a, /b, /c, /d, /e, /f, /g, /h, no name'))


def test_a_full_disk_stops_the_recording_and_says_so(nodes, monkeypatch):
    recorder = nodes.add(Recorder())
    publish = speak(nodes.add(rclpy.create_node('speaker')), codec.Transitions, '/transitions',
                    qos.TRANSITIONS)
    message = codec.encode_table(codec.Table(('x',), np.zeros((64, 1)), {'n': 0}))
    nodes.spin(0.3)
    full, write = [True], os.pwrite

    def pwrite(descriptor, data, offset):
        if full[0] and descriptor == recorder._journal._descriptor:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, 'pwrite', pwrite)
    publish(message)
    nodes.until(lambda: nodes.levels['/recorder: recording'][0] == codec.ERROR)
    assert 'No space left' in nodes.levels['/recorder: recording'][1]
    full[0] = False
    nodes.until(lambda: nodes.levels['/recorder: recording'][0] == codec.OK)


@pytest.mark.alone
def test_killed_it_leaves_what_came_before(ros, tmp_path):
    process = NodeProcess(
        'recorder', 'recorder', (), {'recorder.out': str(tmp_path / 'bag')})
    child = subprocess.Popen(command_line(process), env=environment(), stderr=sys.stderr)
    speaker = rclpy.create_node('speaker')
    try:
        publisher = speaker.create_publisher(codec.Transitions, '/transitions', qos.TRANSITIONS)
        deadline = time.monotonic() + 60.0
        while not publisher.get_subscription_count():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        sent = []
        while len(sent) < 1500:
            publisher.publish(codec.encode_table(
                codec.Table(('x',), np.zeros((4, 1)), {'n': len(sent)})))
            sent.append(time.time())
            time.sleep(0.001)
        killed = time.time()
        child.send_signal(signal.SIGKILL)
        child.wait()
    finally:
        child.kill()
        child.wait()
        speaker.destroy_node()
    bag = Bag(tmp_path / 'bag')
    numbers = [codec.decode_table_cdr(raw.data).header['n'] for raw in bag.messages(
        ['/transitions'])]
    assert numbers == list(range(len(numbers)))
    # Two periods of 0.05 s, twice as long on a busy machine; nothing needs repair.
    assert killed - sent[numbers[-1]] < 0.2
    assert not bag.losses.figures()['files']
