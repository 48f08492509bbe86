# SPDX-License-Identifier: Apache-2.0
"""What is trained from: a dataset, or one made of a bag, checked before anything is learned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_control.bags.dataset import DESCRIPTION, Dataset, describe
from rl_control.bags.dataset_builder import make_dataset, open_bags, source_of
from rl_control.common.errors import InvalidInput
from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import GYMNASIUM_PREFIX, load_arm, make_environment
from rl_control.environments.tasks import Task

JOURNAL = 'journal'  # of a learner's directory
MADE = 'dataset'  # what is made of a bag, in the directory of the training


def load_data(settings: OfflineSettings, sampling: SamplingSettings) -> Dataset:
    """
    Return the transitions that `settings.data` names; those of a bag are kept beside the training.

    Raise InvalidInput for data that is none, empty, not finite, or of another robot or task.
    """
    if not settings.data:
        raise InvalidInput(
            'setting data is empty; name a dataset, a bag, or the directory of a run'
        )
    path = Path(settings.data).expanduser()
    if not path.exists():
        raise InvalidInput(
            f'there is no data {path}; name a dataset, a bag, or the directory of a run'
        )
    if not (path / DESCRIPTION).is_file():
        path = _made_of(path, settings, sampling)
    return Dataset.load(path)


def task_of(settings: OfflineSettings, dataset: Dataset) -> Task | None:
    """
    Return the task of the robot that `settings` name, None where it has none.

    Raise InvalidInput where robot and task are not those of the data.
    """
    if not settings.robot:
        return None
    name = f'robot {settings.robot}'
    if settings.robot.startswith(GYMNASIUM_PREFIX):
        environment = make_environment(settings.robot, '')
        environment.close()
        environment.contract.require_equal(dataset.contract, name, f'data {settings.data}')
        return None
    arm = load_arm(settings.robot, settings.task)
    arm.contract().require_equal(dataset.contract, name, f'data {settings.data}')
    return arm.task


def _made_of(path: Path, settings: OfflineSettings, sampling: SamplingSettings) -> Path:
    """Return the dataset that is, or was before, made of the bag at `path`."""
    made = Path(settings.out) / MADE
    bags = open_bags([path / JOURNAL if (path / JOURNAL).is_dir() else path])
    how = settings.robot, settings.task, sampling, settings.raw
    if made.exists():
        if describe(made)['source'] != source_of(bags, *how):
            raise InvalidInput(f'{made} was made of other bags, or otherwise; name another out')
        return made
    make_dataset(bags, made, *how, _require_rows)
    return made


def _require_rows(report: Mapping[str, Any]) -> None:
    """Say why there is nothing to learn from."""
    if report['transitions']:
        return
    reasons = dict(report.get('refused', {}))
    for bag in report['bags']:
        reasons |= bag.get('reasons', {})
    words = ', '.join(f'{count} rows: {reason}' for reason, count in reasons.items())
    raise InvalidInput(
        f'the data has no transitions ({words or "no rows"}); see rl-control bag info'
    )
