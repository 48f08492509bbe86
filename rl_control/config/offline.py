# SPDX-License-Identifier: Apache-2.0
"""Offline settings: a training from fixed data."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class OfflineSettings(Settings):
    """Offline training: its data, algorithm, length and evaluation."""

    data: str = setting('', 'dataset, bag, or directory of a run with its journal')
    algorithm: str = setting('iql', 'name of the algorithm')
    updates: int = setting(50_000, 'updates to make in all', low=1, high=1_000_000_000)
    out: str = setting('runs/offline', 'directory of all files of the training')
    robot: str = setting(
        '', "name in config/robots, path of such a file, or gymnasium:ID; empty: the one of the "
        "data; required for a bag of a robot's topics")
    task: str = setting('reach', 'name in config/tasks, or path of such a file')
    raw: bool = setting(False, "use the robot's topics even where transitions were recorded")
    threads: int = setting(1, 'threads of torch', low=1, high=256)
    checkpoint_period: float = setting(
        30.0, 'time between two checkpoints', unit='s', low=0.1, high=86400.0)
    evaluation_updates: int = setting(
        10_000, 'updates of the fitted Q evaluation at the end; 0: none', low=0,
        high=10_000_000)
    evaluation_members: int = setting(
        10, 'bootstrap fits (resampled episodes) for the confidence interval', low=4, high=100)
