# SPDX-License-Identifier: Apache-2.0
"""Joints as messages, by name: states, trajectories, forward commands."""

import array
from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from rl_control.errors import Refused
from rl_control.ros.arrays import doubles
from rl_control.ros.stamps import read_stamp, stamp_message
from rl_control.types import Command

LARGEST = 1e6  # rad, rad/s or rad/s² of a command: the splines between such stay finite


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
    if len(vector) != count or not (np.abs(vector) <= LARGEST).all():
        raise Refused(
            f'trajectory point {number} has {name} {vector.tolist()}; '
            f'give one number up to {LARGEST:g} per joint')
    return vector[index]


def forward_command(values: np.ndarray) -> Float64MultiArray:
    """Return `values` (n,) in the order of the controller's joints as a message."""
    return Float64MultiArray(data=doubles(values))


def read_forward_command(message: Float64MultiArray, count: int) -> np.ndarray:
    """Return the `count` finite values (n,) of a message; raise Refused for others."""
    values = np.array(message.data, dtype=np.float64)
    if len(values) != count or not (np.abs(values) <= LARGEST).all():
        raise Refused(f'command is {values.tolist()}; give {count} numbers up to {LARGEST:g}')
    return values
