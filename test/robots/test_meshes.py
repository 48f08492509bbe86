# SPDX-License-Identifier: Apache-2.0
"""Mesh files of a URDF: where they are found, and which ones MuJoCo can have."""

from pathlib import Path
import struct

import pytest

from rl_control.robots.meshes import find_mesh, mesh_problem


@pytest.fixture
def urdf(tmp_path: Path) -> Path:
    """Return share/arm/urdf/arm.urdf, a file that is not there, in a folder that is."""
    folder = tmp_path / 'share' / 'arm' / 'urdf'
    folder.mkdir(parents=True)
    return folder / 'arm.urdf'


def put(path: Path, data: bytes = b'v 0 0 0') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_relative_and_absolute_names(urdf: Path) -> None:
    mesh = put(urdf.parent / 'meshes' / 'link.obj')
    for name in ('meshes/link.obj', str(mesh), f'file://{mesh}'):
        assert find_mesh(urdf, name) == mesh
    assert find_mesh(urdf, 'meshes/other.obj') is None


def test_packages_are_found_above_the_urdf_and_in_sourced_workspaces(
    urdf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    beside = put(urdf.parents[1] / 'meshes' / 'link.obj')  # share/arm/meshes
    assert find_mesh(urdf, 'package://arm/meshes/link.obj') == beside
    assert find_mesh(urdf, 'package://of_another_name/meshes/link.obj') == beside
    elsewhere = put(tmp_path / 'ws' / 'share' / 'hand' / 'finger.obj')
    assert find_mesh(urdf, 'package://hand/finger.obj') is None
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path / "none"}:{tmp_path / "ws"}')
    assert find_mesh(urdf, 'package://hand/finger.obj') == elsewhere


def test_only_what_mujoco_reads_has_no_problem(urdf: Path) -> None:
    binary = b'solid'.ljust(80) + struct.pack('<I', 2) + bytes(100)  # many begin like ASCII ones
    for name, data in (('link.obj', b'v 0 0 0'), ('link.stl', binary), ('LINK.STL', binary)):
        put(urdf.parent / name, data)
        assert mesh_problem(urdf, name) == ''
    put(urdf.parent / 'link.dae')
    put(urdf.parent / 'text.stl', b'solid arm\nendsolid arm\n'.ljust(200))
    assert 'link.dae is none of the formats' in mesh_problem(urdf, 'link.dae')
    assert 'text.stl is no binary STL' in mesh_problem(urdf, 'text.stl')
    assert 'none.obj is not found; give mesh paths' in mesh_problem(urdf, 'none.obj')
