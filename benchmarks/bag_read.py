# SPDX-License-Identifier: Apache-2.0
"""
Speed and memory of reading a bag, beside plain reading and the package rosbags.

A bag of `--gigabytes` is written first: `transitions`, the tables that a learner journals, or
`robot`, joint states and commands at 500 Hz with a camera. Each reader runs in a separate process,
which has its own peak of memory.
"""

import argparse
import json
from pathlib import Path
import resource
import subprocess
import sys
import tempfile
import time

from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from rl_control.bags.bag_reader import Bag
from rl_control.bags.dataset import DatasetWriter
from rl_control.bags.dataset_builder import from_robot, from_tables
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import load_arm
from rl_control.transport.transition_rows import transition_columns

STORE = get_typestore(Stores.LATEST)
START = 1_700_000_000_000_000_000
ARRAY, STATE = 'std_msgs/msg/Float64MultiArray', 'sensor_msgs/msg/JointState'
IMAGE = 'sensor_msgs/msg/Image'
WAYS = ('disk', 'rosbags', 'messages', 'dataset')


def array(values, labels=()):
    dims = [STORE.types['std_msgs/msg/MultiArrayDimension'](label=label, size=size, stride=stride)
            for label, size, stride in labels]
    layout = STORE.types['std_msgs/msg/MultiArrayLayout'](dim=dims, data_offset=0)
    return bytes(STORE.serialize_cdr(
        STORE.types[ARRAY](layout=layout, data=np.ravel(values)), ARRAY))


def header(stamp):
    moment = STORE.types['builtin_interfaces/msg/Time'](
        sec=stamp // 10**9, nanosec=stamp % 10**9)
    return STORE.types['std_msgs/msg/Header'](stamp=moment, frame_id='')


def tables(size):
    """Return messages of 64 transitions until there are `size` bytes."""
    contract = load_arm('iiwa', 'reach').contract()
    columns = transition_columns(contract)
    generator = np.random.default_rng(0)
    written = number = 0
    while written < size:
        rows = generator.random((64, len(columns)))
        rows[:, :9] = 0.0
        rows[:, 0], rows[:, 1] = number, np.arange(64)
        head = json.dumps({'collector': 'c', 'run': 'run', 'contract_hash': contract.hash,
                           'first_sequence': 64 * number, 'oldest': max(0, 64 * (number - 9))})
        data = array(rows, [(head, 64, rows.size), (','.join(columns), *rows.shape[1:] * 2)])
        yield START + number * 10**7, '/transitions', ARRAY, data
        number, written = number + 1, written + len(data)


def topics_of_a_robot(size):
    """Return an arm's states and commands at 500 Hz beside a picture at 30 Hz."""
    names = load_arm('iiwa', 'reach').settings.joint_names
    picture = bytes(STORE.serialize_cdr(STORE.types[IMAGE](
        header=header(START), height=480, width=640, encoding='rgb8', is_bigendian=0, step=1920,
        data=np.random.default_rng(0).integers(0, 255, 640 * 480 * 3, dtype=np.uint8)), IMAGE))
    written = number = 0
    while written < size:
        at = START + number * 2_000_000
        q = 0.2 * np.sin(number / 500.0 + np.arange(7))
        dq = 0.2 * np.cos(number / 500.0 + np.arange(7))
        state = bytes(STORE.serialize_cdr(STORE.types[STATE](
            header=header(at), name=list(names), position=q, velocity=dq, effort=np.zeros(7)),
            STATE))
        messages = [(at, '/joint_states', STATE, state),
                    (at + 1, '/position_commands', ARRAY, array(q))]
        if number % 17 == 0:
            messages.append((at + 2, '/camera', IMAGE, picture))
        for message in messages:
            written += len(message[3])
            yield message
        number += 1


def write(path, messages, storage, compression):
    if storage == 'sqlite3':
        with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
            known = {}
            for at, topic, kind, data in messages:
                if topic not in known:
                    known[topic] = writer.add_connection(topic, kind, typestore=STORE)
                writer.write(known[topic], at, data)
        return
    path.mkdir()
    with (path / 'bag_0.mcap').open('wb') as file:
        writer = McapWriter(file, chunk_size=786_432, compression=CompressionType[compression])
        writer.start(profile='ros2', library='benchmark')
        known = {}
        for at, topic, kind, data in messages:
            if topic not in known:
                text, _ = STORE.generate_msgdef(kind, ros_version=2)
                schema = writer.register_schema(kind, 'ros2msg', text.encode())
                known[topic] = writer.register_channel(topic, 'cdr', schema)
            writer.add_message(known[topic], at, data, at)
        writer.finish()


def read(way, path, kind, out):
    """Read the bag in one way; return the number of bytes, messages or rows."""
    if way == 'disk':
        count = 0
        for file in path.iterdir():
            with file.open('rb', buffering=0) as raw:
                while data := raw.read(2**20):
                    count += len(data)
        return count
    if way == 'rosbags':
        with AnyReader(sorted(path.glob('bag*')), default_typestore=STORE) as reader:
            return sum(1 for _ in reader.messages())
    bag = Bag(path)
    if way == 'messages':
        return sum(1 for _ in bag.messages())
    arm = load_arm('iiwa', 'reach')
    with DatasetWriter(out / 'set', arm.contract()) as writer:
        if kind == 'transitions':
            report = from_tables([bag], arm.contract(), writer)
        else:
            report = from_robot([bag], arm, SamplingSettings(goal=(0.4, 0.0, 0.5)), writer)
        writer.finish({}, report)
        return writer.rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--gigabytes', type=float, default=0.5)
    parser.add_argument('--kind', choices=('transitions', 'robot'), default='transitions')
    parser.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap')
    parser.add_argument('--compression', choices=('NONE', 'ZSTD', 'LZ4'), default='NONE')
    parser.add_argument('--directory', help='where to make the bag; default: a temporary one')
    parser.add_argument('--read', nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        way, path, out = options.read[0], Path(options.read[1]), Path(options.read[2])
        began = time.perf_counter()
        count = read(way, path, options.kind, out)
        print(json.dumps({
            'count': count, 'seconds': time.perf_counter() - began,
            'peak': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        path = Path(directory) / 'bag'
        make = tables if options.kind == 'transitions' else topics_of_a_robot
        write(path, make(options.gigabytes * 1e9), options.storage, options.compression)
        size = sum(file.stat().st_size for file in path.iterdir()) / 1e6
        print(f'{options.kind}, {options.storage}, {options.compression.lower()}: {size:.0f} MB')
        for way in WAYS:
            child = subprocess.run(
                [sys.executable, __file__, '--kind', options.kind, '--read', way, str(path),
                 directory], capture_output=True, text=True, check=True)
            figures = json.loads(child.stdout)
            unit = {'disk': 'bytes', 'dataset': 'transitions'}.get(way, 'messages')
            print(f'{way:9} {size / figures["seconds"]:7.0f} MB/s  {figures["seconds"]:6.1f} s  '
                  f'peak {figures["peak"]:5.0f} MB  {figures["count"]} {unit}',
                  flush=True)


if __name__ == '__main__':
    main()
