# SPDX-License-Identifier: Apache-2.0
"""Replay buffers of episodes with goals."""

import numpy as np

from rl_control.common import poses
from rl_control.common.types import Command, State
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks import make_task
from rl_control.learning.replay import ReplayBuffer

HOME = np.zeros(2)
JOINTS, TURN = 2, 0.1  # rad a step


def state_at(rng: np.random.Generator, goal) -> State:
    pose = np.eye(4)
    pose[:3, 3] = rng.normal(size=3)
    return State(0.0, rng.normal(size=2), rng.normal(size=2), pose,
                 Command(*rng.normal(size=(3, 2))), np.array(goal))


def filled(sparse: bool = True, capacity: int = 60, success_distance: float = 0.5,
           name: str = 'reach'):
    """Two streams by turns, episodes of 10 steps; the arm goes 1 m along x and turns a step."""
    task = make_task(TaskSettings(
        name=name, sparse=sparse, success_distance=success_distance, success_angle=0.15), HOME)
    replay = ReplayBuffer(len(task.columns(('a', 'b'))), JOINTS, capacity, seed=0)
    where = []
    for k in range(100):
        stream, number = k % 2, k // 2
        episode, step = divmod(number, 10)
        rows = []
        for x in (step, step + 1):
            state = state_at(np.random.default_rng(k), poses.from_position((1000.0, 0.0, 0.0)))
            state.pose[:3, 3] = [100.0 * episode + x, 10.0 * stream, 0.0]
            state.pose[:2, :2] = [[np.cos(TURN * x), -np.sin(TURN * x)],
                                  [np.sin(TURN * x), np.cos(TURN * x)]]
            rows.append(task.observe(state))
        replay.append('ab'[stream], episode, step, rows[0], [1.0, 2.0], -7.0, rows[1], 1.0)
        where.append((stream, episode, step))
    return task, replay, where
