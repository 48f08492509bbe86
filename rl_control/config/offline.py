# SPDX-License-Identifier: Apache-2.0
"""Settings of a training from fixed data."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class OfflineSettings(Settings):
    """A training from fixed data: from what, with what, for how long, and how it is judged."""

    data: str = setting('', 'dataset, bag, or directory of a run with its journal')
    algorithm: str = setting('iql', 'name of the algorithm')
    updates: int = setting(50_000, 'updates to make in all', low=1, high=1_000_000_000)
    out: str = setting('runs/offline', 'directory of everything that the training leaves')
    robot: str = setting(
        '', "name in config/robots, path of such a file, or gymnasium:ID; empty: the data's own, "
        "which a bag of a robot's topics does not say")
    task: str = setting('reach', 'name in config/tasks, or path of such a file')
    raw: bool = setting(False, "take the robot's topics even where transitions were recorded")
    threads: int = setting(1, 'threads of torch', low=1, high=256)
    checkpoint_period: float = setting(
        30.0, 'time between two checkpoints', unit='s', low=0.1, high=86400.0)
    evaluation_updates: int = setting(
        10_000, 'updates of the fitted Q evaluation at the end; 0: none', low=0,
        high=10_000_000)
    evaluation_members: int = setting(
        10, 'fits to resampled episodes, whose spread is the interval', low=4, high=100)
