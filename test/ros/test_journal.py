# SPDX-License-Identifier: Apache-2.0
import errno
from functools import cache
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
import yaml

from rl_control.common import poses
from rl_control.common.errors import InvalidInput, Unavailable
from rl_control.ros import codec, journal
from rl_control.ros.journal import Journal, read_journal
from rl_control.ros.message_definitions import message_definition, type_hash

BOOL, TABLE = 'std_msgs/msg/Bool', 'std_msgs/msg/Float64MultiArray'
START = 1_700_000_000_000_000_000


@cache  # rclpy leaves what it likes behind the end, another time
def table_bytes(number: int) -> bytes:
    table = codec.Table(('x', 'y'), np.full((64, 2), number, dtype=float), {'number': number})
    return bytes(serialize_message(codec.encode_table(table)))


def write(journal_: Journal, numbers: range) -> None:
    for number in numbers:
        journal_.write('/transitions', TABLE, table_bytes(number), START + number * 1_000_000)


def written(directory: Path, **options) -> list[int]:
    return [
        codec.decode_table_cdr(data).header['number']
        for _, _, _, data in read_journal(directory, **options)
    ]


def read_by_rosbags(directory: Path) -> list[tuple[str, int, object]]:
    with AnyReader([directory]) as reader:
        assert reader.message_count == sum(c.msgcount for c in reader.connections)
        return [
            (connection.topic, stamp, reader.deserialize(data, connection.msgtype))
            for connection, stamp, data in reader.messages()
        ]


def test_closed_journal_is_a_bag_for_rosbags(tmp_path):
    kept = Journal(tmp_path / 'bag')
    goal = codec.goal_message(poses.from_position((1.0, 2.0, 3.0)), 'base', 4.5)
    kept.write('/goal', 'geometry_msgs/msg/PoseStamped', serialize_message(goal), START)
    write(kept, range(1, 6))
    kept.close()
    kept.close()
    (topic, stamp, pose), *tables = read_by_rosbags(tmp_path / 'bag')
    assert (topic, stamp, pose.header.frame_id) == ('/goal', START, 'base')
    assert (pose.pose.position.x, pose.pose.position.z) == (1.0, 3.0)
    assert [table.data[0] for _, _, table in tables] == [1, 2, 3, 4, 5]
    assert tables[0][2].layout.dim[0].label == '{"number":1}'
    assert [item[:3] for item in read_journal(tmp_path / 'bag')] == [
        ('/goal', 'geometry_msgs/msg/PoseStamped', START),
        *(('/transitions', TABLE, START + n * 1_000_000) for n in range(1, 6)),
    ]


def test_open_journal_is_a_bag_after_every_flush(tmp_path):
    kept = Journal(tmp_path)
    assert written(tmp_path) == [] and read_by_rosbags(tmp_path) == []
    for end in (3, 4, 9):
        write(kept, range(kept.message_count, end))
        kept.flush(sync=end == 4)
        assert written(tmp_path) == list(range(end))
        assert len(read_by_rosbags(tmp_path)) == end
    kept.close()


def test_metadata_counts_what_is_there(tmp_path):
    for numbers in (range(3), range(3, 10)):
        kept = Journal(tmp_path)
        write(kept, numbers)
        kept.close()
    told = yaml.safe_load((tmp_path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    assert told['message_count'] == 10 and told['storage_identifier'] == 'mcap'
    assert told['starting_time']['nanoseconds_since_epoch'] == START
    assert told['duration']['nanoseconds'] == 9_000_000
    assert told['relative_file_paths'] == ['journal_0.mcap', 'journal_1.mcap']
    assert [file['message_count'] for file in told['files']] == [3, 7]
    (topic,) = told['topics_with_message_count']
    assert topic['topic_metadata']['name'] == '/transitions'
    assert topic['topic_metadata']['type'] == TABLE
    assert not (tmp_path / '.metadata.yaml').exists()


def test_next_file_leaves_former_ones_as_they_are(tmp_path):
    for run in range(12):
        kept = Journal(tmp_path)
        write(kept, range(run, run + 1))
        kept.close()
        if run == 0:
            before = (tmp_path / 'journal_0.mcap').read_bytes()
    assert written(tmp_path) == list(range(12))
    assert [table.data[0] for _, _, table in read_by_rosbags(tmp_path)] == list(range(12))
    assert (tmp_path / 'journal_0.mcap').read_bytes() == before


CHILD = '''
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_journal import Journal, write
kept = Journal(Path(sys.argv[2]))
for number in range(10**9):
    write(kept, range(number, number + 1))
    if number % 3 == 2:
        kept.flush()
        print(number, flush=True)
'''


@pytest.mark.parametrize('delay', [0.0, 0.02, 0.05])
def test_sigkill_loses_nothing_that_was_flushed(tmp_path, delay):
    bag = tmp_path / 'bag'
    child = subprocess.Popen(
        [sys.executable, '-c', CHILD, str(Path(__file__).parent), str(bag)],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        child.stdout.readline()
        time.sleep(delay)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        flushed = [2, *map(int, child.stdout.read().split('\n')[:-1])][-1]
        child.wait()
        child.stdout.close()
    numbers = written(bag)
    assert numbers == list(range(len(numbers))) and len(numbers) >= flushed + 1
    # It opens without repair, before the next run begins and after.
    assert len(read_by_rosbags(bag)) == len(numbers)
    kept = Journal(bag)
    write(kept, range(len(numbers), len(numbers) + 1))
    kept.close()
    assert written(bag) == list(range(len(numbers) + 1))
    assert len(read_by_rosbags(bag)) == len(numbers) + 1


def test_torn_file_is_read_up_to_the_tear_and_mended_by_the_next_run(tmp_path):
    kept = Journal(tmp_path / 'whole')
    write(kept, range(4))
    kept.close()
    whole = kept.path.read_bytes()
    after_two = len(whole) - whole[::-1].index(table_bytes(2)[::-1]) - len(table_bytes(2)) - 31
    cuts = [0, 1, 8, 9, 30, 2000, *np.random.default_rng(0).integers(0, len(whole), 60)]
    # A power loss may leave a file at its new length but without its contents.
    torn = [whole[:cut] for cut in cuts] + [whole[:after_two] + bytes(500)]
    for content in torn:
        bag = tmp_path / 'bag'
        bag.mkdir()
        (bag / 'journal_0.mcap').write_bytes(content)
        numbers = written(bag)
        assert numbers == list(range(len(numbers))), len(content)
        kept = Journal(bag)
        mended = (bag / 'journal_0.mcap').read_bytes()
        write(kept, range(90, 91))
        kept.close()
        assert written(bag) == [*numbers, 90]
        assert len(read_by_rosbags(bag)) == len(numbers) + 1
        shutil.rmtree(bag)
    assert mended == whole[:after_two] + journal.END_MARK


@pytest.mark.parametrize(('name', 'spoil'), [
    ('journal_0', lambda whole: whole[:1800] + b'\xff' * 600 + whole[2400:]),
    ('journal_0', lambda whole: whole[:1800] + bytes(600) + whole[2400:]),
    ('journal_0', lambda whole: whole[:1800] + b'\xff' * 600 + whole[2400:-1]),
    ('journal_0', lambda whole: whole[:1800] + bytes(600) + whole[2400:-60]),
    ('journal_0', lambda whole: b'not an mcap' * 1000),
    ('backup', lambda whole: b'not an mcap' * 1000),
    ('other_0', lambda whole: whole[:-1500]),
])
def test_what_may_have_records_behind_it_is_left(tmp_path, name, spoil):
    kept = Journal(tmp_path / 'whole')
    write(kept, range(4))
    kept.close()
    content = spoil(kept.path.read_bytes())
    (tmp_path / f'{name}.mcap').write_bytes(content)
    numbers = written(tmp_path)
    kept = Journal(tmp_path)
    write(kept, range(90, 91))
    kept.close()
    assert (tmp_path / f'{name}.mcap').read_bytes() == content
    assert written(tmp_path) == [*numbers, 90]


def test_tear_is_told(tmp_path):
    kept = Journal(tmp_path)
    write(kept, range(4))
    kept.close()
    os.truncate(kept.path, kept.path.stat().st_size // 2)
    told = []
    assert written(tmp_path, on_cut=lambda path, reason: told.append((path, reason))) == [0, 1]
    assert told[0][0] == kept.path and 'EndOfFile' in told[0][1]


@pytest.mark.parametrize('room', [0, 10, 700])
def test_full_disk_keeps_the_file_whole_and_forgets_nothing(tmp_path, monkeypatch, room):
    kept = Journal(tmp_path)
    write(kept, range(2))
    kept.flush()
    real, left = os.pwrite, [room]

    def full(descriptor, data, offset):
        if len(data) <= len(journal.END_MARK):  # what was there before fits again
            return real(descriptor, data, offset)
        if left[0] == 0:
            raise OSError(errno.ENOSPC, 'No space left on device')
        taken = real(descriptor, data[:left[0]], offset)
        left[0] -= taken
        return taken

    with monkeypatch.context() as patch:
        patch.setattr(os, 'pwrite', full)
        for number in (2, 3):
            write(kept, range(number, number + 1))
            with pytest.raises(OSError, match='No space'):
                kept.flush()
            assert written(tmp_path) == [0, 1]
            assert len(read_by_rosbags(tmp_path)) == 2
        patch.setattr(journal, 'BUFFER_LIMIT', 5000)
        with pytest.raises(InvalidInput, match='unwritten bytes; make space'):
            write(kept, range(4, 9))
        assert kept.full
    count = kept.message_count
    kept.flush()
    assert not kept.full
    assert written(tmp_path) == list(range(count)) and count >= 4
    kept.close()
    assert len(read_by_rosbags(tmp_path)) == count


def test_unusable_directories_are_refused(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InvalidInput, match='cannot write to'):
        Journal(tmp_path / 'file' / 'bag')
    with monkeypatch.context() as patch:
        patch.setattr(os, 'pwrite', lambda *_: (_ for _ in ()).throw(
            OSError(errno.ENOSPC, 'No space left on device')))
        with pytest.raises(Unavailable, match='No space left on device'):
            Journal(tmp_path / 'full')
    assert not list((tmp_path / 'full').iterdir())  # so that many starts leave nothing
    with pytest.raises(InvalidInput, match='is no directory'):
        read_journal(tmp_path / 'none')
    kept = Journal(tmp_path / 'bag')
    with pytest.raises(InvalidInput, match='written by another process'):
        Journal(tmp_path / 'bag')
    with pytest.raises(InvalidInput, match='not installed'):
        kept.write('/x', 'std_msgs/msg/Nothing', b'', START)
    with pytest.raises(InvalidInput, match='write it as std_msgs/msg/Bool'):
        kept.write('/x', 'std_msgs/../msg/x', b'', START)
    kept.close()
    with pytest.raises(InvalidInput, match='is closed'):
        kept.write('/x', BOOL, b'', START)


def test_time_never_goes_back_within_a_file(tmp_path):
    kept = Journal(tmp_path)
    for stamp in (5, 9, 3, 12):
        kept.write('/flag', BOOL, serialize_message(codec.flag(True)), stamp)
    kept.close()
    assert [stamp for _, _, stamp, _ in read_journal(tmp_path)] == [5, 9, 9, 12]
    assert [stamp for _, stamp, _ in read_by_rosbags(tmp_path)] == [5, 9, 9, 12]


def test_definitions_are_those_that_rosbags_knows():
    store = get_typestore(Stores.ROS2_KILTED)
    for message in (
        codec.Transitions, codec.Policy, codec.JointState, codec.Goal, codec.Trajectory,
        codec.Diagnostics, codec.Bool, codec.Number, codec.Clock, codec.Text,
    ):
        name = codec.type_name(message)
        theirs, _ = store.generate_msgdef(name, ros_version=2)
        ours = message_definition(name).replace('\t', ' ')
        assert _names(ours) == _names(theirs), name
        assert _fields(ours) == _fields(theirs), name
        assert type_hash(name) == store.hash_rihs01(name), name


def _names(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if line.startswith('MSG: '))


def _fields(text: str) -> set[str]:
    """Return the plain fields of all parts; packages may be written out or left to the reader."""
    fields = set()
    for line in text.splitlines():
        words = line.split('#')[0].split()
        if len(words) >= 2 and '=' not in line and words[0] != 'MSG:':
            fields.add(f'{words[0].split("/")[-1]} {words[1]}')
    return fields
