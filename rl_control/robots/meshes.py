# SPDX-License-Identifier: Apache-2.0
"""Mesh files of a URDF: where they are, and which of them MuJoCo reads."""

import os
from pathlib import Path

READABLE = ('.obj', '.stl')
STL_HEADER, STL_FACET = 84, 50  # bytes


def find_mesh(urdf: Path, filename: str) -> Path | None:
    """
    Return the file of a mesh that `urdf` names, or None where there is none.

    `package://NAME/PATH` is looked for in share/ of the sourced ROS workspaces
    (AMENT_PREFIX_PATH), then PATH and NAME/PATH in the folders above the URDF; all other names
    are relative to the URDF's folder.
    """
    if filename.startswith('package://'):
        whole = filename.removeprefix('package://')
        inner = whole.partition('/')[2]
        prefixes = [part for part in os.environ.get('AMENT_PREFIX_PATH', '').split(':') if part]
        candidates = [Path(prefix, 'share', whole) for prefix in prefixes]
        for folder in urdf.absolute().parents:
            candidates += [folder / whole, folder / inner]
    else:
        candidates = [urdf.parent / filename.removeprefix('file://')]
    return next((path for path in candidates if path.is_file()), None)


def mesh_problem(urdf: Path, filename: str) -> str:
    """Return why MuJoCo cannot read a mesh and the remedy, or '' when it can."""
    path = find_mesh(urdf, filename)
    if path is None:
        return f'{filename} is not found; give mesh paths relative to the URDF'
    if path.suffix.lower() not in READABLE:
        return (f'{filename} is none of the formats that MuJoCo reads '
                f'({", ".join(READABLE)}); convert it')
    if path.suffix.lower() == '.stl':
        with path.open('rb') as file:
            facets = int.from_bytes(file.read(STL_HEADER)[80:], 'little')
        if path.stat().st_size != STL_HEADER + STL_FACET * facets:
            return f'{filename} is no binary STL, which alone MuJoCo reads; convert it'
    return ''
