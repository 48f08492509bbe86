# SPDX-License-Identifier: Apache-2.0
import array
from collections.abc import Iterator
from functools import partial
import json
import math
import time
import tracemalloc

from builtin_interfaces.msg import Duration
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import rclpy
from rclpy.serialization import deserialize_message, serialize_message
from recordings import TRAJECTORY, cdr, make
from recordings import header as head
from trajectory_msgs.msg import JointTrajectoryPoint

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Column, Contract, Transition
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription
from rl_control.transport.inbox import Inbox
from rl_control.transport.table import COLUMN_LIMIT, HEADER_LIMIT

NAMES = ('x', 'y', 'z')
CONTRACT = Contract(
    robot='arm', task='reach', joint_names=('a', 'b'),
    observation=tuple(Column(name, 'rad') for name in ('q.a', 'q.b', 'goal')),
    action=(Column('a', 'rad/s'), Column('b', 'rad/s')),
    action_low=(-1.0, -1.0), action_high=(1.0, 1.0), command_interface='velocity',
    control_period=0.05,
)


def table(n: int = 4, seed: int = 0) -> codec.Table:
    rows = np.random.default_rng(seed).normal(size=(n, 3))
    return codec.Table(NAMES, rows, {'run': 'ré-1', 'first_sequence': 2**40, 'runs': ['a', '']})


def transition(**changes) -> Transition:
    fields = {
        'episode': 3, 'step': 7, 'stamp': 1.5, 'version': -1, 'log_prob': math.nan,
        'observation': np.array([1.0, 2.0, 3.0]), 'action': np.array([0.1, 0.2]),
        'applied': np.array([0.3, 0.4]), 'reward': -2.5,
        'next_observation': np.array([4.0, 5.0, 6.0]), 'terminated': True, 'truncated': False,
        'intervention': True,
    }
    return Transition(**{**fields, **changes})


@pytest.mark.parametrize('n', [0, 1, 4, 64])
def test_table_returns_equal_over_both_ways(n):
    sent = table(n)
    raw = serialize_message(codec.encode_table(sent))
    message = deserialize_message(raw, codec.Transitions)
    assert isinstance(message.data, array.array)
    for got in (codec.decode_table(message, NAMES), codec.decode_table_cdr(raw, NAMES)):
        assert (got.columns, got.header) == (NAMES, sent.header)
        np.testing.assert_array_equal(got.rows, sent.rows)
        assert got.rows.flags.owndata or got.rows.base.flags.owndata


def test_alignment_holds_for_labels_of_every_length():
    for length in range(1, 20):
        sent = codec.Table(('c' * length,), np.array([[1.5], [-2.5]]), {'k': 'v' * (length * 3)})
        raw = serialize_message(codec.encode_table(sent))
        np.testing.assert_array_equal(codec.decode_table_cdr(raw).rows, sent.rows)


def test_other_columns_are_refused_showing_both_lists():
    message = codec.encode_table(table())
    raw = serialize_message(message)
    for read in (
        lambda: codec.decode_table(message, ('x', 'y')),
        lambda: codec.decode_table_cdr(raw, ('x', 'y')),
    ):
        with pytest.raises(InvalidInput, match=r'columns \[x, y, z\] but \[x, y\] are expected'):
            read()


def test_layouts_that_do_not_fit_the_data_are_refused():
    def broken(change) -> bytes:
        message = codec.encode_table(table())
        change(message)
        return message

    def shorten(message):
        message.data = message.data[:-1]

    def size(message):
        message.layout.dim[0].size = 2**31

    def stride(message):
        message.layout.dim[0].stride = 1

    def offset(message):
        message.layout.data_offset = 1

    def label(message):
        message.layout.dim[0].label = '[1]'

    def number(message):
        message.layout.dim[0].label = '{"run": 1.5}'

    def deep(message):
        message.layout.dim[0].label = '[' * 100_000

    def huge(message):
        message.layout.dim[0].label = '"' + ' ' * HEADER_LIMIT + '"'

    def dimension(message):
        message.layout.dim = message.layout.dim[:1]

    for change in (shorten, size, stride, offset, label, number, deep, huge, dimension):
        message = broken(change)
        with pytest.raises(InvalidInput):
            codec.decode_table(message)
        with pytest.raises(InvalidInput):
            codec.decode_table_cdr(serialize_message(message))


def test_what_cannot_be_sent_is_refused():
    for name, header in (('a,b', {}), ('', {}), ('a', {'f': 0.5}), ('a', {'f': {}})):
        with pytest.raises(InvalidInput):
            codec.encode_table(codec.Table((name,), np.zeros((1, 1)), header))
    with pytest.raises(InvalidInput, match='one name per column'):
        codec.Table(('a', 'b'), np.zeros((1, 1)))
    many = tuple(f'c{i}' for i in range(COLUMN_LIMIT + 1))
    message = codec.encode_table(codec.Table(many, np.zeros((1, len(many)))))
    with pytest.raises(InvalidInput, match='at most'):
        codec.decode_table(message)


def test_big_endian_is_refused_by_name():
    raw = bytearray(serialize_message(codec.encode_table(table())))
    raw[1] = 0
    with pytest.raises(InvalidInput, match='encapsulation 0x00000000; only little-endian'):
        codec.decode_table_cdr(bytes(raw))


def test_bytes_behind_a_table_mean_nothing_and_zeros_within_a_text_are_refused():
    raw = bytes(serialize_message(codec.encode_table(table())))
    for behind in (b'\0', bytes.fromhex('e47f0000a0000074'), b'x' * 100):
        np.testing.assert_array_equal(
            codec.decode_table_cdr(raw + behind).rows, codec.decode_table_cdr(raw).rows)
    with pytest.raises(InvalidInput, match='a text has a zero in it'):
        codec.decode_table_cdr(raw.replace(b'x,y,z\0', b'x,\0,z\0'))


@settings(max_examples=3000, deadline=None)
@given(data=st.data())
def test_mutated_bytes_are_refused_or_read_as_rclpy_reads_them(data):
    raw = bytearray(serialize_message(codec.encode_table(table(2))))
    for _ in range(data.draw(st.integers(1, 4))):
        # Labels, sizes and counts stand in front and are what breaks; numbers may be any bytes.
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.sampled_from([0, 1, 2, 3, 127, 128, 255, raw[at] ^ 1]))
    cut = data.draw(st.sampled_from([len(raw), len(raw), *range(0, len(raw), 3)]))
    extra = data.draw(st.sampled_from([0, 0, 1, 3, 4, 100]))
    damaged = bytes(raw[:cut]) + b'\x01' * extra
    try:
        got = codec.decode_table_cdr(damaged)
    except InvalidInput:
        return
    other = codec.decode_table(deserialize_message(damaged, codec.Transitions))
    assert (got.columns, got.header) == (other.columns, other.header)
    np.testing.assert_array_equal(got.rows, other.rows)


def test_a_count_of_billions_allocates_nothing():
    raw = bytearray(serialize_message(codec.encode_table(table(2))))
    at = len(raw) - 2 * 3 * 8 - 4
    while raw[at] != 6:
        at -= 1
    raw[at:at + 4] = b'\xff\xff\xff\xff'
    tracemalloc.start()
    with pytest.raises(InvalidInput, match='go beyond the end'):
        codec.decode_table_cdr(bytes(raw))
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_transition_columns_say_what_each_number_is():
    columns = codec.transition_columns(CONTRACT)
    row = dict(zip(columns, codec.transition_row(transition()).tolist(), strict=True))
    assert math.isnan(row.pop('log_prob'))
    assert row == {
        'episode': 3, 'step': 7, 'stamp': 1.5, 'version': -1, 'reward': -2.5, 'terminated': 1,
        'truncated': 0, 'intervention': 1, 'observation.q.a': 1, 'observation.q.b': 2,
        'observation.goal': 3, 'action.a': 0.1, 'action.b': 0.2, 'applied.a': 0.3,
        'applied.b': 0.4, 'next_observation.q.a': 4, 'next_observation.q.b': 5,
        'next_observation.goal': 6,
    }


def test_transitions_return_equal():
    sent = [transition(step=0), transition(terminated=False, truncated=True, log_prob=-0.5)]
    rows = np.array([codec.transition_row(t) for t in sent])
    fields = codec.TransitionRows.read(rows, CONTRACT)
    rows[:] = 0.0
    assert len(fields) == 2
    assert (fields.version.dtype, fields.terminated.dtype) == (np.int64, bool)
    for index, t in enumerate(sent):
        for name in t.__slots__:
            np.testing.assert_array_equal(getattr(t, name), getattr(fields, name)[index])
    with pytest.raises(InvalidInput, match='the contract has 19 columns'):
        codec.TransitionRows.read(rows[:, :-1], CONTRACT)


def test_column_names_with_commas_are_refused():
    bad = Contract(**{**CONTRACT.__dict__, 'action': (Column('a,b', ''), Column('c', ''))})
    with pytest.raises(InvalidInput, match="column 'a,b'"):
        codec.transition_columns(bad)


def test_rows_that_may_not_be_stored_are_counted_by_reason():
    columns = codec.transition_columns(CONTRACT)
    cases = [
        ('observation.q.b', math.nan, 'observation is not finite in float32'),
        ('action.a', math.inf, 'action is not finite in float32'),
        ('applied.b', math.nan, 'applied is not finite in float32'),
        ('next_observation.goal', -math.inf, 'next_observation is not finite in float32'),
        ('observation.q.b', 1e39, 'observation is not finite in float32'),
        *(('reward', value, 'reward is not finite in float32')
          for value in (math.nan, math.inf, -1e39)),
        ('stamp', math.nan, 'stamp is not finite'),
        ('log_prob', math.inf, 'log_prob is infinite'), ('log_prob', 1e39, 'log_prob is infinite'),
        ('terminated', 0.5, 'terminated is neither 0 nor 1'),
        ('truncated', math.nan, 'truncated is neither 0 nor 1'),
        ('intervention', 2.0, 'intervention is neither 0 nor 1'),
        ('step', -1.0, 'step is not an integer from 0'),
        ('step', 0.5, 'step is not an integer from 0'),
        ('episode', math.nan, 'episode is not an integer from 0'),
        ('version', -2.0, 'version is not an integer from -1'),
    ]
    rows = np.array([codec.transition_row(transition())] * (len(cases) + 2))
    expected: dict[str, int] = {}
    for row, (name, value, reason) in zip(rows, cases, strict=False):
        row[columns.index(name)] = value
        expected[reason] = expected.get(reason, 0) + 1
    rows[0, columns.index('reward')] = math.nan  # a second fault counts once, as the first
    good, refused = codec.validate_rows(rows, CONTRACT)
    assert good.tolist() == [False] * len(cases) + [True, True]
    assert refused == expected


def test_origin_is_read_back_and_checked():
    origin = codec.Origin('sim', 'sim-1', CONTRACT.hash, 10, 5)
    header = json.loads(json.dumps(origin.to_header()))
    assert codec.Origin.from_header(header, CONTRACT.hash) == origin
    with pytest.raises(InvalidInput, match='collector sim has contract'):
        codec.Origin.from_header(header, 'f' * 64)
    for name, value in (('run', ''), ('run', 'x' * 300), ('run', 5), ('first_sequence', -1),
                        ('first_sequence', 2**52), ('oldest', '1'), ('collector', None),
                        ('run', '\U0001F600'), ('run', '\x1b[2J'), ('collector', '\ud800')):
        with pytest.raises(InvalidInput, match=f'table header has {name}'):
            codec.Origin.from_header({**header, name: value})


def test_acknowledgements_return_by_run():
    message = codec.encode_table(
        codec.acknowledge_table(['a', 'b'], np.array([[1, 2], [3, 4.0]]), 'l'))
    assert codec.read_acknowledge(codec.decode_table(message)) == (
        'l', {'a': (1, 2), 'b': (3, 4)})
    for row, header, words in (
        ([1.0, math.nan], {'runs': ['a']}, 'count from 0'),
        ([1.0, -1.0], {'runs': ['a']}, 'count from 0'),
        ([1.0, 2.0], {'runs': []}, 'one per row'), ([1.0, 2.0], {}, 'one per row'),
        ([1.0, 2.0], {'runs': ['a'], 'learner': 'l' * 300}, 'of learner'),
    ):
        with pytest.raises(InvalidInput, match=words):
            codec.read_acknowledge(codec.Table(
                codec.ACKNOWLEDGE_COLUMNS, np.array([row]), {'learner': 'l', **header}))


def test_as_many_runs_as_the_learner_hears_fit_into_an_acknowledgement():
    origin = codec.Origin('c', '"' * 256, 'hash', 2**52 - 1, 2**52 - 1)
    assert codec.Origin.from_header(origin.to_header()) == origin
    inbox = Inbox()
    runs = [f'{number:04}'.ljust(256, '"') for number in range(codec.RUN_LIMIT)]
    for run in runs:
        inbox.accept('c', run, origin.first_sequence, np.zeros((64, 1)), origin.oldest)
    table = codec.acknowledge_table(
        *inbox.acknowledge_all(dict.fromkeys(runs, 2**40)), '"' * 256)
    learner, told = codec.read_acknowledge(codec.decode_table(codec.encode_table(table)))
    assert learner == '"' * 256 and told == dict.fromkeys(
        runs, (2**52 + 63, 2**52 + 63 + 2**40))


def test_episode_row_returns_equal_under_its_columns():
    assert codec.EPISODE_COLUMNS == (
        'episode', 'return', 'length', 'success', 'version', 'phase', 'stamp', 'goal_x', 'goal_y',
        'goal_z', 'final_distance')
    sent = codec.EpisodeRow(5, -1.5, 50, 1.0, 200, codec.EVALUATION, 9.5, 0.1, 0.2, 0.3, 0.01)
    assert sent.to_row().tolist() == [5, -1.5, 50, 1, 200, 1, 9.5, 0.1, 0.2, 0.3, 0.01]
    got = codec.EpisodeRow.from_row(sent.to_row())
    assert got == sent and type(got.length) is int
    assert math.isnan(codec.EpisodeRow(0, 0.0, 1, 0.0, -1, 0, 0.0).to_row()[-1])
    for index, value in ((1, math.nan), (5, 3.0), (2, 1.5)):
        row = sent.to_row()
        row[index] = value
        with pytest.raises(InvalidInput):
            codec.EpisodeRow.from_row(row)


def test_policy_returns_equal_and_any_damage_is_refused():
    data = np.random.default_rng(0).bytes(5000)
    message = codec.encode_policy(data, 'run-1', 12)
    raw = serialize_message(message)
    again = deserialize_message(raw, codec.Policy)
    assert codec.decode_policy(again) == (data, 'run-1', 12)
    for at in (0, 2500, 4999):
        again.data[at] ^= 1
        with pytest.raises(InvalidInput, match='damaged in transit'):
            codec.decode_policy(again)
        again.data[at] ^= 1
    for label in ('{}', '{"digest": 5}', 'x', ''):
        again.layout.dim[0].label = label
        with pytest.raises(InvalidInput):
            codec.decode_policy(again)
    header = json.loads(message.layout.dim[0].label)
    for name, value in (('run', 1), ('version', '1'), ('version', -1), ('version', True)):
        again.layout.dim[0].label = json.dumps({**header, name: value})
        with pytest.raises(InvalidInput):
            codec.decode_policy(again)
    again.layout.dim = []
    with pytest.raises(InvalidInput, match='has no digest'):
        codec.decode_policy(again)


def test_withdrawn_versions_are_told():
    message = codec.encode_policy(b'x', 'r', 5, {7, 30, 9})
    assert codec.decode_policy(message) == (b'x', 'r', 5)
    assert codec.read_withdrawn(message) == {7, 9, 30}
    assert codec.read_withdrawn(codec.encode_policy(b'x', 'r', 5)) == frozenset()
    many = codec.encode_policy(b'x', 'r', 5, range(10**5))
    assert codec.read_withdrawn(many) == set(range(10**5 - codec.WITHDRAWN_LIMIT, 10**5))
    for value in (3, 'x', [''], ['-1'], ['1e3'], ['9' * 5000]):
        message.layout.dim[0].label = json.dumps({'withdrawn': value})
        with pytest.raises(InvalidInput, match='withdraws'):
            codec.read_withdrawn(message)


def test_policy_size_is_capped(monkeypatch):
    monkeypatch.setattr('rl_control.ros.policy_messages.MESSAGE_LIMIT', 10)
    with pytest.raises(InvalidInput, match='at most 10 are sent'):
        codec.encode_policy(b'x' * 11, 'r', 0)
    message = codec.encode_policy(b'x' * 10, 'r', 0)
    message.data.append(1)
    with pytest.raises(InvalidInput, match='at most 10 are read'):
        codec.decode_policy(message)


def test_joints_are_read_by_name_in_any_order():
    q, dq = np.array([1.0, 2.0, 3.0]), np.array([-1.0, -2.0, -3.0])
    reader = codec.JointReader(('a', 'b', 'c'))
    for order in ([0, 1, 2], [2, 0, 1], [1, 0, 2], [0, 1, 2]):
        names = ['abc'[i] for i in order]
        message = codec.joint_state(names, 12.25, q[order], dq[order])
        stamp, got_q, got_dq = reader.read(message)
        assert (stamp, got_q.tolist(), got_dq.tolist()) == (12.25, q.tolist(), dq.tolist())
    extra = codec.joint_state(
        ['gripper', 'c', 'b', 'a'], 0.0, [math.nan, *q[::-1]], [math.nan, *dq[::-1]])
    assert reader.read(extra)[1].tolist() == q.tolist()
    extra.position[1] = 50.0
    assert got_q.tolist() == q.tolist()


@pytest.mark.parametrize(('names', 'q', 'dq', 'sentence'), [
    (['a', 'x'], [1, 2], [1, 2], r'lacks joint b and has \[a, x\]'),
    ([], [], [], 'lacks joint a, b'),
    (['a', 'b', 'a'], [1, 2, 3], [1, 2, 3], "names joint 'a' twice"),
    (['a', 'b'], [1, math.nan], [1, 2], 'joint b has position nan'),
    (['a', 'b'], [1, 2], [math.inf, 2], 'joint a has velocity inf'),
    (['a', 'b'], [1, 2], [3, math.nan], 'joint b has velocity nan, which means that it is not'),
    (['a', 'b'], [1], [1, 2], '2 names but 1 position values'),
    (['a', 'b'], [1, 2], [], '2 names but 0 velocity values; let the driver publish'),
])
def test_unusable_joint_states_are_refused_by_joint(names, q, dq, sentence):
    reader = codec.JointReader(('a', 'b'))
    reader.read(codec.joint_state(['a', 'b'], 0.0, [1, 2], [3, 4]))
    with pytest.raises(InvalidInput, match=sentence):
        reader.read(codec.joint_state(names, 0.0, q, dq))
    assert reader.read(codec.joint_state(['a', 'b'], 0.0, [1, 2], [3, 4]))[1].tolist() == [1, 2]


def test_velocity_may_be_left_out_where_it_is_not_required():
    reader = codec.JointReader(('a',), velocity_required=False)
    assert reader.read(codec.joint_state(['a'], 0.0, [1], []))[2] is None
    assert reader.read(codec.joint_state(['a'], 0.0, [1], [2]))[2].tolist() == [2]


def test_a_velocity_of_nan_is_not_measured_and_a_position_of_nan_is_a_fault():
    message = codec.joint_state(['a', 'b'], 0.5, [1, 2], [math.nan, math.nan])
    message.effort = [math.nan, math.nan]  # as joint_state_broadcaster of a position-only arm
    for names in (('a', 'b'), ('b',)):
        reader = codec.JointReader(names, velocity_required=False)
        for read, form in ((reader.read, message), (reader.read_raw, serialize_message(message))):
            stamp, q, dq = read(form)
            assert (stamp, q.tolist(), dq) == (0.5, [1, 2][-len(names):], None)
    message.position = [1.0, math.nan]
    with pytest.raises(InvalidInput, match='joint b has position nan'):
        reader.read(message)


def test_trajectory_returns_equal_by_name():
    points = np.arange(18.0).reshape(3, 3, 2)
    writer = codec.TrajectoryWriter(('a', 'b'))
    writer.write(np.array([0.05, 1.0, 2.0]), -points)  # whose memory is used again
    message = deserialize_message(
        writer.write(np.array([0.05, 1.1, 2.999999999]), points), codec.Trajectory)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
    times, got = codec.read_joint_trajectory(message, ('b', 'a'))
    np.testing.assert_allclose(times, (0.05, 1.1, 2.999999999), atol=1e-12)
    for sent, back in zip(points, got, strict=True):
        np.testing.assert_array_equal([back.q, back.dq, back.ddq], sent[:, ::-1])


@pytest.mark.parametrize('names', [
    ('abc', 'def'), ('abc', 'def', 'joint_1'), tuple(f'joint{i}é' for i in range(7))])
@pytest.mark.parametrize('count', [1, 2, 9])
def test_trajectories_are_written_as_others_write_them(names, count):
    rng = np.random.default_rng(count)
    points, times = rng.normal(size=(count, 3, len(names))), np.cumsum(rng.random(count))
    written = codec.TrajectoryWriter(names).write(times, points)
    durations = [(int(time), round(time % 1.0 * 1e9)) for time in times]
    assert deserialize_message(written, codec.Trajectory) == codec.Trajectory(
        joint_names=list(names), points=[
            JointTrajectoryPoint(positions=q, velocities=dq, accelerations=ddq,
                                 time_from_start=Duration(sec=sec, nanosec=nanosec))
            for (sec, nanosec), (q, dq, ddq) in zip(durations, points, strict=True)])
    # Byte for byte, for which rclpy leaves too much in what lies between the fields.
    assert written == cdr(TRAJECTORY, make(
        TRAJECTORY, header=head(), joint_names=list(names), points=[
            make('trajectory_msgs/msg/JointTrajectoryPoint', positions=q, velocities=dq,
                 accelerations=ddq, effort=np.zeros(0), time_from_start=make(
                     'builtin_interfaces/msg/Duration', sec=sec, nanosec=nanosec))
            for (sec, nanosec), (q, dq, ddq) in zip(durations, points, strict=True)]))


def joint_states() -> Iterator[codec.JointState]:
    """Yield joint states that differ in layout, in numbers, and in both."""
    for names in (['a', 'b'], ['a', 'b'], ['b', 'gripper', 'a'], ['b', 'a'], ['a', 'b']):
        for velocity in (True, True, False):
            for frame, effort in (('', False), ('', False), ('base', True)):
                values = np.random.default_rng(len(names)).normal(size=(3, len(names)))
                message = codec.joint_state(
                    names, 1.75e9 + 0.1, values[0], values[1] if velocity else [])
                message.header.frame_id = frame
                message.effort = values[2] if effort else []
                yield message
    yield codec.joint_state(['a', 'b'], 1.0, [1.0, math.nan], [0.0, 0.0])
    yield codec.joint_state(['a', 'b'], 2.0, [1.0, 2.0], [0.0, math.inf])
    yield codec.joint_state(['a', 'b'], 2.5, [1.0, 2.0], [math.nan, 1.0])
    yield codec.joint_state(['a', 'c'], 2.0, [1.0, 2.0], [0.0, 3.0])
    yield codec.joint_state(['a', 'b'], 2.0, [1.0, 2.0], [3.0, 4.0])


@pytest.mark.parametrize('velocity_required', [True, False])
def test_serialized_joint_states_are_read_as_messages_are(velocity_required):
    plain, quick = (codec.JointReader(('a', 'b'), velocity_required) for _ in range(2))
    learned = 0
    for message in joint_states():
        raw = serialize_message(message)
        learned += quick.matches(raw)
        assert outcome(joints, plain.read, message) == outcome(joints, quick.read_raw, raw)
    assert learned >= 10
    foreign = codec.joint_state(['gripper', 'other'], 2.0, [1.0, 2.0], [3.0, 4.0])
    assert quick.read_raw(serialize_message(foreign)) is None
    assert quick.matches(raw)


def outcome(told, read, message):
    """Return what was read in numbers that can be compared, or why it was refused."""
    try:
        return told(*read(message))
    except InvalidInput as refused:
        return str(refused)


def joints(stamp, q, dq):
    return stamp, q.tolist(), dq if dq is None else dq.tolist()


def followed(times, commands):
    return times.tolist(), [[one.q.tolist(), one.dq.tolist(), one.ddq.tolist()]
                            for one in commands]


def test_serialized_trajectories_are_read_as_messages_are():
    reader, learned = codec.TrajectoryReader(('b', 'a')), 0
    read = partial(codec.read_joint_trajectory, joint_names=('b', 'a'))
    writer = codec.TrajectoryWriter(('a', 'gripper', 'b'))
    points = np.arange(27.0).reshape(3, 3, 3)
    good = np.array([0.0, 0.5, 1.25])
    for times, values in (
            (good, points), (good, -points), (good[:1], points[:1]), (good[:1], -points[:1]),
            (good - 1.0, points), (good, points), (good * 0.0, points), (good, 1e6 * points),
            (good, math.nan * points), (good + 3.0, points)):
        raw = writer.write(times, values)
        learned += reader.matches(raw)
        message = deserialize_message(raw, codec.Trajectory)
        assert outcome(followed, read, message) == outcome(followed, reader.read, raw)
    assert learned == 6
    message.points[1].effort = [1.0, 2.0, 3.0]
    message.points[2].accelerations = []
    assert reader.read(serialize_message(message))[1][2].ddq.tolist() == []


@pytest.mark.parametrize('cut', [0, 3, 4, 11, 40, -9])
def test_bytes_that_are_no_message_are_refused(cut):
    raw = serialize_message(codec.joint_state(['a', 'b'], 1.0, [1.0, 2.0], [3.0, 4.0]))
    reader = codec.JointReader(('a', 'b'))
    reader.read_raw(raw)
    with pytest.raises(InvalidInput, match=r'joint state of \d+ bytes cannot be read'):
        reader.read_raw(raw[:cut])
    raw = codec.TrajectoryWriter(('a', 'b')).write(np.array([0.1]), np.ones((1, 3, 2)))
    with pytest.raises(InvalidInput, match=r'trajectory of \d+ bytes cannot be read'):
        codec.TrajectoryReader(('a', 'b')).read(raw[:cut])


def test_who_waits_wakes_when_a_message_comes(ros_domain):
    rclpy.init()
    node = rclpy.create_node('waiting')
    try:
        intake = DrainedSubscription(node, codec.Number, 'x', qos.OPERATOR, raw=True)
        publisher = node.create_publisher(codec.Number, 'x', qos.OPERATOR)
        began = time.monotonic()
        intake.wait(0.2)
        assert time.monotonic() - began >= 0.15 and intake.take() == []
        publisher.publish(codec.number(1.5))
        intake.wait(60.0)
        ((raw, _),) = intake.take()
        assert deserialize_message(raw, codec.Number).data == 1.5
    finally:
        node.destroy_node()
        rclpy.shutdown()


def test_a_trajectory_may_lack_velocities_and_accelerations():
    message = deserialize_message(codec.TrajectoryWriter(('a', 'b')).write(
        np.array([0.1]), np.ones((1, 3, 2))), codec.Trajectory)
    message.points[0].accelerations = []
    (command,) = codec.read_joint_trajectory(message, ('a', 'b'))[1]
    assert command.dq.tolist() == [1.0, 1.0] and command.ddq.tolist() == []
    message.points[0].velocities = []
    assert codec.read_joint_trajectory(message, ('a', 'b'))[1][0].dq.tolist() == []
    message.points[0].positions = []
    with pytest.raises(InvalidInput, match='positions'):
        codec.read_joint_trajectory(message, ('a', 'b'))


def test_unusable_trajectories_and_commands_are_refused():
    for times, change in (
        ((0.1, 0.1), lambda points: None), ((-0.1,), lambda points: None),
        ((0.1,), lambda points: points.clear()),
        ((0.1,), lambda points: points[0].positions.pop()),
        ((0.1,), lambda points: points[0].velocities.pop()),
        ((0.1,), lambda points: setattr(points[0], 'accelerations', [0.0, math.nan])),
        ((0.1,), lambda points: setattr(points[0], 'positions', [0.0, -1e300])),
    ):
        points = np.zeros((len(times), 3, 2))
        written = codec.TrajectoryWriter(('a', 'b')).write(np.array(times), points)
        message = deserialize_message(written, codec.Trajectory)
        change(message.points)
        with pytest.raises(InvalidInput):
            codec.read_joint_trajectory(message, ('a', 'b'))
    with pytest.raises(InvalidInput, match='lacks joint c'):
        codec.TrajectoryReader(('a', 'c')).read(written)
    assert codec.read_forward_command(codec.forward_command([1, 2]), 2).tolist() == [1, 2]
    for values in ([1.0], [1.0, math.nan], [1.0, -1e300]):
        with pytest.raises(InvalidInput, match=r'give 2 numbers up to 1e\+06'):
            codec.read_forward_command(codec.forward_command(values), 2)


def test_goal_number_flag_and_diagnostics():
    message = codec.goal_message(np.array([1, 2, 3, 0.0, 0.6, 0.0, 0.8]), 'base', 1.5)
    assert codec.read_goal(message, ('base', 'world')).tolist() == [1, 2, 3, 0.0, 0.6, 0.0, 0.8]
    assert codec.read_stamp(message.header.stamp) == 1.5 and message.pose.orientation.w == 0.8
    with pytest.raises(
        InvalidInput, match=r"in frame 'base'; give it in frame 'link_0' \(or world\)"
    ):
        codec.read_goal(message, ('link_0', 'world'))
    message.pose.orientation.w = 0.0
    with pytest.raises(
        InvalidInput, match=r'of length 0\.6; give a unit quaternion, 0 0 0 1 for none'
    ):
        codec.read_goal(message, ('base',))
    message.pose.position.z = math.nan
    with pytest.raises(InvalidInput, match='give finite numbers'):
        codec.read_goal(message, ('base',))
    assert codec.read_number(codec.number(2), 'reward') == 2.0
    with pytest.raises(InvalidInput, match='reward is nan'):
        codec.read_number(codec.number(math.nan), 'reward')
    assert codec.read_flag(codec.flag(np.bool_(True))) is True
    status = codec.diagnostics('learner', codec.WARN, 'slow', {'rate': 2.5}).status[0]
    assert (status.level, status.values[0].key, status.values[0].value) == (b'\x01', 'rate', '2.5')
    assert codec.type_name(codec.Goal) == 'geometry_msgs/msg/PoseStamped'


def spin_until(node, holds) -> None:
    end = time.monotonic() + 20.0
    while not holds():
        assert time.monotonic() < end, 'nothing came'
        rclpy.spin_once(node, timeout_sec=0.05)


def test_raw_tables_and_latched_values_arrive_over_topics(ros):
    node = rclpy.create_node('both_ends')
    try:
        estop = node.create_publisher(codec.Bool, 'estop', qos.LATCHED)
        estop.publish(codec.flag(True))
        raws, late, live = [], [], []
        node.create_subscription(
            codec.Transitions, 'transitions', raws.append, qos.TRANSITIONS, raw=True)
        publisher = node.create_publisher(codec.Transitions, 'transitions', qos.TRANSITIONS)
        # A latched estop is heard by whoever comes late, through the second subscription.
        node.create_subscription(codec.Bool, 'estop', late.append, qos.ESTOP_LATCHED)
        node.create_subscription(codec.Bool, 'estop', live.append, qos.ESTOP)
        spin_until(node, lambda: publisher.get_subscription_count() and late)
        sent = [table(n, seed=n) for n in (0, 1, 64)]
        for each in sent:
            publisher.publish(codec.encode_table(each))
        spin_until(node, lambda: len(raws) == 3)
        for raw, each in zip(raws, sent, strict=True):
            np.testing.assert_array_equal(codec.decode_table_cdr(raw, NAMES).rows, each.rows)
        assert [message.data for message in late] == [True]
        estop.publish(codec.flag(False))
        spin_until(node, lambda: len(late) == 2 and len(live) == 1)
    finally:
        node.destroy_node()
