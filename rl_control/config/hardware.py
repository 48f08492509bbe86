# SPDX-License-Identifier: Apache-2.0
"""Hardware settings: collect on an arm reached over ROS topics."""

from dataclasses import dataclass

from rl_control.config.base import setting
from rl_control.config.motion import MotionSettings


@dataclass(frozen=True)
class HardwareSettings(MotionSettings):
    """Collection on hardware: resets to start poses, and the part of the operator."""

    reset_speed: float = setting(
        0.2, 'speed on the way to a start pose, as a share of each velocity limit', low=0.001,
        high=1.0)
    reset_timeout: float = setting(
        30.0, 'longest time to a start pose; then the arm stops and waits for the operator',
        unit='s', low=0.1, high=600.0)
    wait_for_person: bool = setting(
        False, 'begin each episode only after a call of the service ~/next')
    reward: str = setting(
        'computed', "source of rewards: computed, the task's formula; or the topic reward",
        choices=('computed', 'topic'))
    success: str = setting(
        'computed', "source of success: computed, the task's formula; or the topic success, "
        'which also ends the episode', choices=('computed', 'topic'))
