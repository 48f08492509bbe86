# SPDX-License-Identifier: Apache-2.0
"""Settings of whatever moves an arm in real time."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class MotionSettings(Settings):
    """When an arm is brought to rest, and where it does not go."""

    stale_period: float = setting(
        0.1, 'age of joint_states at which the arm is brought to rest, two control periods at '
        'least', unit='s', low=0.001, high=10.0)
    tracking_limit: float = setting(
        0.5, 'distance of a joint from its command at which the arm is brought to rest; 0 for '
        'none', unit='rad', low=0.0, high=10.0)
    workspace_low: tuple[float, ...] = setting(
        (), 'x, y, z that the end effector keeps above, in the base frame; empty: none', unit='m')
    workspace_high: tuple[float, ...] = setting(
        (), 'x, y, z that the end effector keeps below, in the base frame; empty: none', unit='m')
    collision_distance: float = setting(
        0.0, 'distance that the arm keeps from itself and from the plane z = 0 of its base, '
        'by the shapes of the URDF; 0 for not looking', unit='m', low=0.0, high=0.5)
    estop_required: bool = setting(
        False, 'move only while somebody publishes the topic estop, and stop without')
    estop_heartbeat: float = setting(
        0.0, 'longest silence on the topic estop; 0 for any', unit='s', low=0.0, high=60.0)
    real_time: bool = setting(
        True, 'ask the system for real-time priority and locked memory')
