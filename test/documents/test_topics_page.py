# SPDX-License-Identifier: Apache-2.0
"""The page of topics says what the nodes open: types, qualities of service, who and whom."""

from pathlib import Path
import re

import pytest
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from rl_control.ros import codec, markers, qos
from rl_control.transport.transition_rows import STEP_COLUMNS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'topics.md').read_text(encoding='utf-8')
ROWS = {row[0].strip('`'): row[1:] for row in (
    [cell.strip() for cell in line.strip('|').split('|')] for line in PAGE.splitlines()
    if line.startswith('| `')) if len(row) == 5}
OPENED = re.compile(
    r"(create_publisher|create_subscription|DrainedSubscription|subscribe_drained)\(\s*(?:[\w.]+,\s*)?"
    r"(codec|markers)\.(\w+),\s*f?'([^']+)'[^)]*?qos\.(\w+)")
# What several nodes have in common lies in a file of its own.
SHARED = {'live_arm_interface': ['collector'], 'transition_publisher': ['collector'],
          'goal_topic': ['policy', 'scene'],
          'control_diagnostics': ['policy', 'collector'],
          'metrics': ['learner', 'monitor', 'offline'], 'transition_player': ['bag play'],
          'arm_topics': ['policy', 'collector']}
# Opened in a loop, or by a name that is a variable.
OTHERS = [
    ('teleop/command', codec.ForwardCommand, [qos.OPERATOR]),
    ('reward', codec.Number, [qos.OPERATOR]),
    ('success', codec.Bool, [qos.OPERATOR]),
    ('joint_trajectory', codec.Trajectory, [qos.COMMAND]),
    ('policy/joint_trajectory', codec.Trajectory, [qos.COMMAND]),
    *((name, codec.Bool, [qos.ESTOP, qos.ESTOP_LATCHED]) for name in ('estop', 'robot_ready'))]


def opened() -> list[tuple[str, bool, type, str, QoSProfile]]:
    """Return (file, whether published, type, topic, profile) of what the sources open."""
    found = []
    for room in ('nodes', 'ros'):
        for path in sorted((ROOT / 'rl_control' / room).glob('*.py')):
            for how, module, kind, topic, profile in OPENED.findall(path.read_text()):
                found.append((
                    path.stem, how == 'create_publisher',
                    getattr({'codec': codec, 'markers': markers}[module], kind),
                    re.sub(r'(?<=metrics/).*', 'NAME', topic), getattr(qos, profile)))
    return found


def type_of(kind: type) -> str:
    """Return a type as the page has it."""
    return codec.type_name(kind).replace('/msg/', '/')


def words(profile: QoSProfile) -> str:
    """Return a quality of service as the page has it."""
    said = ['reliable' if profile.reliability == ReliabilityPolicy.RELIABLE else 'best effort']
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        said.append('latched')
    said.append(f'depth {profile.depth}')
    if profile.liveliness_lease_duration not in (Duration(), Duration(nanoseconds=qos.UNLIMITED)):
        said.append(f'lease {profile.liveliness_lease_duration.nanoseconds / 1e9:g} s')
    return ', '.join(said)


def test_each_topic_of_the_nodes_has_its_row() -> None:
    found = opened()
    assert len(found) > 30
    for file, published, kind, topic, profile in found:
        row = ROWS[topic]
        assert row[0] == f'`{type_of(kind)}`', topic
        if published or topic == 'joint_states':
            assert row[3] == words(profile), topic
        if topic != '/diagnostics' or not published:
            for node in SHARED.get(file, [file]):
                assert f'`{node}`' in row[1 if published else 2], (topic, node)
    for topic, kind, profiles in OTHERS:
        assert ROWS[topic][0] == f'`{type_of(kind)}`', topic
        assert ROWS[topic][3] == '; and once more: '.join(map(words, profiles)), topic
    assert set(ROWS) == {row[3] for row in found} | {name for name, *_ in OTHERS}


def test_who_says_nothing_of_its_health_is_named() -> None:
    speaking = {node for file, published, _, topic, _ in opened()
                if published and topic == '/diagnostics' for node in SHARED.get(file, [file])}
    silent = set(re.findall(r'`(\w+)`', ROWS['/diagnostics'][1]))
    nodes = {path.stem for path in (ROOT / 'rl_control' / 'nodes').glob('*.py')
             if 'def main(' in path.read_text(encoding='utf-8')}
    assert silent == nodes - speaking


@pytest.mark.parametrize(('topic', 'columns'), [
    ('transitions', STEP_COLUMNS), ('transitions/ack', codec.ACKNOWLEDGE_COLUMNS),
    ('episodes', codec.EPISODE_COLUMNS)])
def test_columns_are_those_of_the_tables(topic: str, columns: tuple[str, ...]) -> None:
    (row,) = re.findall(rf'^\| `{topic}` \| (`\w+`,.*?) \|', PAGE, re.M)
    assert tuple(re.findall(r'`(\w+)`', row)) == columns


def test_leases() -> None:
    assert f'alive every {qos.LEASE_OFFERED.nanoseconds / 1e9:g} s' in PAGE
    assert f'dead after {qos.LEASE_REQUESTED.nanoseconds / 1e9:g} s' in PAGE
