# SPDX-License-Identifier: Apache-2.0
import random
import sqlite3
import struct

from mcap.reader import make_reader
import numpy as np
import pytest
from recordings import (
    ARRAY,
    BOOL,
    JOINT_STATE,
    MS,
    POSE,
    START,
    array,
    flag,
    joint_state,
    mcap,
    pose,
    read,
    record,
    states,
)
import yaml

from rl_control.bags.bag_info import survey
from rl_control.bags.bag_reader import Bag
from rl_control.bags.bag_types import Losses
from rl_control.bags.mcap_reader import McapFile
from rl_control.bags.stream_merge import in_order, merged
from rl_control.common.errors import InvalidInput


def mixed(count: int = 300):
    commands = [(START + n * 10 * MS + 3 * MS, '/commands', ARRAY, array((n, n)))
                for n in range(count)]
    return sorted(states(count) + commands, key=lambda message: message[0])


@pytest.mark.parametrize(('storage', 'mode'), [
    ('sqlite3', 'none'), ('sqlite3', 'file'), ('sqlite3', 'message'),
    ('mcap', 'none'), ('mcap', 'file'), ('mcap', 'message'), ('mcap', 'storage'),
])
def test_every_storage_gives_what_was_written(tmp_path, storage, mode):
    written = mixed()
    bag = Bag(record(tmp_path / 'bag', written, storage, mode))
    assert {name: topic.type for name, topic in bag.topics.items()} == {
        '/joint_states': JOINT_STATE, '/commands': ARRAY}
    assert read(bag) == written
    assert read(bag, wanted={'/commands'}) == written[1::2]
    assert bag.losses == Losses()
    assert bag.expected == {'/joint_states': 300, '/commands': 300}
    for file in (tmp_path / 'bag').glob('bag*'):  # the file alone is a bag as well
        assert read(Bag(file)) == written


def test_files_of_a_split_bag_are_joined_whatever_their_names(tmp_path):
    written = mixed()
    # Two recorders on one arm: the files overlap, and their names say nothing of their order.
    for name, part in (('z', written[:200:2]), ('y_0', written[1:200:2]), ('a', written[200:])):
        mcap(tmp_path / 'bag' / f'{name}.mcap', part)
    bag = Bag(tmp_path / 'bag')
    assert read(bag) == written
    assert bag.losses.notes == ['metadata.yaml: is missing; topics and counts come from the files']


def describe(path, files):
    (path / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': {
        'version': 5, 'relative_file_paths': files}}))


def test_metadata_that_names_a_missing_file_or_not_every_file(tmp_path):
    written = mixed(100)
    mcap(tmp_path / 'bag' / 'bag_1.mcap', written[:100])
    mcap(tmp_path / 'bag' / 'bag_2.mcap', written[100:])
    describe(tmp_path / 'bag', ['bag/bag_0.mcap', 'bag/bag_1.mcap'])
    bag = Bag(tmp_path / 'bag')
    assert read(bag) == written
    assert bag.losses.notes == [
        'bag_0.mcap: is named by metadata.yaml but does not exist',
        'bag_2.mcap: not named by metadata.yaml; read as well']


def test_metadata_that_is_damaged_or_counts_otherwise_is_said(tmp_path):
    record(tmp_path / 'bag', mixed(10))
    file = tmp_path / 'bag' / 'metadata.yaml'
    file.write_text(file.read_text().replace('message_count: 10', 'message_count: 12'))
    facts = survey(Bag(tmp_path / 'bag'))
    assert '/commands: metadata.yaml states 12 messages; 10 were read' in (
        facts['losses']['files'])
    file.write_text('rosbag2_bagfile_information: [')
    bag = Bag(tmp_path / 'bag')
    assert len(read(bag)) == 20 and 'cannot be read' in bag.losses.notes[0]


@pytest.mark.parametrize('compression', ['', 'zstd', 'lz4'])
@pytest.mark.parametrize('chunk', [0, 4096])
def test_a_cut_mcap_is_read_up_to_the_cut(tmp_path, compression, chunk):
    written = mixed(60)
    whole = mcap(tmp_path / 'whole.mcap', written, compression=compression, chunk=chunk)
    data = whole.read_bytes()
    cut = tmp_path / 'cut.mcap'
    counts = []
    generator = random.Random(1)
    for size in sorted(generator.sample(range(8, len(data)), 60)):
        cut.write_bytes(data[:size])
        bag = Bag(cut)
        found = read(bag)
        assert found == written[:len(found)]
        if len(found) < len(written):
            assert len(bag.losses.notes) == 1 and 'ends' in bag.losses.notes[0]
        counts.append(len(found))
    assert counts == sorted(counts) and counts[-1] == len(written)
    # A torn chunk gives what stands before the tear, but for what was packed as one block.
    if not (chunk and compression):
        assert len(set(counts)) > 25


def test_a_cut_behind_the_data_loses_nothing_but_says_so(tmp_path):
    written = mixed(20)
    bag = Bag(mcap(tmp_path / 'unfinished.mcap', written, chunk=0, finish=False))
    assert read(bag) == written and 'without its end' in bag.losses.notes[0]


@pytest.mark.parametrize('compression', ['', 'zstd', 'lz4'])
def test_a_damaged_chunk_is_named_and_the_others_are_read(tmp_path, compression):
    written = mixed(400)
    path = mcap(tmp_path / 'bag.mcap', written, compression=compression, chunk=8192)
    data = bytearray(path.read_bytes())
    with path.open('rb') as file:
        chunks = make_reader(file).get_summary().chunk_indexes
    inside = chunks[len(chunks) // 2].chunk_start_offset + 200
    data[inside:inside + 40] = bytes(range(40))
    path.write_bytes(data)
    bag = Bag(path)
    found = read(bag)
    assert set(found) < set(written)
    assert found[0] == written[0] and found[-1] == written[-1]
    assert any('its messages are not read' in note for note in bag.losses.notes)


@pytest.mark.parametrize('share', [0.3, 0.6, 0.9])
def test_a_cut_sqlite_file_gives_what_can_be_found(tmp_path, share):
    written = mixed(3000)
    (path,) = record(tmp_path / 'bag', written, 'sqlite3').glob('*.db3')
    data = path.read_bytes()
    alone = tmp_path / 'cut.db3'
    alone.write_bytes(data[:int(share * len(data)) // 4096 * 4096])
    bag = Bag(alone)
    found = read(bag)
    assert set(found) < set(written)
    # The index of the times was cut off first: its size is part of what was lost.
    assert len(found) > 0.8 * share * len(written)
    assert any('damaged' in note for note in bag.losses.notes)


def test_damage_in_the_middle_of_a_sqlite_file_is_passed(tmp_path):
    written = mixed(3000)
    (path,) = record(tmp_path / 'bag', written, 'sqlite3').glob('*.db3')
    data = bytearray(path.read_bytes())
    middle = len(data) // 8192 * 4096
    data[middle:middle + 2 * 4096] = b'\xff' * 8192
    path.write_bytes(data)
    bag = Bag(path)
    found = read(bag)
    assert found[0] == written[0] and found[-1] == written[-1]
    assert 0.9 * len(written) < len(found) < len(written)
    assert any('damaged after row' in note for note in bag.losses.notes)


def test_rows_of_a_recording_that_was_killed_are_read_from_its_log(tmp_path):
    written = mixed(50)
    (path,) = record(tmp_path / 'bag', written, 'sqlite3').glob('*.db3')
    database = sqlite3.connect(path)
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)',
                     (START + 10**9, written[0][3]))
    database.commit()
    try:
        assert len(read(Bag(path))) == 101  # the last row is in the -wal file alone
    finally:
        database.close()


def test_messages_come_in_the_order_of_their_time(tmp_path):
    written = mixed(300)
    shuffled = list(written)
    shuffled[100], shuffled[112] = shuffled[112], shuffled[100]  # 58 ms back
    bag = Bag(mcap(tmp_path / 'bag.mcap', shuffled))
    assert read(bag, ordered=False) == shuffled
    assert read(bag) == written
    assert bag.losses == Losses()


def test_a_message_far_behind_its_time_is_counted(tmp_path):
    written = mixed(300)
    bag = Bag(mcap(tmp_path / 'bag.mcap', [*written[1:], written[0]]))
    assert read(bag) == written[1:]
    assert bag.losses.messages == {
        ('/joint_states', 'is stored more than 1 s behind its receipt time'): 1}


def test_order_keeps_ties_bounds_memory_and_tells_what_is_late():
    generator = np.random.default_rng(0)
    times = np.arange(2000) * 10 + generator.integers(0, 400, 2000)
    items = [(int(time), number) for number, time in enumerate(times)]
    late, behind = [], []

    def note(item, by):
        late.append(item)
        behind.append(by)

    assert list(in_order(items, note, window=500)) == sorted(items) and not late
    out = list(in_order(items, note, window=500, size=lambda _: 1, size_limit=10))
    assert late and sorted(out + late) == sorted(items)
    assert min(behind) > 0 and max(behind) < 500  # the size was the reason, not the window
    list(in_order([(600, 1), (10, 2), (5, 3)], note, window=500))
    assert (late[-1], behind[-1]) == ((5, 3), 595)
    assert [item[0] for item in out] == sorted(item[0] for item in out)


def test_streams_are_begun_when_their_time_has_come():
    open_streams = []

    def stream(start, count):
        open_streams.append(start)
        yield from ((start + n, 'x') for n in range(count))

    starts = [300, 100, 200, 205]
    taken = merged([(start, lambda start=start: stream(start, 10)) for start in starts])
    seen = []
    for time, _ in taken:
        seen.append(time)
        assert max(open_streams) <= time
    assert seen == sorted(start + n for start in starts for n in range(10))


def test_a_log_time_of_zero_is_replaced_by_the_time_of_publication(tmp_path):
    path = tmp_path / 'bag.mcap'
    mcap(path, [(0, *message[1:]) for message in mixed(3)], published=[m[0] for m in mixed(3)])
    bag = Bag(path)
    assert read(bag) == mixed(3)
    assert bag.losses.notes == [
        'bag.mcap: has receive times of 0; the times of publication are used for them']


@pytest.mark.parametrize(('offset', 'claimed', 'words'), [
    (9 + 16, 2**40, 'claims to unpack to 1099511627776 bytes; at most'),
    (1, 2**40, 'where a record claims 1099511627776 bytes; at most 1073741824 are read'),
])
def test_a_limit_of_sizes_is_named(tmp_path, offset, claimed, words):
    path = mcap(tmp_path / 'bag.mcap', mixed(60), compression='zstd')
    data = bytearray(path.read_bytes())
    with path.open('rb') as file:
        chunk = make_reader(file).get_summary().chunk_indexes[0].chunk_start_offset
    struct.pack_into('<Q', data, chunk + offset, claimed)
    path.write_bytes(data)
    bag = Bag(path)
    assert len(read(bag)) < 120 and words in bag.losses.notes[0]


def test_metadata_beyond_its_limit_is_named(tmp_path):
    path = record(tmp_path / 'bag', mixed(3))
    with (path / 'metadata.yaml').open('a') as file:
        file.write('#' * 2**20)
    bag = Bag(path)
    assert len(read(bag)) == 6 and 'of which at most 1048576 are read' in bag.losses.notes[0]


def test_log_time_zero_leaves_the_order_of_the_file(tmp_path):
    written = [(0, *message[1:]) for message in mixed(20)]
    assert read(Bag(mcap(tmp_path / 'bag.mcap', written))) == written


def test_topics_of_an_unfinished_file_are_found(tmp_path):
    bag = Bag(mcap(tmp_path / 'bag.mcap', mixed(20), finish=False, compression='zstd', chunk=256))
    assert set(bag.topics) == {'/joint_states', '/commands'}


def test_a_topic_is_found_by_name_with_or_without_slash_or_refused(tmp_path):
    two_arms = [(START, f'/{side}/joint_states', JOINT_STATE, joint_state(('a',), (0,)))
                for side in ('left', 'right')]
    bag = Bag(record(tmp_path / 'bag', [*two_arms, (START, 'stop', BOOL, flag(True)),
                                        (START, '/goal', POSE, pose(0, 0, 0))]))
    assert bag.find('left/joint_states', {JOINT_STATE}, '', '--x').name == '/left/joint_states'
    assert bag.find('/stop', {BOOL}, '', '--x').name == 'stop'
    assert bag.find(None, {POSE}, '/goal', '--x').name == '/goal'
    with pytest.raises(
        InvalidInput,
        match='2 topics named /joint_states; choose with --joint-states '
        'from: /left/joint_states, /right/joint_states',
    ):
        bag.find(None, {JOINT_STATE}, '/joint_states', '--joint-states')
    with pytest.raises(InvalidInput, match='no topic /arm; choose with --x'):
        bag.find('/arm', {JOINT_STATE}, '', '--x')


@pytest.mark.parametrize(('name', 'words'), [
    ('nothing', 'there is no bag'), ('old.bag', 'bag of ROS 1'), ('notes.txt', 'is no bag'),
    ('empty', 'has no bag files'),
])
def test_what_is_no_bag_is_refused(tmp_path, name, words):
    if name == 'empty':
        (tmp_path / name).mkdir()
    elif name != 'nothing':
        (tmp_path / name).write_text('x')
    with pytest.raises(InvalidInput, match=words):
        Bag(tmp_path / name)


def test_garbage_under_a_bags_name_is_said_and_nothing_is_read(tmp_path):
    for name in ('bag.mcap', 'bag.db3', 'bag.mcap.zstd', 'bag.db3.zstd'):
        (tmp_path / name).write_bytes(random.Random(0).randbytes(5000))
        bag = Bag(tmp_path / name)
        assert read(bag) == [] and bag.losses.notes, name


def test_topics_are_read_without_reading_a_finished_file(tmp_path):
    path = mcap(tmp_path / 'bag.mcap', mixed(2000))
    data = bytearray(path.read_bytes())
    (summary,) = struct.unpack_from('<Q', data, len(data) - 8 - 20)
    data[100:summary] = bytes(summary - 100)  # only the summary is left
    path.write_bytes(data)
    topics = McapFile(path, Losses()).topics()
    assert {topic.name for topic in topics} == {'/joint_states', '/commands'}
