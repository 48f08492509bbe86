# SPDX-License-Identifier: Apache-2.0
"""URDF for the topic robot_description: mesh paths made absolute."""

from pathlib import Path
from xml.etree import ElementTree


def robot_description(urdf: Path) -> tuple[str, str]:
    """
    Return the text of a URDF for the topic robot_description, and the name of its root link.

    Relative mesh paths become absolute, since subscribers do not know the file's directory.
    """
    robot = ElementTree.parse(urdf).getroot()
    for mesh in robot.iter('mesh'):
        name = mesh.get('filename', '')
        if '://' not in name:
            mesh.set('filename', (urdf.parent / name).resolve().as_uri())
    children = {child.get('link') for child in robot.iter('child')}
    root = next(link.get('name', '') for link in robot.iter('link')
                if link.get('name') not in children)
    return ElementTree.tostring(robot, encoding='unicode'), root
