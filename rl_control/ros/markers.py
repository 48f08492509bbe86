# SPDX-License-Identifier: Apache-2.0
"""Markers for RViz and Foxglove: goal, target and path of the end effector."""

from collections.abc import Iterable

from geometry_msgs.msg import Point
import numpy as np
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

Markers = MarkerArray

GOAL, TARGET, PATH = range(3)  # ids
RED, GREEN, BLUE = (0.9, 0.1, 0.1), (0.1, 0.7, 0.2), (0.1, 0.4, 0.9)
LINE_WIDTH = 0.005  # m


def scene(
    frame_id: str, goal: np.ndarray, target: np.ndarray, size: float, reached: bool,
    path: Iterable[np.ndarray],
) -> MarkerArray:
    """
    Return the goal as a small sphere, the target as a sphere of radius `size` m, and the path.

    `goal` and `target` are poses (7,), see `poses`; the target is green when `reached`. `path`
    has the past positions of the end effector, (3,) m each.
    """
    return MarkerArray(markers=[
        _sphere(frame_id, GOAL, goal, size / 2, BLUE),
        _sphere(frame_id, TARGET, target, size, GREEN if reached else RED),
        _line(frame_id, PATH, path)])


def _sphere(
    frame_id: str, number: int, pose: np.ndarray, radius: float, colour: tuple[float, ...],
) -> Marker:
    marker = _marker(frame_id, number, Marker.SPHERE, colour)
    position, orientation = marker.pose.position, marker.pose.orientation
    position.x, position.y, position.z = (float(value) for value in pose[:3])
    orientation.x, orientation.y, orientation.z, orientation.w = (
        float(value) for value in pose[3:])
    marker.scale.x = marker.scale.y = marker.scale.z = 2.0 * radius
    return marker


def _line(frame_id: str, number: int, path: Iterable[np.ndarray]) -> Marker:
    marker = _marker(frame_id, number, Marker.LINE_STRIP, BLUE)
    marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in path]
    marker.scale.x = LINE_WIDTH
    return marker


def _marker(frame_id: str, number: int, kind: int, colour: tuple[float, ...]) -> Marker:
    """Return a marker with stamp 0: it is drawn at the viewer's current time."""
    marker = Marker(ns='rl_control', id=number, type=kind, action=Marker.ADD)
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    marker.color = ColorRGBA(**dict(zip('rgb', colour, strict=True)), a=1.0)
    return marker
