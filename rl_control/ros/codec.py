# SPDX-License-Identifier: Apache-2.0
"""
Message codec: values to messages and back, encoder and decoder side by side.

Other rooms name message types through this file; longer codecs are in joint_messages,
policy_messages and markers.
"""

from collections.abc import Mapping, Sequence
import importlib

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
from trajectory_msgs.msg import JointTrajectory

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.ros.joint_messages import (
    JointReader,
    TrajectoryReader,
    TrajectoryWriter,
    doubles,
    forward_command,
    joint_state,
    read_forward_command,
    read_joint_trajectory,
)
from rl_control.ros.message_definitions import message_definition
from rl_control.ros.policy_messages import (
    WITHDRAWN_LIMIT,
    decode_policy,
    encode_policy,
    read_withdrawn,
)
from rl_control.ros.stamps import clock, read_stamp, stamp_message
from rl_control.transport.table import (
    Table,
    decode_table_cdr,
    read_labels,
    require_columns,
    require_shape,
    write_labels,
)
from rl_control.transport.transition_rows import (
    ACKNOWLEDGE_COLUMNS,
    CONFIRMATION,
    EPISODE_COLUMNS,
    EVALUATION,
    RUN_LIMIT,
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

__all__ = [
    'ACKNOWLEDGE_COLUMNS',
    'CONFIRMATION',
    'EPISODE_COLUMNS',
    'ERROR',
    'EVALUATION',
    'OK',
    'RUN_LIMIT',
    'STALE',
    'TRAINING',
    'WARN',
    'WITHDRAWN_LIMIT',
    'Acknowledge',
    'Bool',
    'Clock',
    'Diagnostics',
    'EpisodeRow',
    'Episodes',
    'ForwardCommand',
    'GetState',
    'Goal',
    'JointReader',
    'JointState',
    'Number',
    'Origin',
    'Policy',
    'SetFlag',
    'Table',
    'Text',
    'Trajectory',
    'TrajectoryReader',
    'TrajectoryWriter',
    'TransitionRows',
    'Transitions',
    'Trigger',
    'acknowledge_table',
    'clock',
    'decode_policy',
    'decode_table',
    'decode_table_cdr',
    'diagnostics',
    'encode_policy',
    'encode_table',
    'flag',
    'forward_command',
    'goal_message',
    'joint_state',
    'message_class',
    'number',
    'read_acknowledge',
    'read_diagnostics',
    'read_flag',
    'read_forward_command',
    'read_goal',
    'read_joint_trajectory',
    'read_number',
    'read_stamp',
    'read_value',
    'read_withdrawn',
    'stamp_message',
    'transition_columns',
    'transition_row',
    'type_name',
    'validate_rows',
]

Transitions = Acknowledge = Episodes = ForwardCommand = Float64MultiArray
Policy = UInt8MultiArray
Number, Bool, Text = Float64, Bool, String
Goal, Trajectory, Diagnostics, SetFlag = PoseStamped, JointTrajectory, DiagnosticArray, SetBool
OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE)


def type_name(message: type) -> str:
    """Return the ROS name of a message class, such as std_msgs/msg/Bool."""
    return f'{message.__module__.split(".")[0]}/msg/{message.__name__}'


def message_class(name: str) -> type:
    """
    Return the class of the ROS name of a message; raise InvalidInput when it is not installed.

    The name is untrusted: only a package that defines that message is imported.
    """
    message_definition(name)
    package, _, kind = name.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), kind)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(
            f'message type {name} is not installed; install it or source its workspace'
        ) from error


def encode_table(table: Table) -> Float64MultiArray:
    """
    Return the table as a message.

    Raise InvalidInput for names or a header that cannot be sent.
    """
    header, names = write_labels(table)
    n, m = table.rows.shape
    message = Float64MultiArray()
    message.layout.dim = [
        MultiArrayDimension(label=header, size=n, stride=n * m),
        MultiArrayDimension(label=names, size=m, stride=m),
    ]
    message.data = doubles(table.rows.reshape(-1))
    return message


def decode_table(message: Float64MultiArray, columns: tuple[str, ...] | None = None) -> Table:
    """Return the table in a message; raise InvalidInput for another format or other columns."""
    dim = message.layout.dim
    if len(dim) != 2:
        raise InvalidInput(f'table has {len(dim)} dimensions; it must have 2')
    header, found = read_labels(dim[0].label, dim[1].label)
    require_columns(found, columns)
    sizes, strides = (dim[0].size, dim[1].size), (dim[0].stride, dim[1].stride)
    require_shape(sizes, strides, message.layout.data_offset, len(found), len(message.data))
    return Table(found, np.array(message.data, dtype=np.float64).reshape(sizes), header)


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


def read_goal(message: PoseStamped, frames: Sequence[str]) -> np.ndarray:
    """
    Return the goal (7,), see `poses`; raise InvalidInput if it is none.

    `frames` are the names of the base frame (`Arm.frames`), of which it must be, or of none.
    """
    poses.require_frame(message.header.frame_id, frames)
    return poses.from_message(message.pose)


def number(value: float) -> Float64:
    """Return one number as a message."""
    return Float64(data=float(value))


def read_number(message: Float64, what: str) -> float:
    """Return the number of a message; raise InvalidInput naming `what` if it is not finite."""
    if not np.isfinite(message.data):
        raise InvalidInput(f'{what} is {message.data}; give a finite number')
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
    """Return one status with `level` OK, WARN, ERROR or STALE and its values as texts."""
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


def read_value(values: Mapping[str, str], name: str, otherwise: float) -> float:
    """Return the finite number `name` of a status, `otherwise` if it has none."""
    try:
        value = float(values[name])
    except (KeyError, ValueError):
        return otherwise
    return value if np.isfinite(value) else otherwise
