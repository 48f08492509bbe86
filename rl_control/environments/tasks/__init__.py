# SPDX-License-Identifier: Apache-2.0
"""Tasks by name: those of this package and those of installed packages."""

from collections.abc import Callable
from importlib.metadata import entry_points

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks.follow import Follow
from rl_control.environments.tasks.reach import Reach
from rl_control.environments.tasks.reach_pose import ReachPose
from rl_control.environments.tasks.task import Task

__all__ = ['TASKS', 'Task', 'make_task']

TASKS: dict[str, Callable[[TaskSettings, np.ndarray], Task]] = {
    'reach': Reach, 'reach_pose': ReachPose, 'follow': Follow}


def make_task(settings: TaskSettings, home: np.ndarray) -> Task:
    """
    Return the task `settings.name` for an arm with the start pose `home` (n,).

    Other packages add tasks by an entry point of the group `rl_control.tasks`. Raise InvalidInput
    for an unknown name.
    """
    if settings.name in TASKS:
        return TASKS[settings.name](settings, home)
    others = {entry.name: entry for entry in entry_points(group='rl_control.tasks')}
    if settings.name not in others:
        known = ', '.join([*TASKS, *others])
        raise InvalidInput(f'task {settings.name!r} is not known; known are {known}')
    return others[settings.name].load()(settings, home)
