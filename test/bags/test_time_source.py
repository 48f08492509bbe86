# SPDX-License-Identifier: Apache-2.0
import struct

import numpy as np
import pytest
from recordings import (
    ARRAY,
    JOINT_STATE,
    MS,
    POSE,
    START,
    array,
    joint_state,
    mcap,
    pose,
    record,
)

from rl_control.bags.bag_info import survey
from rl_control.bags.bag_reader import Bag
from rl_control.bags.bag_types import Raw, Topic
from rl_control.bags.decoding import Decoder, Unusable
from rl_control.bags.time_quality import Histogram, TopicTime
from rl_control.bags.time_source import choose_clock
from rl_control.common.errors import InvalidInput


def recorded(tmp_path, stamp_of_state, stamp_of_command, receipt=lambda n: START + n * 10 * MS):
    messages = []
    for n in range(300):
        messages += [
            (receipt(n), '/joint_states', JOINT_STATE,
             joint_state(('a',), (0.0,), stamp=stamp_of_state(n))),
            (receipt(n) + 2 * MS, '/leader', JOINT_STATE,
             joint_state(('a',), (0.0,), stamp=stamp_of_command(n)))]
    return Bag(mcap(tmp_path / 'bag.mcap', messages))


def chosen(bag, asked='auto'):
    topics = [bag.topics['/joint_states'], bag.topics['/leader']]
    clock = choose_clock(bag, Decoder(bag.topics), topics, asked)
    return clock.kind, clock.why


def wall(n):
    return START + n * 10 * MS - 3 * MS


def simulated(n):  # slow, and ever slower
    return int(10**9 * (5.0 + 0.004 * n - 2e-6 * n * n))


@pytest.mark.parametrize(('state', 'command', 'kind', 'words'), [
    (wall, wall, 'header', 'advance and are of one clock'),
    (simulated, simulated, 'header', 'advance and are of one clock'),
    (simulated, wall, 'receive', 'apart where both were received'),
    (wall, lambda n: wall(n) + 3600 * 10**9, 'receive', '3.6e+03 s apart'),
    (wall, lambda n: 0, 'receive', '/leader carries no stamps'),
    (wall, lambda n: START, 'receive', 'the stamps of /leader never change'),
    (wall, lambda n: wall(n) if n % 2 else 0, 'receive', '150 messages of /leader carry no'),
    (wall, lambda n: wall(n - 7 * (n % 5)), 'receive', 'go back'),
])
def test_the_clock_that_joins_the_topics_is_chosen(tmp_path, state, command, kind, words):
    bag = recorded(tmp_path, state, command)
    found, why = chosen(bag)
    assert found == kind and words in why
    assert chosen(bag, 'receive') == ('receive', 'asked for')
    if kind == 'header':
        assert chosen(bag, 'header') == ('header', 'asked for')
    else:
        with pytest.raises(InvalidInput, match='use --time receive'):
            chosen(bag, 'header')


def test_receive_times_that_stand_still_leave_the_headers(tmp_path):
    bag = recorded(tmp_path, wall, wall, receipt=lambda n: 0)
    messages = survey(bag)
    assert messages['duration'] == pytest.approx(0.002)
    bag = Bag(mcap(tmp_path / 'zero.mcap', [
        (0, '/joint_states', JOINT_STATE, joint_state(('a',), (0.0,), stamp=wall(n)))
        for n in range(50)]))
    topics = [bag.topics['/joint_states']]
    clock = choose_clock(bag, Decoder(bag.topics), topics, 'auto')
    assert (clock.kind, clock.why) == ('header', 'the receive times are constant, 0 s')
    with pytest.raises(InvalidInput, match='one receive time for all of /joint_states, 0 s; use'):
        choose_clock(bag, Decoder(bag.topics), topics, 'receive')


def test_a_histogram_knows_its_quantiles_to_one_percent():
    generator = np.random.default_rng(0)
    values = np.exp(generator.normal(-4.0, 1.5, 20_000))
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    for share in (0.01, 0.5, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(values, share), rel=0.015)
    assert histogram.largest == values.max()
    assert Histogram().quantile(0.5) is None


def test_time_quality_in_closed_form():
    time = TopicTime()
    receipts = [n * 10 * MS for n in range(500) if n not in (100, 200, 201)]
    for receipt in receipts:
        # A clock at half pace, 7 s behind; two stamps stand still, one goes back.
        stamp = receipt // 2 - 7 * 10**9
        if receipt in (50 * 10 * MS, 51 * 10 * MS):
            stamp = 49 * 5 * MS - 7 * 10**9
        if receipt == 300 * 10 * MS:
            stamp -= 10 * 10**6
        time.add(receipt, stamp)
    figures = time.figures()
    assert figures['messages'] == 497 and figures['duration'] == pytest.approx(4.99)
    assert figures['rate'] == pytest.approx(496 / 4.99)
    assert figures['interval_p50'] == pytest.approx(0.01, rel=0.01)
    assert figures['jitter_p50'] == 0.0 and figures['jitter_p99'] < 2e-4
    assert figures['gaps'] == 2 and figures['missing_estimate'] == 3
    assert figures['largest_gap'] == pytest.approx(0.03)
    assert figures['stamp_pace'] == pytest.approx(0.5)
    assert figures['stamp_pace_least'] == pytest.approx(0.5, abs=0.02)
    assert figures['offset_least'] == pytest.approx(7.0)
    assert figures['offset_largest'] == pytest.approx(7.0 + 4.99 / 2)
    assert (figures['stamps_equal_to_the_last'], figures['stamps_before_the_last']) == (2, 1)
    assert TopicTime().figures() == {'messages': 0}


def decoder_of(*messages, **options):
    topics = {topic: Topic(topic, kind, 'cdr', **options) for _, topic, kind, _ in messages}
    raws = [Raw(receipt, topics[topic], data) for receipt, topic, _, data in messages]
    return Decoder(topics), raws


@pytest.mark.parametrize('behind', [
    *(bytes(count) for count in range(9)), bytes.fromhex('e47f0000a0000074'), b'\1', b'x' * 300])
@pytest.mark.parametrize('names', [('a',), ('ab',), ('abc',), ('abcd',), ('a', 'b')])
def test_bytes_behind_a_message_are_no_damage(behind, names):
    data = joint_state(names, range(len(names)), stamp=START)
    decoder, (raw,) = decoder_of((0, '/j', JOINT_STATE, data + behind))
    message = decoder.decode(raw)
    assert message.name == list(names) and message.position.tolist() == list(range(len(names)))
    assert len(message.velocity) == len(message.effort) == 0
    assert decoder.stamp(raw) == START


def test_a_message_is_damaged_when_it_cannot_be_decoded():
    data = joint_state(('a',), (0.0,))
    for wrong, words in (
        (data[:-5], 'is cut or damaged'), (data[:4], 'is cut or damaged'), (b'', 'is empty'),
        (data[:4] + b'\xff' * 40, 'is cut or damaged'),
        (b'\0\7' + data[2:], 'has the CDR encapsulation 0x0007, not plain CDR'),
    ):
        decoder, (raw,) = decoder_of((0, '/j', JOINT_STATE, wrong))
        with pytest.raises(Unusable, match=words):
            decoder.decode(raw)


def test_messages_of_fast_cdr_are_decoded_as_rclpy_decodes_them():
    serialization = pytest.importorskip('rclpy.serialization')
    from sensor_msgs.msg import JointState

    for count in range(1, 9):
        names = [f'joint_{number}' for number in range(count)]
        data = bytes(serialization.serialize_message(
            JointState(name=names, position=[0.5 * n for n in range(count)])))
        decoder, (raw,) = decoder_of((0, '/j', JOINT_STATE, data + bytes.fromhex('e47f0000a000')))
        message = decoder.decode(raw)
        other = serialization.deserialize_message(raw.data, JointState)
        assert (message.name, message.position.tolist()) == (other.name, other.position.tolist())


def test_a_big_endian_message_and_its_stamp():
    data = joint_state(('a',), (0.5,), stamp=START + 7)
    decoder, (raw,) = decoder_of((0, '/j', JOINT_STATE, data))
    stamp = struct.pack('>iI', START // 10**9, 7)
    assert decoder.stamp(raw._replace(data=b'\0\0\0\0' + stamp + data[12:])) == START + 7


def test_a_type_that_only_the_bag_describes(tmp_path):
    text = 'std_msgs/Header header\nfloat64 effort\n' + '=' * 80 + (
        '\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n' + '=' * 80
        + '\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n')
    data = b'\0\1\0\0' + struct.pack('<iII', 5, 6, 1) + b'\0' + bytes(3) + struct.pack('<d', 2.5)
    bag = Bag(mcap(tmp_path / 'bag.mcap', [(START, '/grip', 'lab_msgs/msg/Grip', data)],
                   definition=text))
    decoder, (raw,) = Decoder(bag.topics), bag.messages()
    assert decoder.decode(raw).effort == 2.5 and decoder.stamp(raw) == 5 * 10**9 + 6
    decoder, (raw,) = decoder_of((0, '/grip', 'lab_msgs/msg/Grip', data))
    with pytest.raises(Unusable, match='which is defined nowhere'):
        decoder.decode(raw)
    assert decoder.stamp(raw) is None


def test_a_survey_counts_messages_that_it_cannot_decode(tmp_path):
    messages = [(START + n * MS, '/j', JOINT_STATE, joint_state(('a',), (0.0,))) for n in range(9)]
    messages[4] = (*messages[4][:3], messages[4][3][:-9])
    messages += [(START + 9 * MS, '/c', ARRAY, array((1.0,))),
                 (START + 9 * MS, '/goal', POSE, pose(1, 2, 3))]
    facts = survey(Bag(record(tmp_path / 'bag', messages)))
    assert facts['losses']['messages'] == [
        {'topic': '/j', 'reason': f'is cut or damaged for a {JOINT_STATE}', 'count': 1}]
    assert {topic['name']: topic['messages'] for topic in facts['topics']} == {
        '/j': 9, '/c': 1, '/goal': 1}
