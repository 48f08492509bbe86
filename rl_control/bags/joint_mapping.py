# SPDX-License-Identifier: Apache-2.0
"""
Registry of readable commands: joint states and commands from messages, joints by name.

Add another type by `@command('package/msg/Name')` above a function of the decoded message and the
`Joints` that returns a Setpoint or a Path.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rl_control.bags.decoding import Unusable
from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.types import finite

JOINT_STATE = 'sensor_msgs/msg/JointState'
GOAL = 'geometry_msgs/msg/PoseStamped'
FLAG = 'std_msgs/msg/Bool'
TABLE = 'std_msgs/msg/Float64MultiArray'
BEGIN_LIMIT = 60.0  # s between a trajectory's stamp and the time of the joint states


class Setpoint(NamedTuple):
    """Command for now: what is given of position rad, velocity rad/s and effort N m, (n,)."""

    position: np.ndarray | None = None
    velocity: np.ndarray | None = None
    effort: np.ndarray | None = None


class Path(NamedTuple):
    """Trajectory command: `times` (k,) s from now, `q` (k, n), `dq` (k, n) or None."""

    times: np.ndarray
    q: np.ndarray
    dq: np.ndarray | None

    def begun(self, delay: float) -> 'Path':
        """
        Return the trajectory that begins `delay` s from now, or began before; or raise Unusable.

        Points whose time has passed count as passed, and a trajectory that has ended is rejected,
        both as in joint_trajectory_controller.
        """
        if abs(delay) > BEGIN_LIMIT:
            raise Unusable(f'has a stamp more than {BEGIN_LIMIT:g} s from the clock of the joint '
                           'states; with --trajectory-start receipt it begins when received')
        times = self.times + delay
        if times[-1] < 0.0:
            raise Unusable('has a stamp from which it has ended before it is received, so that a '
                           'controller rejects it')
        return self._replace(times=times)


@dataclass
class Joints:
    """
    Mapping from the values of a message to the joints of the contract.

    `rename` maps a message's names to the contract's. `order` is the joint order of messages
    without names; left empty, the contract's order is assumed, and `assumed` says so.
    """

    names: tuple[str, ...]
    rename: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    interface: str = ''
    assumed: set[str] = field(default_factory=set)
    _known: dict[tuple[str, ...], np.ndarray] = field(default_factory=dict, repr=False)

    def pick(self, given: Sequence[str], values: Sequence[float], what: str) -> np.ndarray | None:
        """
        Return `values` (n,) in the contract's order, None if empty; or raise Unusable.

        NaN is returned: it marks what was not measured or not commanded.
        """
        if len(values) == 0:
            return None
        if not given:
            given = self.unnamed(len(values))
        if len(values) != len(given):
            raise Unusable(f'has {len(values)} values of {what} for {len(given)} joints')
        picked = np.asarray(values, dtype=float)[self._index(tuple(given))]
        if not (finite(picked) | np.isnan(picked)).all():
            raise Unusable(f'has a {what} that is not finite')
        return picked

    def commanded(
        self, given: Sequence[str], values: Sequence[float], what: str,
    ) -> np.ndarray | None:
        """Return `values` as `pick` does, None if all are NaN; raise Unusable if some are."""
        picked = self.pick(given, values, what)
        if picked is None or not (absent := np.isnan(picked)).any():
            return picked
        if absent.all():
            return None
        raise Unusable(f'has a {what} that is NaN for some of the joints')

    def unnamed(self, count: int) -> tuple[str, ...]:
        """Return the joint names for the values of a message without names."""
        order = self.order or self.names
        if not self.order:
            self.assumed.add(f'names no joints; assumed are {", ".join(order)}')
        if len(order) != count:
            raise Unusable(f'has {count} values without names; {len(order)} are expected')
        return order

    def _index(self, given: tuple[str, ...]) -> np.ndarray:
        index = self._known.get(given)
        if index is None:
            ours = [self.rename.get(name, name) for name in given]
            for name in self.names:
                if ours.count(name) != 1:
                    problem = 'lacks' if name not in ours else 'names twice'
                    raise Unusable(f'{problem} joint {name} (it names {", ".join(given)})')
            index = self._known[given] = np.array([ours.index(name) for name in self.names])
        return index


Reader = Callable[[Any, Joints], Setpoint | Path]
COMMANDS: dict[str, Reader] = {}


def command(*types: str) -> Callable[[Reader], Reader]:
    """Return a decorator that registers the reader of commands of `types`."""
    def register(reader: Reader) -> Reader:
        COMMANDS.update(dict.fromkeys(types, reader))
        return reader
    return register


def measured_state(message: Any, joints: Joints) -> Setpoint:
    """
    Return the measured position and velocity of a JointState.

    The velocity is NaN where it was not measured, as joint_state_broadcaster publishes it for an
    interface that the robot lacks. A position must be finite.
    """
    position = joints.pick(message.name, message.position, 'position')
    if position is None:
        raise Unusable('has no positions')
    if np.isnan(position).any():
        raise Unusable('has a position that is not finite')
    velocity = joints.pick(message.name, message.velocity, 'velocity')
    return Setpoint(position, np.full_like(position, np.nan) if velocity is None else velocity)


@command(JOINT_STATE)
def joint_state(message: Any, joints: Joints) -> Setpoint:
    """Return position, velocity and effort of a JointState as a command."""
    names = message.name
    return Setpoint(
        joints.commanded(names, message.position, 'position'),
        joints.commanded(names, message.velocity, 'velocity'),
        joints.commanded(names, message.effort, 'effort')
        if joints.interface == 'effort' else None,
    )


@command(TABLE, 'std_msgs/msg/Float32MultiArray')
def array(message: Any, joints: Joints) -> Setpoint:
    """Return the values of an array, whose meaning is `joints.interface`."""
    values = joints.commanded((), message.data, joints.interface)
    if values is None:
        raise Unusable('is NaN' if len(message.data) else 'is empty')
    return Setpoint(**{joints.interface: values})


@command('trajectory_msgs/msg/JointTrajectory')
def trajectory(message: Any, joints: Joints) -> Path:
    """Return the points of a JointTrajectory."""
    if not message.points:
        raise Unusable('has no points')
    names = message.joint_names
    times = np.array([point.time_from_start.sec + point.time_from_start.nanosec * 1e-9
                      for point in message.points])
    if (np.diff(times) <= 0.0).any():
        raise Unusable('has points whose times do not rise')
    q = [joints.commanded(names, point.positions, 'position') for point in message.points]
    dq = [joints.commanded(names, point.velocities, 'velocity') for point in message.points]
    if any(row is None for row in q):
        raise Unusable('has a point without positions')
    return Path(times, np.array(q), None if any(row is None for row in dq) else np.array(dq))


def goal_pose(message: Any, frames: Sequence[str]) -> np.ndarray:
    """Return the goal (7,) of a PoseStamped, see `poses`, in the base frame, named `frames`."""
    try:
        poses.require_frame(message.header.frame_id, frames)
        return poses.from_message(message.pose)
    except InvalidInput as refused:
        raise Unusable(f'is no goal: {refused}') from refused
