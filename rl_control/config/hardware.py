# SPDX-License-Identifier: Apache-2.0
"""Settings of collecting on an arm behind topics."""

from dataclasses import dataclass

from rl_control.config.base import setting
from rl_control.config.motion import MotionSettings


@dataclass(frozen=True)
class HardwareSettings(MotionSettings):
    """An arm to collect on: how it comes to a start pose, what a person has a say in."""

    reset_speed: float = setting(
        0.2, 'speed on the way to a start pose, as a share of each velocity limit', low=0.001,
        high=1.0)
    reset_timeout: float = setting(
        30.0, 'longest way to a start pose; then the arm stops and waits for a person', unit='s',
        low=0.1, high=600.0)
    wait_for_person: bool = setting(
        False, 'begin an episode only after a call of the service ~/next')
    reward: str = setting(
        'computed', "where rewards come from: the task's formula, or the topic reward",
        choices=('computed', 'topic'))
    success: str = setting(
        'computed', "who says that an episode succeeded: the task's formula, or the topic "
        'success, which also ends the episode', choices=('computed', 'topic'))
