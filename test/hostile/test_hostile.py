# SPDX-License-Identifier: Apache-2.0
"""Whatever is published on the topics of a node, the node lives on."""

from collections.abc import Callable, Iterator
from functools import cache
import hashlib
import json
import math

import numpy as np
import onnx
import pytest
from rclpy.node import Node
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.subscription import Subscription
from std_msgs.msg import MultiArrayDimension
from training import Nodes, contract, exported, parameters, prepare
from trajectory_msgs.msg import JointTrajectoryPoint

from rl_control.bringup.graphs import graph
from rl_control.nodes.broadcaster import Broadcaster
from rl_control.nodes.collector import CollectorNode
from rl_control.nodes.evaluator import Evaluator
from rl_control.nodes.learner import Learner
from rl_control.nodes.monitor import Monitor
from rl_control.nodes.policy import Policy
from rl_control.nodes.recorder import Recorder
from rl_control.nodes.scene import Scene
from rl_control.nodes.simulator import Simulator
from rl_control.nodes.watcher import Watcher
from rl_control.ros import codec, qos

NAMES = ['\ud800', 'a\0b', '', 'a' * 300, '\U0001f600' * 250, '\x1b[2J', '[/b]']
NUMBERS = [7.0, -0.5, 2.0**53, 1e308, -1e308, math.inf, -math.inf, math.nan]
INTEGERS = [-1, 2**52, 2**53 - 1, 2**63 - 1, 10**400]


def table(columns: tuple[str, ...], rows: np.ndarray, header: dict) -> codec.Transitions:
    """Return a table with a header that our own encoder would not write."""
    message = codec.encode_table(codec.Table(columns, rows))
    message.layout.dim[0].label = json.dumps(header)
    return message


def headers() -> Iterator[dict]:
    good = {'collector': 'c', 'run': 'c-1', 'contract_hash': contract().hash,
            'first_sequence': 0, 'oldest': 0, 'learner': 'l', 'runs': ['c-1']}
    yield good
    for name in good:
        for value in (*NAMES, *INTEGERS, [], ['\ud800'], None, {}):
            yield {**good, name: value}


def tables() -> Iterator[codec.Transitions]:
    yield codec.Transitions()
    yield codec.ForwardCommand(data=NUMBERS[:7])
    kinds = (codec.ACKNOWLEDGE_COLUMNS, codec.EPISODE_COLUMNS,
             codec.transition_columns(contract()))
    for columns in kinds:
        for number, header in enumerate(headers()):
            yield table(columns, np.full((1, len(columns)), float(number % 3)), header)
        good = next(headers())
        yield table(columns, np.zeros((0, len(columns))), good)
        for value in NUMBERS:
            for index in range(len(columns)):
                rows = np.zeros((1, len(columns)))
                rows[0, index] = value
                yield table(columns, rows, good)


def changed(**metadata: str) -> bytes:
    model = onnx.ModelProto.FromString(exported(3))
    for entry in model.metadata_props:
        entry.value = metadata.get(entry.key, entry.value)
    return model.SerializeToString()


def policies() -> Iterator[codec.Policy]:
    yield codec.Policy()
    text = contract().to_json()
    odd = [changed(contract=text.replace('-2.0', str(-10**400))),
           changed(contract=text.replace('theta', '\\ud800')), changed(version='9' * 5000),
           changed(contract='[' * 10_000), b'', b'\x08']
    for data in (exported(3), *odd):
        digest = hashlib.sha256(data).hexdigest()
        good = {'digest': digest, 'run': 'run-1', 'version': 3}
        changes = [{}] if data in odd else [
            {}, *({'digest': name} for name in NAMES), *({'run': name} for name in NAMES),
            *({'version': value} for value in INTEGERS), {'withdrawn': NAMES}, {'withdrawn': 3}]
        for change in changes:
            message = codec.encode_policy(data, 'run-1', 3)
            message.layout.dim = [MultiArrayDimension(label=json.dumps({**good, **change}))]
            yield message


def statuses() -> Iterator[codec.Diagnostics]:
    for level in (codec.OK, b'\x09'):
        for kind in ('collecting', 'driving', '[/b]'):
            for value in ('abc', 'nan', '1e999', '9' * 5000, ''):
                for values in ({}, dict.fromkeys(('version', 'policy_age', 'mode'), value)):
                    yield codec.diagnostics(f'/{value}: {kind}', level, value, values)


def trajectories() -> Iterator[codec.Trajectory]:
    names = [f'lbr_iiwa_joint_{k}' for k in range(1, 8)]
    yield codec.Trajectory()
    for joints in (names, ['a'], [*names, names[0]]):
        for value in NUMBERS:
            yield codec.Trajectory(joint_names=joints, points=[JointTrajectoryPoint(
                positions=[value] * 7, velocities=[0.0] * 7)])


def joint_states() -> Iterator[codec.JointState]:
    yield codec.JointState()
    for names in ([f'lbr_iiwa_joint_{k}' for k in range(1, 8)], ['a'], ['a', 'a']):
        for value in NUMBERS:
            yield codec.JointState(name=names, position=[value] * 7, velocity=[value] * 7)


def goals() -> Iterator[codec.Goal]:
    for value in NUMBERS:
        for index in range(7):
            pose = [0.5, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]
            pose[index] = value
            yield codec.goal_message(np.array(pose), 'world')


MESSAGES: dict[type, Callable[[], Iterator]] = {
    codec.Transitions: tables, codec.Policy: policies, codec.Diagnostics: statuses,
    codec.Trajectory: trajectories, codec.JointState: joint_states, codec.Goal: goals,
    codec.Number: lambda: (codec.Number(data=value) for value in NUMBERS),
    codec.Bool: lambda: (codec.Bool(data=value) for value in (True, False)),
}


@cache
def serialized(kind: type) -> list[bytes]:
    return [serialize_message(message) for message in MESSAGES[kind]()]


def hand(subscription: Subscription, raw: bytes) -> None:
    """Give a message to a callback as an executor would that took it."""
    subscription.callback(
        raw if subscription.raw else deserialize_message(raw, subscription.msg_type))


@pytest.fixture
def nodes(ros_domain, tmp_path):
    made = Nodes(parameters(
        prepare(tmp_path), monitor__out=str(tmp_path / 'monitor'), monitor__time_limit=1e6,
        recorder__out=str(tmp_path / 'bag'), policy__policy="''"),
        graph('deploy').processes({'policy': 'none'})[1].parameter_files)
    yield made
    made.end()


def test_any_message_is_taken_or_refused(nodes):
    (listener,) = nodes.executors
    for name in ('x', 'transitions'):
        listener.create_publisher(codec.Number, f'/metrics/{name}', qos.METRICS)
    made: list[Node] = [nodes.add(kind()) for kind in (
        Learner, CollectorNode, Broadcaster, Monitor, Watcher, Recorder, Policy, Simulator, Scene,
        Evaluator)]
    heard, numbers = set(), {('monitor', '/metrics/transitions'), ('watcher', '/metrics/x')}

    def found() -> bool:
        for node in made:
            if isinstance(node, Monitor | Watcher):
                node.metrics.discover()
        return numbers <= {(node.get_name(), subscription.topic_name)
                           for node in made for subscription in node.subscriptions}

    nodes.until(found)
    for node in made:
        # The metrics of a monitor before its episodes, with which it notes them.
        for subscription in sorted(node.subscriptions, key=lambda one: one.topic_name)[::-1]:
            if subscription.msg_type not in MESSAGES:
                continue
            heard.add((node.get_name(), subscription.topic_name))
            for raw in serialized(subscription.msg_type):
                try:
                    hand(subscription, raw)
                except Exception as error:
                    message = str(deserialize_message(raw, subscription.msg_type))[:400]
                    raise AssertionError(f'{node.get_name()} dies on {subscription.topic_name} '
                                         f'of {message}') from error
        for timer in node.timers:
            timer.callback()
        node.done()
    assert len(heard) >= 20 and numbers < heard, heard


def test_runs_beyond_what_an_acknowledgement_holds_are_refused(nodes, monkeypatch):
    monkeypatch.setattr(codec, 'RUN_LIMIT', 2)
    learner = nodes.add(Learner())
    columns, good = codec.transition_columns(contract()), next(headers())
    for run in ('a', 'b', 'c', 'a'):
        learner._on_transitions([serialize_message(
            table(columns, np.zeros((0, len(columns))), {**good, 'run': run}))])
    learner._flush()
    assert learner._acknowledged[0] == ['a', 'b'] and learner._rejections.total == 1
    assert 'run c exceeds the limit of 2 runs' in ''.join(learner._rejections.counts)
    broadcaster, row = nodes.add(Broadcaster()), np.zeros((1, len(codec.EPISODE_COLUMNS)))
    row[0, codec.EPISODE_COLUMNS.index('phase')] = codec.EVALUATION
    for run in ('a', 'b', 'c'):
        broadcaster._on_episodes(table(codec.EPISODE_COLUMNS, row, {**good, 'run': run}))
    assert list(broadcaster._evaluating) == ['b', 'c']
