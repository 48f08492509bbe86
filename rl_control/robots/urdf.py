# SPDX-License-Identifier: Apache-2.0
"""URDF for the topic robot_description: mesh paths made absolute."""

from pathlib import Path
from xml.etree import ElementTree


def robot_description(urdf: Path) -> str:
    """
    Return the text of a URDF for the topic robot_description.

    Relative mesh paths become absolute, since subscribers do not know the file's directory.
    """
    robot = ElementTree.parse(urdf).getroot()
    for mesh in robot.iter('mesh'):
        name = mesh.get('filename', '')
        if '://' not in name:
            mesh.set('filename', (urdf.parent / name).resolve().as_uri())
    return ElementTree.tostring(robot, encoding='unicode')
