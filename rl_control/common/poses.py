# SPDX-License-Identifier: Apache-2.0
"""
Poses as seven numbers: position x, y, z in m, then a unit quaternion x, y, z, w.

The order is that of geometry_msgs. A goal is a pose in the base frame; a task that needs no
orientation ignores it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rl_control.common.errors import InvalidInput

NORM_TOLERANCE = 0.01  # of a quaternion that was rounded on the wire


def from_position(position: np.ndarray) -> np.ndarray:
    """Return the pose (7,) at a position (3,) m with the identity orientation."""
    return np.array([*position, 0.0, 0.0, 0.0, 1.0], dtype=float)


def from_message(message: Any) -> np.ndarray:
    """Return the pose (7,) of a geometry_msgs/Pose; raise InvalidInput if it is none."""
    position, orientation = message.position, message.orientation
    pose = np.array([
        position.x, position.y, position.z,
        orientation.x, orientation.y, orientation.z, orientation.w], dtype=float)
    if not np.isfinite(pose).all():
        raise InvalidInput(f'pose is {pose.tolist()}; give finite numbers')
    length = np.linalg.norm(pose[3:])
    if abs(length - 1.0) > NORM_TOLERANCE:
        raise InvalidInput(f'orientation is {pose[3:].tolist()}, of length {length:.3g}; '
                      'give a unit quaternion, 0 0 0 1 for none')
    pose[3:] /= length
    return pose


def require_frame(frame: str, frames: Sequence[str]) -> None:
    """Raise InvalidInput unless `frame` is empty or one of `frames`, names of the base frame."""
    if frame and frame not in frames:
        others = f' (or {", ".join(frames[1:])})' if frames[1:] else ''
        raise InvalidInput(
            f'the pose is in frame {frame!r}; give it in frame {frames[0]!r}{others}, or add the '
            'name to robot.frame_aliases if it is the same frame')


def from_matrix(frame: np.ndarray) -> np.ndarray:
    """
    Return the pose (7,) of a frame (4, 4), with w at least 0.

    Shepperd 1978, "Quaternion from rotation matrix": division by the largest of the four squares
    avoids cancellation.
    """
    r = frame[:3, :3]
    trace = np.trace(r)
    squares = np.array([1.0 + 2.0 * r[0, 0] - trace, 1.0 + 2.0 * r[1, 1] - trace,
                        1.0 + 2.0 * r[2, 2] - trace, 1.0 + trace])  # 4 x^2, 4 y^2, 4 z^2, 4 w^2
    products = {  # 4 times the product of two components
        (0, 1): r[0, 1] + r[1, 0], (0, 2): r[0, 2] + r[2, 0], (1, 2): r[1, 2] + r[2, 1],
        (0, 3): r[2, 1] - r[1, 2], (1, 3): r[0, 2] - r[2, 0], (2, 3): r[1, 0] - r[0, 1]}
    largest = int(np.argmax(squares))
    quaternion = np.array([
        squares[largest] if part == largest else products[min(part, largest), max(part, largest)]
        for part in range(4)])
    quaternion /= np.sqrt(quaternion @ quaternion)
    return np.concatenate((frame[:3, 3], np.copysign(1.0, quaternion[3]) * quaternion))


def rotation(pose: np.ndarray) -> np.ndarray:
    """Return the rotations (..., 3, 3) of poses (..., 7)."""
    x, y, z, w = np.moveaxis(pose[..., 3:], -1, 0)
    rows = ((1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """
    Return the rotation vectors (..., 3) rad of rotations (..., 3, 3): axis times angle, 0 to pi.

    The axis comes from the skew-symmetric part; near a half turn, where that vanishes, from the
    largest column of R + 1.
    """
    skew = 0.5 * np.stack((rotation[..., 2, 1] - rotation[..., 1, 2],
                           rotation[..., 0, 2] - rotation[..., 2, 0],
                           rotation[..., 1, 0] - rotation[..., 0, 1]), axis=-1)
    sine = np.linalg.norm(skew, axis=-1, keepdims=True)
    cosine = 0.5 * (np.trace(rotation, axis1=-2, axis2=-1)[..., None] - 1.0)
    angle = np.arctan2(sine, cosine)
    small = sine < 1e-7
    vector = np.where(small, 1.0, angle / np.where(small, 1.0, sine)) * skew
    half = (small & (cosine < 0.0))[..., 0]
    if half.any():
        # R + 1 is twice the outer product of the axis: its longest column is along the axis.
        outer = rotation[half] + np.eye(3)
        longest = np.argmax(np.linalg.norm(outer, axis=-2), axis=-1)
        axis = np.take_along_axis(outer, longest[..., None, None], axis=-1)[..., 0]
        vector[half] = np.pi * axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    return vector
