# SPDX-License-Identifier: Apache-2.0
"""
Values to messages and back, write and read side by side: the only file that names message types.

An array field of rclpy takes an `array.array` as it is and copies anything else number by
number, hence `_doubles`.
"""

import array
from collections.abc import Collection, Mapping, Sequence
import hashlib
import importlib
import json

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import GetState
import numpy as np
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import (
    Bool,
    Float64,
    Float64MultiArray,
    MultiArrayDimension,
    String,
    UInt8MultiArray,
)
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from rl_control import poses
from rl_control.errors import Refused
from rl_control.ros.rows import (
    ACKNOWLEDGE_COLUMNS,
    CONFIRMATION,
    EPISODE_COLUMNS,
    EVALUATION,
    TRAINING,
    EpisodeRow,
    Origin,
    TransitionRows,
    acknowledge_table,
    read_acknowledge,
    transition_columns,
    transition_row,
    validate_rows,
)
from rl_control.ros.table import (
    MESSAGE_LIMIT,
    Table,
    decode_table_cdr,
    read_header,
    read_labels,
    require_columns,
    require_shape,
    write_labels,
)
from rl_control.types import Command

__all__ = [
    'ACKNOWLEDGE_COLUMNS', 'CONFIRMATION', 'EPISODE_COLUMNS', 'ERROR', 'EVALUATION', 'OK', 'STALE',
    'TRAINING', 'WARN', 'Acknowledge', 'Clock', 'Diagnostics', 'EpisodeRow', 'Episodes', 'Flag',
    'ForwardCommand', 'GetState', 'Goal', 'JointReader', 'JointState', 'Number', 'Origin',
    'Policy', 'SetFlag', 'Table', 'Text', 'Trajectory', 'TrajectoryWriter', 'TransitionRows',
    'Transitions', 'Trigger',
    'acknowledge_table', 'clock', 'decode_policy', 'decode_table', 'decode_table_cdr',
    'diagnostics', 'encode_policy', 'encode_table', 'flag', 'forward_command', 'goal_message',
    'joint_state', 'message_class', 'number', 'read_acknowledge', 'read_diagnostics', 'read_flag',
    'read_forward_command', 'read_goal', 'read_joint_trajectory', 'read_number', 'read_stamp',
    'stamp_message', 'transition_columns', 'transition_row', 'type_name', 'validate_rows',
]

Transitions = Acknowledge = Episodes = ForwardCommand = Float64MultiArray
Policy = UInt8MultiArray
Number, Flag, Text = Float64, Bool, String
Goal, Trajectory, Diagnostics, SetFlag = PoseStamped, JointTrajectory, DiagnosticArray, SetBool
OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE)


def type_name(message: type) -> str:
    """Return the ROS name of a message class, such as std_msgs/msg/Bool."""
    return f'{message.__module__.split(".")[0]}/msg/{message.__name__}'


def message_class(name: str) -> type:
    """Return the class of the ROS name of a message; raise Refused when it is not installed."""
    package, _, kind = name.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), kind)
    except (ImportError, AttributeError) as error:
        raise Refused(
            f'message type {name} is not installed; install it or source its workspace'
        ) from error


def _doubles(values: np.ndarray) -> array.array:
    numbers = array.array('d')
    numbers.frombytes(np.ascontiguousarray(values, dtype=np.float64).data.cast('B'))
    return numbers


def stamp_message(seconds: float) -> Time:
    """Return a time in s as a message."""
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def read_stamp(stamp: Time) -> float:
    """Return a message's time in s."""
    return stamp.sec + stamp.nanosec * 1e-9


def clock(seconds: float) -> Clock:
    """Return a simulated time in s as a message."""
    return Clock(clock=stamp_message(seconds))


def encode_table(table: Table) -> Float64MultiArray:
    """Return the table as a message; raise Refused for names or a header that cannot be sent."""
    header, names = write_labels(table)
    n, m = table.rows.shape
    message = Float64MultiArray()
    message.layout.dim = [
        MultiArrayDimension(label=header, size=n, stride=n * m),
        MultiArrayDimension(label=names, size=m, stride=m),
    ]
    message.data = _doubles(table.rows.reshape(-1))
    return message


def decode_table(message: Float64MultiArray, columns: tuple[str, ...] | None = None) -> Table:
    """Return the table in a message; raise Refused if it is none, or has other columns."""
    dim = message.layout.dim
    if len(dim) != 2:
        raise Refused(f'table has {len(dim)} dimensions; it must have 2')
    header, found = read_labels(dim[0].label, dim[1].label)
    require_columns(found, columns)
    sizes, strides = (dim[0].size, dim[1].size), (dim[0].stride, dim[1].stride)
    require_shape(sizes, strides, message.layout.data_offset, len(found), len(message.data))
    return Table(found, np.array(message.data, dtype=np.float64).reshape(sizes), header)


WITHDRAWN_LIMIT = 1000  # versions named in a message


def encode_policy(
    data: bytes, run: str, version: int, withdrawn: Collection[int] = (),
) -> UInt8MultiArray:
    """
    Return the bytes of a policy file as a message that carries their SHA-256.

    `withdrawn` are versions that nobody is to run any more; the newest WITHDRAWN_LIMIT are told.
    """
    if len(data) > MESSAGE_LIMIT:
        raise Refused(f'policy has {len(data)} bytes; at most {MESSAGE_LIMIT} are sent')
    header = {'digest': hashlib.sha256(data).hexdigest(), 'run': run, 'version': version}
    if withdrawn:
        header['withdrawn'] = [str(one) for one in sorted(withdrawn)[-WITHDRAWN_LIMIT:]]
    message = UInt8MultiArray()
    message.layout.dim = [
        MultiArrayDimension(label=json.dumps(header), size=len(data), stride=len(data))]
    message.data = array.array('B', data)
    return message


def decode_policy(message: UInt8MultiArray) -> tuple[bytes, str, int]:
    """
    Return (bytes, run, version) of a policy whose bytes are those that were sent.

    Nothing of the bytes is parsed before size and digest were found right; raise Refused else.
    """
    if len(message.data) > MESSAGE_LIMIT:
        raise Refused(f'policy has {len(message.data)} bytes; at most {MESSAGE_LIMIT} are read')
    if len(message.layout.dim) != 1:
        raise Refused('policy message has no digest; use a sender of this package')
    header = read_header(message.layout.dim[0].label)
    data = bytes(message.data)
    digest = hashlib.sha256(data).hexdigest()
    if header.get('digest') != digest:
        raise Refused(
            f'policy has digest {digest} but its message says {str(header.get("digest"))[:64]}; '
            'it was damaged on the way, so send it again'
        )
    run, version = header.get('run'), header.get('version')
    if not isinstance(run, str) or not isinstance(version, int) or version < 0:
        raise Refused(f"policy has run {run!r} and version {version!r}; use a learner's policy")
    return data, run, version


def read_withdrawn(message: UInt8MultiArray) -> frozenset[int]:
    """Return the versions that a policy message, which `decode_policy` takes, withdraws."""
    withdrawn = read_header(message.layout.dim[0].label).get('withdrawn', [])
    if not isinstance(withdrawn, list) or not all(
            one.isdecimal() and len(one) < 20 for one in withdrawn):
        raise Refused(f'policy message withdraws {str(withdrawn)[:64]}; use a broadcaster of this '
                      'package')
    return frozenset(map(int, withdrawn))


def joint_state(
    joint_names: Sequence[str], stamp: float, q: np.ndarray, dq: np.ndarray
) -> JointState:
    """Return positions `q` (n,) rad and velocities `dq` (n,) rad/s at `stamp` s as a message."""
    message = JointState(name=list(joint_names), position=_doubles(q), velocity=_doubles(dq))
    message.header.stamp = stamp_message(stamp)
    return message


class JointReader:
    """
    Reads JointState by name into the contract's joint order.

    Where the names stay as they were, reading costs two gathers. Other joints are ignored.
    """

    def __init__(self, joint_names: Sequence[str], velocity_required: bool = True) -> None:
        self.joint_names = tuple(joint_names)
        self.velocity_required = velocity_required
        self._names: list[str] | None = None
        self._index = np.zeros(0, dtype=np.intp)

    def read(self, message: JointState) -> tuple[float, np.ndarray, np.ndarray | None]:
        """
        Return (stamp s, q (n,) rad, dq (n,) rad/s); raise Refused naming what is wrong.

        `dq` is None where the message has no velocity and none is required.
        """
        if message.name != self._names:
            self._index = name_index(message.name, self.joint_names, 'joint state')
            self._names = list(message.name)
        q = self._gather('position', message.position)
        dq = None
        if len(message.velocity) or self.velocity_required:
            dq = self._gather('velocity', message.velocity)
        return read_stamp(message.header.stamp), q, dq

    def _gather(self, what: str, values: array.array) -> np.ndarray:
        if len(values) != len(self._names):
            raise Refused(
                f'joint state has {len(self._names)} names but {len(values)} {what} values; '
                f'let the driver publish the {what} of every joint'
            )
        gathered = np.asarray(values, dtype=np.float64)[self._index]
        if not np.isfinite(gathered).all():
            joint = int(np.flatnonzero(~np.isfinite(gathered))[0])
            raise Refused(
                f'joint {self.joint_names[joint]} has {what} {gathered[joint]}; '
                'it must be a finite number, so look at the driver'
            )
        return gathered


def name_index(found: Sequence[str], wanted: Sequence[str], what: str) -> np.ndarray:
    """Return where each wanted joint stands among those found; Refused for missing or double."""
    places: dict[str, int] = {}
    for place, name in enumerate(found):
        if name in places:
            raise Refused(f'{what} names joint {name!r} twice; let each joint be there once')
        places[name] = place
    if missing := [name for name in wanted if name not in places]:
        raise Refused(
            f'{what} lacks joint {", ".join(missing)} and has [{", ".join(found)}]; '
            'use the joint names of the robot'
        )
    return np.array([places[name] for name in wanted], dtype=np.intp)


class TrajectoryWriter:
    """
    Writes trajectories of joints into messages that are there from the start.

    A message is good until the next one with as many points is written: publish it at once.
    """

    def __init__(self, joint_names: Sequence[str]) -> None:
        self._names = list(joint_names)
        self._known: dict[int, tuple[JointTrajectory, list[np.ndarray]]] = {}

    def write(self, times: np.ndarray, points: np.ndarray) -> JointTrajectory:
        """
        Return `points` (k, 3, n), q, dq, ddq to be reached `times` (k,) s after reception.

        The header's stamp stays zero, which tells ros2_control to start now.
        """
        if len(times) not in self._known:
            self._known[len(times)] = self._made(len(times))
        message, places = self._known[len(times)]
        for place, values in zip(places, points.reshape(len(places), -1), strict=True):
            place[:] = values
        for point, time in zip(message.points, times, strict=True):
            nanoseconds = round(time * 1e9)
            point.time_from_start.sec = nanoseconds // 10**9
            point.time_from_start.nanosec = nanoseconds % 10**9
        return message

    def _made(self, count: int) -> tuple[JointTrajectory, list[np.ndarray]]:
        """Return a message of `count` points, and the memory of its arrays, point by point."""
        zeros = [0.0] * len(self._names)
        message = JointTrajectory(joint_names=self._names, points=[
            JointTrajectoryPoint(positions=zeros, velocities=zeros, accelerations=zeros)
            for _ in range(count)])
        return message, [
            np.frombuffer(values) for point in message.points
            for values in (point.positions, point.velocities, point.accelerations)]


def read_joint_trajectory(
    message: JointTrajectory, joint_names: Sequence[str]
) -> tuple[np.ndarray, list[Command]]:
    """
    Return (times (k,) s, commands in the order of `joint_names`); raise Refused for others.

    A command whose point has no velocities, or no accelerations, has none of them: (0,).
    """
    index = name_index(message.joint_names, joint_names, 'trajectory')
    if not message.points:
        raise Refused('trajectory has no points; send at least one')
    commands = [
        Command(*(
            _vector(number, name, values, len(message.joint_names), index)
            for name, values in (('positions', point.positions), ('velocities', point.velocities),
                                 ('accelerations', point.accelerations))))
        for number, point in enumerate(message.points)
    ]
    times = np.array([
        point.time_from_start.sec + point.time_from_start.nanosec * 1e-9
        for point in message.points
    ])
    if times[0] < 0.0 or (np.diff(times) <= 0.0).any():
        raise Refused(f'trajectory has times {times.tolist()} s; they must increase from 0')
    return times, commands


def _vector(
    number: int, name: str, values: array.array, count: int, index: np.ndarray
) -> np.ndarray:
    """Return one field of a trajectory's point by `index` (n,), or (0,) if it may lack."""
    vector = np.asarray(values, dtype=np.float64)
    if not len(vector) and name != 'positions':
        return vector
    if len(vector) != count or not np.isfinite(vector).all():
        raise Refused(
            f'trajectory point {number} has {name} {vector.tolist()}; '
            'give one finite number per joint')
    return vector[index]


def forward_command(values: np.ndarray) -> Float64MultiArray:
    """Return `values` (n,) in the order of the controller's joints as a message."""
    return Float64MultiArray(data=_doubles(values))


def read_forward_command(message: Float64MultiArray, count: int) -> np.ndarray:
    """Return the `count` finite values (n,) of a message; raise Refused for others."""
    values = np.array(message.data, dtype=np.float64)
    if len(values) != count or not np.isfinite(values).all():
        raise Refused(f'command is {values.tolist()}; give {count} finite numbers')
    return values


def goal_message(goal: np.ndarray, frame_id: str, stamp: float = 0.0) -> PoseStamped:
    """Return the goal (7,), see `poses`, as a message."""
    message = PoseStamped()
    message.header.frame_id = frame_id
    message.header.stamp = stamp_message(stamp)
    position, orientation = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = (float(value) for value in goal[:3])
    orientation.x, orientation.y, orientation.z, orientation.w = (
        float(value) for value in goal[3:])
    return message


def read_goal(message: PoseStamped, frame_id: str | None = None) -> np.ndarray:
    """Return the goal (7,), see `poses`; raise Refused if it is none or in another frame."""
    if frame_id is not None and message.header.frame_id not in ('', frame_id):
        raise Refused(
            f'goal is in frame {message.header.frame_id!r}; give it in frame {frame_id!r}')
    return poses.of_message(message.pose)


def number(value: float) -> Float64:
    """Return one number as a message."""
    return Float64(data=float(value))


def read_number(message: Float64, what: str) -> float:
    """Return the number of a message; raise Refused naming `what` if it is not finite."""
    if not np.isfinite(message.data):
        raise Refused(f'{what} is {message.data}; give a finite number')
    return message.data


def flag(value: bool) -> Bool:
    """Return a truth value as a message."""
    return Bool(data=bool(value))


def read_flag(message: Bool) -> bool:
    """Return the truth value of a message."""
    return message.data


def diagnostics(
    name: str, level: bytes, message: str, values: Mapping[str, object], stamp: float = 0.0
) -> DiagnosticArray:
    """Return one status, `level` one of OK, WARN, ERROR, STALE, with its values as texts."""
    status = DiagnosticStatus(
        level=level, name=name, message=message, hardware_id='rl_control',
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
    array_message = DiagnosticArray(status=[status])
    array_message.header.stamp = stamp_message(stamp)
    return array_message


def read_diagnostics(message: DiagnosticArray) -> list[tuple[str, dict[str, str]]]:
    """Return (name, values) of each status."""
    return [
        (status.name, {entry.key: entry.value for entry in status.values})
        for status in message.status
    ]
