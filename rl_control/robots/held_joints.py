# SPDX-License-Identifier: Apache-2.0
"""Held joints: the positions of joints that are not driven, such as the fingers of a gripper."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rl_control.common.errors import InvalidInput
from rl_control.robots.kinematics import DRIVABLE_TYPES, _numbers, _parse

NOTHING_HELD: Mapping[str, float] = MappingProxyType({})


def held_positions(
    urdf: Path, driven: tuple[str, ...], chosen: Mapping[str, float],
) -> dict[str, float]:
    """
    Return the position (rad, m) of each joint of a URDF that neither is nor mimics a `driven` one.

    It is the one in `chosen`, or 0; for a joint with `mimic` it is multiplier times the other
    joint's position plus offset. Raises InvalidInput for a chosen joint that cannot be held there.
    """
    joints = {
        joint.get('name', ''): joint for joint in _parse(urdf).findall('joint')
        if joint.get('type') in DRIVABLE_TYPES}
    mimics = {name: mimic for name, joint in joints.items()
              if name not in driven and (mimic := joint.find('mimic')) is not None}
    free = [name for name in joints if name not in driven and name not in mimics]
    for name, position in chosen.items():
        if name not in free:
            raise InvalidInput(
                f'robot.held_joints names {name!r}; joints of {urdf} that can be held are '
                f'{", ".join(free) or "none"}')
        limit = joints[name].find('limit')
        if limit is not None and joints[name].get('type') != 'continuous':
            low, high = (_numbers(urdf, name, 'limit', limit.get(key, '0'))[0]
                         for key in ('lower', 'upper'))
            if not low <= position <= high:
                raise InvalidInput(
                    f'robot.held_positions of {name} is {position}, its URDF allows {low} to '
                    f'{high}; keep it inside')
    held = {name: chosen.get(name, 0.0) for name in free}
    for name, mimic in mimics.items():
        if mimic.get('joint') in driven:
            continue
        multiplier, offset = (_numbers(urdf, name, 'mimic', mimic.get(key, absent))[0]
                              for key, absent in (('multiplier', '1'), ('offset', '0')))
        held[name] = multiplier * held.get(mimic.get('joint', ''), 0.0) + offset
    return held
