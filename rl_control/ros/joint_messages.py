# SPDX-License-Identifier: Apache-2.0
"""
Joint messages, matched by name: states, trajectories, forward commands.

The control loop reads and writes them as bytes of a fixed layout: message objects of rclpy take
several times as long, most of all with cold caches. Messages of another layout are read by rclpy.
"""


import array
from collections.abc import Sequence
from functools import cache
import struct
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.ros.cdr_layout import HEADER_SIZE, Layout, as_numbers
from rl_control.ros.stamps import read_stamp, stamp_message

COMMAND_LIMIT = 1e6  # rad, rad/s or rad/s² of a command; keeps splines between commands finite


def joint_state(
    joint_names: Sequence[str], stamp: float, q: np.ndarray, dq: np.ndarray
) -> JointState:
    """Return positions `q` (n,) rad and velocities `dq` (n,) rad/s at `stamp` s as a message."""
    message = JointState(name=list(joint_names), position=doubles(q), velocity=doubles(dq))
    message.header.stamp = stamp_message(stamp)
    return message


class JointReader:
    """
    Reads JointState by name into the contract's joint order.

    While the names stay the same, reading costs two gathers. Other joints are ignored.
    """

    def __init__(self, joint_names: Sequence[str], velocity_required: bool = True) -> None:
        self.joint_names = tuple(joint_names)
        self.velocity_required = velocity_required
        self._names: list[str] | None = None
        self._index = np.zeros(0, dtype=np.intp)
        self._layout: Layout | None = None
        self.other_names: tuple[str, ...] = ()  # of the last message without any of the joints

    def read(self, message: JointState) -> tuple[float, np.ndarray, np.ndarray | None]:
        """
        Return (stamp s, q (n,) rad, dq (n,) rad/s); raise InvalidInput for a bad message.

        `dq` is None where the message has no velocity and none is required. A velocity that is NaN
        was not measured: joint_state_broadcaster fills the interfaces that a robot lacks with it.
        """
        if message.name != self._names:
            self._index = name_index(message.name, self.joint_names, 'joint state')
            self._names = list(message.name)
        q = self._gather('position', message.position)
        dq = None
        if len(message.velocity) or self.velocity_required:
            dq = self._gather('velocity', message.velocity)
            unmeasured = np.isnan(dq)
            if unmeasured.any() and self.velocity_required:
                raise InvalidInput(
                    f'joint {self.joint_names[int(unmeasured.argmax())]} has velocity nan, which '
                    'means that it is not measured; let the driver publish the velocity of every '
                    'joint')
            dq = None if unmeasured.any() else dq
        return read_stamp(message.header.stamp), q, dq

    def matches(self, raw: bytes) -> bool:
        """Return True if a serialized message has the layout of the one before."""
        return self._layout is not None and self._layout.fits(raw)

    def read_raw(self, raw: bytes) -> tuple[float, np.ndarray, np.ndarray | None] | None:
        """As `read`, for a serialized message; return None if it has none of the joints."""
        if self.matches(raw):
            q, dq = joints = as_numbers('<f8', raw)[self._places]
            if np.isfinite(joints).all():
                seconds, nanoseconds = struct.unpack_from('<iI', raw, HEADER_SIZE)
                return seconds + nanoseconds * 1e-9, q, dq
        message = _deserialized(raw, JointState, 'joint state')
        if not set(self.joint_names) & set(message.name):
            self.other_names = tuple(message.name)
            return None
        found = self.read(message)
        if len(message.velocity):
            self._store_layout(message)
        return found

    def _store_layout(self, message: JointState) -> None:
        """Store the layout of a message that was read."""
        layout = Layout()
        layout.numbers(2, 4)  # header.stamp
        layout.text(message.header.frame_id)
        layout.texts(message.name)
        position, velocity, _ = (
            layout.doubles(len(values))
            for values in (message.position, message.velocity, message.effort))
        self._places = np.stack((position[self._index], velocity[self._index]))
        self._layout = layout

    def _gather(self, what: str, values: array.array) -> np.ndarray:
        if len(values) != len(self._names):
            raise InvalidInput(
                f'joint state has {len(self._names)} names but {len(values)} {what} values; '
                f'let the driver publish the {what} of every joint'
            )
        gathered = np.asarray(values, dtype=np.float64)[self._index]
        wrong = ~np.isfinite(gathered)
        if what == 'velocity':
            wrong &= ~np.isnan(gathered)
        if wrong.any():
            joint = int(wrong.argmax())
            raise InvalidInput(
                f'joint {self.joint_names[joint]} has {what} {gathered[joint]}; '
                'it must be a finite number, so check the driver'
            )
        return gathered


def name_index(found: Sequence[str], wanted: Sequence[str], what: str) -> np.ndarray:
    """
    Return the index (n,) of each wanted joint among those found.

    Raise InvalidInput for a missing joint or a duplicate.
    """
    places: dict[str, int] = {}
    for place, name in enumerate(found):
        if name in places:
            raise InvalidInput(f'{what} names joint {name!r} twice; name each joint once')
        places[name] = place
    if missing := [name for name in wanted if name not in places]:
        raise InvalidInput(
            f'{what} lacks joint {", ".join(missing)} and has [{", ".join(found)}]; '
            'use the joint names of the robot'
        )
    return np.array([places[name] for name in wanted], dtype=np.intp)


class _TrajectoryLayout(Layout):
    """
    The layout of a trajectory of `count` points with positions, velocities, accelerations.

    `places` (count, 3, n) and `times` (2, count), seconds and nanoseconds, are the indices of its
    numbers.
    """

    def __init__(self, joint_names: list[str], count: int, frame: str = '') -> None:
        super().__init__()
        self.numbers(2, 4)  # header.stamp
        self.text(frame)
        self.texts(joint_names)
        self.count(count)
        places, times = [], []
        for _ in range(count):
            places.append([self.doubles(len(joint_names)) for _ in range(3)])
            self.count(0)  # effort
            times.append(self.numbers(2, 4))  # time_from_start
        self.places, self.times = np.array(places), np.array(times).T


class TrajectoryWriter:
    """Write trajectories of joints as serialized JointTrajectory."""

    def __init__(self, joint_names: Sequence[str]) -> None:
        self._layout = cache(lambda count: _TrajectoryLayout(list(joint_names), count))
        self._blank = cache(lambda count: self._layout(count).blank())

    def write(self, times: np.ndarray, points: np.ndarray) -> bytes:
        """
        Return `points` (k, 3, n), q, dq, ddq to be reached `times` (k,) s after reception.

        The header's stamp stays zero, which means to ros2_control: start now.
        """
        layout, raw = self._layout(len(times)), self._blank(len(times))
        as_numbers('<f8', raw)[layout.places] = points
        nanoseconds = np.rint(np.asarray(times) * 1e9).astype(np.int64)
        as_numbers('<i4', raw)[layout.times] = divmod(nanoseconds, 10**9)
        return raw.tobytes()


class TrajectoryReader:
    """Read serialized JointTrajectory by name into the contract's joint order."""

    def __init__(self, joint_names: Sequence[str]) -> None:
        self.joint_names = tuple(joint_names)
        self._layout: _TrajectoryLayout | None = None

    def matches(self, raw: bytes) -> bool:
        """Return True if a message has the layout of the one before."""
        return self._layout is not None and self._layout.fits(raw)

    def read(self, raw: bytes) -> tuple[np.ndarray, list[Command]]:
        """
        As `read_joint_trajectory`, for a serialized message.

        Raise InvalidInput for other bytes.
        """
        if self.matches(raw):
            seconds, nanoseconds = as_numbers('<i4', raw)[self._layout.times]
            times = seconds + nanoseconds.astype(np.uint32) * 1e-9
            points = as_numbers('<f8', raw)[self._places]
            if times[0] >= 0.0 and (times[1:] > times[:-1]).all() and (
                    np.abs(points) <= COMMAND_LIMIT).all():
                return times, [Command(*point) for point in points]
        message = _deserialized(raw, JointTrajectory, 'trajectory')
        found = read_joint_trajectory(message, self.joint_names)
        if all(len(command.ddq) == len(command.dq) == len(command.q) for command in found[1]):
            self._store_layout(message)
        return found

    def _store_layout(self, message: JointTrajectory) -> None:
        """Store the layout of a message that was read."""
        names = list(message.joint_names)
        self._layout = _TrajectoryLayout(names, len(message.points), message.header.frame_id)
        self._places = self._layout.places[..., name_index(names, self.joint_names, 'trajectory')]


def read_joint_trajectory(
    message: JointTrajectory, joint_names: Sequence[str]
) -> tuple[np.ndarray, list[Command]]:
    """
    Return (times (k,) s, commands in the order of `joint_names`); raise InvalidInput for others.

    Velocities or accelerations that a point lacks are (0,) in its command.
    """
    index = name_index(message.joint_names, joint_names, 'trajectory')
    if not message.points:
        raise InvalidInput('trajectory has no points; send at least one')
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
        raise InvalidInput(f'trajectory has times {times.tolist()} s; they must increase from 0')
    return times, commands


def _vector(
    number: int, name: str, values: array.array, count: int, index: np.ndarray
) -> np.ndarray:
    """Return one field of a point by `index` (n,), (0,) if it is optional and missing."""
    vector = np.asarray(values, dtype=np.float64)
    if not len(vector) and name != 'positions':
        return vector
    if len(vector) != count or not (np.abs(vector) <= COMMAND_LIMIT).all():
        raise InvalidInput(
            f'trajectory point {number} has {name} {vector.tolist()}; '
            f'give one number up to {COMMAND_LIMIT:g} per joint')
    return vector[index]


def forward_command(values: np.ndarray) -> Float64MultiArray:
    """Return `values` (n,) in the order of the controller's joints as a message."""
    return Float64MultiArray(data=doubles(values))


def read_forward_command(message: Float64MultiArray, count: int) -> np.ndarray:
    """Return the `count` finite values (n,) of a message; raise InvalidInput for others."""
    values = np.array(message.data, dtype=np.float64)
    if len(values) != count or not (np.abs(values) <= COMMAND_LIMIT).all():
        raise InvalidInput(
            f'command is {values.tolist()}; give {count} numbers up to {COMMAND_LIMIT:g}')
    return values


def _deserialized(raw: bytes, kind: type, what: str) -> Any:
    """Deserialize a message; raise InvalidInput, calling it `what`, for other bytes."""
    try:
        return deserialize_message(raw, kind)
    except Exception as error:  # rclpy's exception is not public
        raise InvalidInput(f'{what} of {len(raw)} bytes cannot be read; '
                      'the message is cut or damaged') from error


def doubles(values: np.ndarray) -> array.array:
    """Return `values`, of any shape, as float64 in an array.array."""
    numbers = array.array('d')
    numbers.frombytes(np.ascontiguousarray(values, dtype=np.float64).data.cast('B'))
    return numbers
