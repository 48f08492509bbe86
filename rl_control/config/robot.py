# SPDX-License-Identifier: Apache-2.0
"""Robot settings: an arm and the limits of its commands."""

from dataclasses import dataclass

from rl_control.config.base import Settings, required, setting


@dataclass(frozen=True)
class RobotSettings(Settings):
    """
    One arm: its URDF, driven joints, start pose and limits.

    A tuple of limits has one element for all joints or one per joint. Empty position limits:
    those of the URDF.
    """

    name: str = setting('', 'name of the robot, part of the contract')
    urdf: str = setting(
        '', 'path of the URDF, absolute or relative to the working directory; pybullet_data:PATH '
        'for one that PyBullet ships, config:PATH for one of this package')
    joint_names: tuple[str, ...] = setting((), 'driven joints, in the order of the contract')
    end_effector: str = setting('', 'link whose frame is to reach the goal')
    frame_aliases: tuple[str, ...] = setting(
        ('world',), 'names, beside that of the root link of the URDF, under which poses of the '
        'base frame are accepted; a name of another link of the URDF is none')
    home: tuple[float, ...] = setting((), 'joint positions of the start pose', unit='rad, m')
    held_joints: tuple[str, ...] = setting(
        (), 'joints that are not driven and are held at held_positions, such as a finger; others '
        'that are not driven are held at 0 or follow the joint that they mimic')
    held_positions: tuple[float, ...] = setting(
        (), 'positions of held_joints, m for a prismatic joint', unit='rad, m')
    zero_is_valid: bool = setting(
        False, 'accept joint states that are exactly 0.0 for all joints before the first motion; '
        'drivers publish such before they have measured')
    position_low: tuple[float, ...] = setting((), 'lower soft limits of position', unit='rad, m')
    position_high: tuple[float, ...] = setting((), 'upper soft limits of position', unit='rad, m')
    velocity_limit: tuple[float, ...] = setting(
        (1.5,), 'largest joint speed', unit='rad/s, m/s', low=1e-3)
    acceleration_limit: tuple[float, ...] = setting(
        (10.0,), 'largest joint acceleration', unit='rad/s^2, m/s^2', low=1e-2)
    jerk_limit: tuple[float, ...] = setting(
        (200.0,), 'largest joint jerk', unit='rad/s^3, m/s^3', low=1e-1)
    command_interface: str = setting(
        'position', 'command interface of the arm; for effort use a trajectory controller, '
        'which has the gains', choices=('position', 'velocity'))
    control_rate: float = setting(
        20.0, 'rate of the policy', unit='Hz', low=0.1, high=1000.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ('name', 'urdf', 'joint_names', 'end_effector'):
            required(getattr(self, name), f'robot.{name}')
