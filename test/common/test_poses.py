# SPDX-License-Identifier: Apache-2.0
"""Poses and rotations, compared with PyBullet."""

import numpy as np
import pybullet
import pytest

from rl_control.common import poses


def some(count: int) -> np.ndarray:
    """Return unit quaternions (count, 4), w at least 0, the awkward ones first."""
    drawn = np.random.default_rng(0).normal(size=(count, 4))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn[drawn[:, 3] < 0.0] *= -1.0
    return np.concatenate((np.eye(4), drawn))


@pytest.mark.parametrize('quaternion', some(20))
def test_pose_from_matrix_and_back(quaternion: np.ndarray) -> None:
    matrix = np.reshape(pybullet.getMatrixFromQuaternion(quaternion), (3, 3))
    frame = np.eye(4)
    frame[:3, :3], frame[:3, 3] = matrix, (1.0, 2.0, 3.0)
    pose = poses.from_matrix(frame)
    np.testing.assert_allclose(poses.rotation(pose), matrix, atol=1e-12)
    np.testing.assert_allclose(pose[3:], quaternion, atol=1e-12)
    np.testing.assert_array_equal(pose[:3], (1.0, 2.0, 3.0))


def test_rotation_vectors_are_axis_times_angle() -> None:
    quaternions = some(50)
    matrices = np.array([
        np.reshape(pybullet.getMatrixFromQuaternion(row), (3, 3)) for row in quaternions])
    vectors = poses.rotation_vector(matrices)
    for row, vector in zip(quaternions, vectors, strict=True):
        axis, angle = pybullet.getAxisAngleFromQuaternion(row)
        wanted = np.array(axis) * angle if angle <= np.pi else np.array(axis) * (angle - 2 * np.pi)
        if np.isclose(angle, np.pi):  # a half turn has two axes
            wanted = wanted * np.copysign(1.0, wanted @ vector)
        np.testing.assert_allclose(vector, wanted, rtol=1e-6, atol=1e-9)


def test_a_half_turn_about_a_slanted_axis_and_a_tiny_turn() -> None:
    axis = np.array([1.0, -2.0, 2.0]) / 3.0
    half = poses.rotation_vector(2.0 * np.outer(axis, axis) - np.eye(3))
    np.testing.assert_allclose(half * np.copysign(1.0, half @ axis), np.pi * axis, atol=1e-12)
    tiny = 1e-9 * axis
    cross = np.cross(np.eye(3), tiny)
    np.testing.assert_allclose(poses.rotation_vector(np.eye(3) + cross), tiny, atol=1e-15)


def test_a_pose_from_a_position_has_the_identity_orientation() -> None:
    np.testing.assert_array_equal(poses.rotation(poses.from_position((1.0, 2.0, 3.0))), np.eye(3))
