# SPDX-License-Identifier: Apache-2.0
"""Whatever a message or a file holds, its decoder returns a value or raises InvalidInput."""

import array
from collections.abc import Iterator
import contextlib
import dataclasses
import json
import math
from pathlib import Path

from builtin_interfaces.msg import Duration, Time
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from std_msgs.msg import MultiArrayDimension
from training import contract
from trajectory_msgs.msg import JointTrajectoryPoint

from rl_control.bags.bag_reader import Bag
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.config.files import read_parameter_file
from rl_control.learning import checkpoint
from rl_control.policies.onnx_validation import checked_model
from rl_control.robots.kinematics import Kinematics
from rl_control.ros import codec
from rl_control.ros.journal_reader import read_history
from rl_control.transport.inbox import Inbox
from rl_control.transport.spill_file import read_account
from rl_control.transport.transition_rows import validate_rows

few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
numbers = st.floats(width=64) | st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -0.0])
texts = st.text(max_size=8) | st.sampled_from(['a', 'b', 'c', 'run-1', '{}', '[]', 'null'])
odd_texts = texts | st.sampled_from(['\ud800', 'a\0b', 'a' * 300, '\U0001f600' * 250, '\x1b[2J'])
odd_integers = st.integers() | st.sampled_from([
    2**31, 2**52 - 1, 2**52, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 10**400, -10**400])
values = st.recursive(
    st.none() | st.booleans() | odd_integers | numbers | odd_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6)
headers = st.dictionaries(st.sampled_from([
    'collector', 'run', 'contract', 'contract_hash', 'first_sequence', 'oldest', 'learner',
    'runs', 'columns', 'version', 'digest', 'withdrawn', 'x']), values, max_size=8)
# Such as get further: of the right types, with odd values.
origins = st.fixed_dictionaries({
    'collector': odd_texts, 'run': odd_texts, 'contract_hash': odd_texts,
    'first_sequence': odd_integers, 'oldest': odd_integers})
acknowledgements = st.fixed_dictionaries({
    'learner': odd_texts, 'runs': st.lists(odd_texts, max_size=4)})
policies = st.fixed_dictionaries({
    'run': odd_texts, 'version': odd_integers, 'digest': odd_texts,
    'withdrawn': st.lists(odd_texts | st.just('7'), max_size=3)})
labels = (headers | origins | acknowledgements | policies).map(json.dumps) | texts
dimensions = st.lists(st.builds(
    lambda label, size, stride: MultiArrayDimension(label=label, size=size, stride=stride),
    labels, st.integers(0, 2**32 - 1) | st.integers(0, 20), st.integers(0, 2**32 - 1)
    | st.integers(0, 20)), max_size=4)


@contextlib.contextmanager
def taken_or_refused() -> Iterator[None]:
    """Let InvalidInput pass, whose sentence a log must be able to say."""
    try:
        yield
    except InvalidInput as refused:
        str(refused).encode()


def tables(message: codec.Transitions) -> None:
    with taken_or_refused():
        table = codec.decode_table(message)
        with taken_or_refused():
            codec.Origin.from_header(table.header, 'hash')
        with taken_or_refused():
            learner, _ = codec.read_acknowledge(table)
            serialize_message(codec.diagnostics('x', codec.OK, learner, {'learner': learner}))
        with taken_or_refused():
            origin = codec.Origin.from_header(table.header)
            inbox = Inbox()
            inbox.accept(
                origin.collector, origin.run, origin.first_sequence, table.rows, origin.oldest)
            # What is taken can be acknowledged, to all others in the same table too.
            said = codec.decode_table(codec.encode_table(
                codec.acknowledge_table(*inbox.acknowledge_all(2**40), 'learner')))
            assert list(codec.read_acknowledge(said)[1]) == [origin.run]
        if len(table.columns) == len(codec.EPISODE_COLUMNS):
            for row in table.rows:
                with taken_or_refused():
                    codec.EpisodeRow.from_row(row)


@few
@given(dimensions, st.lists(numbers, max_size=24), st.integers(0, 2**32 - 1) | st.just(0))
def test_tables(dim, data, offset):
    message = codec.Transitions()
    message.layout.dim, message.layout.data_offset = dim, offset
    message.data = array.array('d', data)
    tables(message)


@few
@given(origins | acknowledgements, st.integers(0, 3), st.data())
def test_tables_of_the_right_shape(header, n, data):
    m = data.draw(st.sampled_from([2, len(codec.EPISODE_COLUMNS)]))
    rows = data.draw(st.lists(numbers, min_size=n * m, max_size=n * m))
    columns = codec.ACKNOWLEDGE_COLUMNS if m == 2 else codec.EPISODE_COLUMNS
    message = codec.Transitions()
    message.layout.dim = [
        MultiArrayDimension(label=json.dumps(header), size=n, stride=n * m),
        MultiArrayDimension(label=','.join(columns), size=m, stride=m)]
    message.data = array.array('d', rows)
    tables(message)


@few
@given(st.sampled_from([field.name for field in dataclasses.fields(Contract)]), values)
def test_contracts(name, value):
    with taken_or_refused():
        changed = Contract.from_json(json.dumps({**json.loads(contract().to_json()), name: value}))
        with taken_or_refused():
            contract().require_equal(changed, 'this', 'that')
            codec.transition_columns(changed)


@few
@given(st.lists(numbers, min_size=len(codec.transition_columns(contract())),
                max_size=len(codec.transition_columns(contract()))))
def test_rows(row):
    import numpy as np

    good, reasons = validate_rows(np.array([row]), contract())
    assert good.sum() + sum(reasons.values()) == 1


def policy_dimensions(header: dict) -> list[MultiArrayDimension]:
    return [MultiArrayDimension(label=json.dumps(header))]


@few
@given(dimensions | st.builds(policy_dimensions, policies), st.binary(max_size=100))
@example(policy_dimensions({'digest': '\ud800', 'run': 'r', 'version': 1}), b'')
def test_policies(dim, data):
    message = codec.Policy()
    message.layout.dim = dim
    message.data = array.array('B', data)
    with taken_or_refused():
        codec.decode_policy(message)
    if len(dim) == 1:
        with taken_or_refused():
            codec.read_withdrawn(message)


@few
@given(st.lists(texts, max_size=4), *[st.lists(numbers, max_size=4)] * 3,
       st.integers(-2**31, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_joint_states(names, positions, velocities, efforts, seconds, nanoseconds):
    message = codec.JointState(
        name=names, position=positions, velocity=velocities, effort=efforts)
    message.header.stamp = Time(sec=seconds, nanosec=nanoseconds)
    reader = codec.JointReader(('a', 'b'))
    reader.read_raw(serialize_message(codec.joint_state(['a', 'b'], 1.0, [1, 2], [3, 4])))
    for _ in range(2):  # of a layout that is known, if it was taken before
        with taken_or_refused():
            reader.read_raw(serialize_message(message))


@few
@given(st.lists(texts, max_size=3), st.lists(st.tuples(
    *[st.lists(numbers, max_size=3)] * 3, st.integers(-2**31, 2**31 - 1)), max_size=3))
def test_trajectories(names, points):
    message = codec.JointTrajectory(joint_names=names, points=[
        JointTrajectoryPoint(positions=q, velocities=dq, accelerations=ddq,
                             time_from_start=Duration(sec=seconds))
        for q, dq, ddq, seconds in points])
    reader = codec.TrajectoryReader(('a', 'b'))
    for _ in range(2):
        with taken_or_refused():
            reader.read(serialize_message(message))


@few
@given(st.lists(numbers, min_size=7, max_size=7), texts)
def test_goals_commands_and_numbers(numbers_, frame):
    goal = codec.Goal()
    goal.header.frame_id = frame
    position, orientation = goal.pose.position, goal.pose.orientation
    position.x, position.y, position.z = numbers_[:3]
    orientation.x, orientation.y, orientation.z, orientation.w = numbers_[3:]
    with taken_or_refused():
        codec.read_goal(goal, ('world',))
    with taken_or_refused():
        codec.read_number(codec.Number(data=numbers_[0]), 'it')
    with taken_or_refused():
        codec.read_forward_command(codec.ForwardCommand(data=numbers_), 7)


files = st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode()) | st.text(
    '<>/!robot linkjoint="\n:-[]{}&*|?0123456789.', max_size=200).map(str.encode)


@few
@given(files)
def test_files(tmp_path_factory, data):
    out = tmp_path_factory.mktemp('fuzz')

    def file(name: str) -> Path:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    bag = file('journal/a_0.mcap').parent
    readers = (
        lambda: checked_model(data, 'it'),
        lambda: read_parameter_file(file('a.yaml'), 'a'),
        lambda: Kinematics(file('a.urdf'), ('a',), 'b'),
        lambda: read_account(file('c-1.rows')),
        lambda: [checkpoint.load(file(f'5/{name}').parent) for name in (
            checkpoint.TENSORS, checkpoint.STATE, checkpoint.MANIFEST)],
        lambda: list(read_history(bag, '/transitions', contract(), Inbox(), lambda *_: None)),
        lambda: list(Bag(file('b_0.mcap')).messages()),
        lambda: list(Bag(file('b_0.db3')).messages()),
        lambda: list(Bag(file('bag/metadata.yaml').parent).messages()),
    )
    for read in readers:
        with taken_or_refused():
            read()
