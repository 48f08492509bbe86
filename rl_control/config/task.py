# SPDX-License-Identifier: Apache-2.0
"""Task settings: goals, success, rewards and episode length."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class TaskSettings(Settings):
    """Task: goals, success, rewards and episode length."""

    name: str = setting('reach', 'name of the task, part of the contract')
    episode_period: float = setting(
        2.5, 'length of an episode', unit='s', low=0.05, high=3600.0)
    success_distance: float = setting(
        0.02, 'largest distance to the goal that counts as success', unit='m', low=1e-4, high=1.0)
    success_angle: float = setting(
        0.1, 'reach_pose: largest angle to the goal that counts as success', unit='rad', low=1e-3,
        high=3.2)
    path_radius: float = setting(
        0.1, 'follow: radius of the circle on which the target moves', unit='m', low=0.001,
        high=2.0)
    path_period: float = setting(
        6.0, 'follow: time in which the target completes its circle', unit='s', low=0.1,
        high=3600.0)
    goal_range: float = setting(
        1.0, 'goals are poses with every joint within this distance from home', unit='rad',
        low=0.0, high=3.2)
    slide_goal_range: float = setting(
        0.2, 'the same for prismatic joints', unit='m', low=0.0, high=10.0)
    goal_height: float = setting(
        0.1, 'least height of a goal above the base', unit='m', low=-2.0, high=2.0)
    start_range: float = setting(
        0.5, 'start poses have every joint within this distance from home', unit='rad',
        low=0.0, high=3.2)
    slide_start_range: float = setting(
        0.1, 'the same for prismatic joints', unit='m', low=0.0, high=10.0)
    reset_interval: int = setting(
        5, 'episodes between two resets to a start pose', low=1, high=1_000_000)
    action_cost: float = setting(
        0.05, 'cost per mean squared normalised action', low=0.0, high=10.0)
    posture_cost: float = setting(
        0.0, 'cost per mean squared distance of the joints from home', unit='1/rad^2',
        low=0.0, high=10.0)
    sparse: bool = setting(False, 'sparse reward: 0 at the goal and -1 elsewhere')
