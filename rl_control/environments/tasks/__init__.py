# SPDX-License-Identifier: Apache-2.0
"""Tasks by name: those of this package and those of installed packages."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks.follow import Follow
from rl_control.environments.tasks.reach import Reach
from rl_control.environments.tasks.reach_pose import ReachPose
from rl_control.environments.tasks.task import Task

__all__ = ['TASKS', 'Task', 'make_task', 'settings_class', 'task_settings']

TASKS: dict[str, Callable[[TaskSettings, np.ndarray], Task]] = {
    'reach': Reach, 'reach_pose': ReachPose, 'follow': Follow}


def make_task(settings: TaskSettings, home: np.ndarray) -> Task:
    """
    Return the task `settings.name` for an arm with the start pose `home` (n,).

    Other packages add tasks by an entry point of the group `rl_control.tasks`. Raise InvalidInput
    for an unknown name.
    """
    return _task(settings.name)(settings, home)


def task_settings(values: Mapping[str, Any]) -> TaskSettings:
    """
    Return the settings in `values`, of the class that the named task has for its own.

    A task of another package has settings of its own as a class attribute `Settings`, a subclass
    of TaskSettings. Raise InvalidInput for an unknown task, setting or value.
    """
    return settings_class(values.get('name', TaskSettings.name)).from_mapping(values)


def settings_class(name: str) -> type[TaskSettings]:
    """Return the class of the settings of a task, or raise InvalidInput."""
    return getattr(_task(name), 'Settings', TaskSettings)


def _task(name: str) -> Callable[[TaskSettings, np.ndarray], Task]:
    if name in TASKS:
        return TASKS[name]
    others = {entry.name: entry for entry in entry_points(group='rl_control.tasks')}
    if name not in others:
        known = ', '.join([*TASKS, *others])
        raise InvalidInput(f'task {name!r} is not known; known are {known}')
    return others[name].load()
