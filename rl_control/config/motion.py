# SPDX-License-Identifier: Apache-2.0
"""Motion settings: stop conditions, workspace and priority of a real-time controller."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class MotionSettings(Settings):
    """Stop conditions and workspace of an arm that moves in real time."""

    stale_period: float = setting(
        0.1, 'age of joint_states at which the arm is brought to rest; two control periods where '
        'that is longer', unit='s', low=0.001, high=10.0)
    tracking_limit: float = setting(
        0.5, 'distance of a joint from its command at which the arm is brought to rest; 0: '
        'none', unit='rad', low=0.0, high=10.0)
    slide_tracking_limit: float = setting(
        0.05, 'the same for prismatic joints', unit='m', low=0.0, high=10.0)
    workspace_low: tuple[float, ...] = setting(
        (), 'least x, y, z of the end effector in the base frame; empty: none', unit='m')
    workspace_high: tuple[float, ...] = setting(
        (), 'largest x, y, z of the end effector in the base frame; empty: none', unit='m')
    collision_distance: float = setting(
        0.0, 'least distance of the arm from itself and from the plane z = 0 of its base, '
        'by the shapes of the URDF; 0: no collision check', unit='m', low=0.0, high=0.5)
    estop_required: bool = setting(
        False, 'require a publisher on the topic estop: without one the arm stops')
    estop_heartbeat: float = setting(
        0.0, 'longest time between two messages on the topic estop; 0: no limit', unit='s',
        low=0.0, high=60.0)
    real_time: bool = setting(
        True, 'request real-time priority and locked memory from the system')
