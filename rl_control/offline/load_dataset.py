# SPDX-License-Identifier: Apache-2.0
"""Load the dataset of an offline training, or convert a bag to one, and check it."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_control.bags.dataset import DESCRIPTION, Dataset, describe
from rl_control.bags.dataset_builder import make_dataset, open_bags, source_of
from rl_control.common.errors import InvalidInput
from rl_control.common.transition_batch import TransitionBatch
from rl_control.common.types import Contract
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import GYMNASIUM_PREFIX, NamedRobot
from rl_control.environments.tasks import Task

JOURNAL = 'journal'  # in a learner's directory
DATASET = 'dataset'  # the converted bag, in the directory of the training


def load_data(
    settings: OfflineSettings, sampling: SamplingSettings, robot: NamedRobot,
) -> Dataset:
    """
    Return the dataset that `settings.data` names; that of a bag is stored beside the training.

    Raise InvalidInput for data that is missing, empty, not finite, or of another robot or task.
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
        path = _converted(path, settings, sampling, robot)
    return Dataset.load(path)


def load_transitions(path: Path | str, contract: Contract) -> TransitionBatch:
    """
    Return the transitions of a dataset.

    Raise InvalidInput for a corrupt dataset, and for one of another contract.
    """
    dataset = Dataset.load(path)
    contract.require_equal(dataset.contract, 'this learner', f'dataset {path}')
    return dataset.rows.steps(dataset.streams, dataset.stream)


def task_of(robot: NamedRobot, dataset: Dataset, data: str) -> Task | None:
    """
    Return the task of `robot`, None if no robot is named or it is a Gymnasium environment.

    Raise InvalidInput if its contract differs from that of the `data` (a path, for the sentence).
    """
    if not robot.robot:
        return None
    robot.contract.require_equal(dataset.contract, f'robot {robot.robot}', f'data {data}')
    return None if robot.arm is None else robot.arm.task


def tuned_for(settings: OfflineSettings, contract: Contract) -> dict[str, Any]:
    """
    Return the parameters below `algorithm.` in the file of the data's task, none without a file.

    The file is that of `settings`, if it is of the contract's task, else the packaged one.
    """
    if contract.robot.startswith(GYMNASIUM_PREFIX):
        return {}
    for name in (settings.task, contract.task):
        with suppress(InvalidInput):
            file = parameter_file('tasks', name)
            if read_parameter_file(file, 'task').get('name') == contract.task:
                return read_parameter_file(file, 'algorithm')
    return {}


def _converted(
    path: Path, settings: OfflineSettings, sampling: SamplingSettings, robot: NamedRobot,
) -> Path:
    """Return the dataset converted from the bag at `path`, now or by an earlier start."""
    dataset = Path(settings.out) / DATASET
    bags = open_bags([path / JOURNAL if (path / JOURNAL).is_dir() else path])
    options = robot, sampling, settings.raw
    if dataset.exists():
        if describe(dataset)['source'] != source_of(bags, *options):
            raise InvalidInput(
                f'{dataset} was made from other bags or with other settings; name another out')
        return dataset
    make_dataset(bags, dataset, *options, _require_rows)
    return dataset


def _require_rows(report: Mapping[str, Any]) -> None:
    """Raise InvalidInput with the reasons if the dataset would be empty."""
    if report['transitions']:
        return
    reasons = dict(report.get('refused', {}))
    for bag in report['bags']:
        reasons |= bag.get('reasons', {})
    counts = ', '.join(f'{count} rows: {reason}' for reason, count in reasons.items())
    raise InvalidInput(
        f'the data has no transitions ({counts or "no rows"}); see rl-control bag info'
    )
