# SPDX-License-Identifier: Apache-2.0
"""Messages as bytes, and bags written by the packages rosbags and mcap."""

from collections.abc import Sequence
from pathlib import Path

from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
JOINT_STATE, ARRAY = 'sensor_msgs/msg/JointState', 'std_msgs/msg/Float64MultiArray'
TRAJECTORY, POSE = 'trajectory_msgs/msg/JointTrajectory', 'geometry_msgs/msg/PoseStamped'
BOOL = 'std_msgs/msg/Bool'
START = 1_700_000_000_000_000_000
MS = 1_000_000


def make(kind: str, **values):
    return STORE.types[kind](**values)


def header(stamp: int = 0, frame: str = ''):
    time = make('builtin_interfaces/msg/Time', sec=stamp // 10**9, nanosec=stamp % 10**9)
    return make('std_msgs/msg/Header', stamp=time, frame_id=frame)


def cdr(kind: str, message) -> bytes:
    return bytes(STORE.serialize_cdr(message, kind))


def joint_state(names, q, dq=(), stamp=0) -> bytes:
    return cdr(JOINT_STATE, make(
        JOINT_STATE, header=header(stamp), name=list(names), position=np.array(q, dtype=float),
        velocity=np.array(dq, dtype=float), effort=np.zeros(0)))


def array(values, labels=()) -> bytes:
    dims = [make('std_msgs/msg/MultiArrayDimension', label=label, size=size, stride=stride)
            for label, size, stride in labels]
    layout = make('std_msgs/msg/MultiArrayLayout', dim=dims, data_offset=0)
    return cdr(ARRAY, make(ARRAY, layout=layout, data=np.array(values, dtype=float)))


def table(columns, rows, head: str) -> bytes:
    """Return a table as collectors send it, encoded without the package's encoder."""
    n, m = np.shape(rows)
    labels = [(head, n, n * m), (','.join(columns), m, m)]
    return array(np.ravel(rows), labels)


def trajectory(names, points, stamp=0) -> bytes:
    """`points` are (seconds, q, dq or None)."""
    made = [
        make('trajectory_msgs/msg/JointTrajectoryPoint', positions=np.array(q, dtype=float),
             velocities=np.array([] if dq is None else dq, dtype=float),
             accelerations=np.zeros(0), effort=np.zeros(0),
             time_from_start=make('builtin_interfaces/msg/Duration', sec=int(t),
                                  nanosec=round(t % 1 * 1e9)))
        for t, q, dq in points]
    return cdr(TRAJECTORY, make(
        TRAJECTORY, header=header(stamp), joint_names=list(names), points=made))


def pose(x, y, z, stamp=0, frame='base') -> bytes:
    point = make('geometry_msgs/msg/Point', x=float(x), y=float(y), z=float(z))
    turn = make('geometry_msgs/msg/Quaternion', x=0.0, y=0.0, z=0.0, w=1.0)
    return cdr(POSE, make(POSE, header=header(stamp, frame), pose=make(
        'geometry_msgs/msg/Pose', position=point, orientation=turn)))


def flag(value: bool) -> bytes:
    return cdr(BOOL, make(BOOL, data=value))


def record(path: Path, messages, storage: str = 'mcap', mode: str = 'none') -> Path:
    """Write (receipt ns, topic, type, bytes) in the order given; return the directory."""
    plugin = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}[storage]
    writer = Writer(path, version=9, storage_plugin=plugin)
    if mode != 'none':
        writer.set_compression(CompressionMode[mode.upper()], CompressionFormat.ZSTD)
    with writer:
        known = {}
        for receipt, topic, kind, data in messages:
            if topic not in known:
                known[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(known[topic], receipt, data)
    return path


def mcap(path: Path, messages, *, compression: str = '', chunk: int = 4096,
         encoding: str = 'cdr', definition: str = '', finish: bool = True,
         published: Sequence[int] | None = None) -> Path:
    """Write one MCAP file by the mcap package; without `finish` it has no end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {'': CompressionType.NONE, 'zstd': CompressionType.ZSTD, 'lz4': CompressionType.LZ4}
    with path.open('wb') as file:
        writer = McapWriter(file, chunk_size=chunk or 1, compression=kinds[compression],
                            use_chunking=chunk > 0)
        writer.start(profile='ros2', library='test')
        channels = {}
        for number, (receipt, topic, kind, data) in enumerate(messages):
            if topic not in channels:
                text = definition or STORE.generate_msgdef(kind, ros_version=2)[0]
                schema = writer.register_schema(kind, 'ros2msg', text.encode())
                channels[topic] = writer.register_channel(topic, encoding, schema)
            writer.add_message(channels[topic], receipt, data,
                               receipt if published is None else published[number])
        if finish:
            writer.finish()
    return path


def read(bag, **options) -> list[tuple[int, str, str, bytes]]:
    return [(raw.receipt, raw.topic.name, raw.topic.type, bytes(raw.data))
            for raw in bag.messages(**options)]


def states(count: int, period_ms: int = 10, topic: str = '/joint_states'):
    """Return joint states whose position is their number."""
    return [(START + n * period_ms * MS, topic, JOINT_STATE, joint_state(('a', 'b'), (n, -n)))
            for n in range(count)]
