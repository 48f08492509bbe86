# SPDX-License-Identifier: Apache-2.0
"""The tasks, by name."""

import numpy as np

from rl_control.config.task import TaskSettings
from rl_control.errors import Refused
from rl_control.tasks.follow import Follow
from rl_control.tasks.reach import Reach
from rl_control.tasks.reach_pose import ReachPose
from rl_control.tasks.task import Task

TASKS: dict[str, type[Task]] = {'reach': Reach, 'reach_pose': ReachPose, 'follow': Follow}


def make_task(settings: TaskSettings, home: np.ndarray) -> Task:
    """Return the task that is named, for an arm with the start pose `home` (n,), or Refused."""
    if settings.name not in TASKS:
        raise Refused(f'task {settings.name!r} is not known; known are {", ".join(TASKS)}')
    return TASKS[settings.name](settings, home)
