# SPDX-License-Identifier: Apache-2.0
"""A dataset as the transitions that a learner begins with."""

from pathlib import Path

from rl_control.bags.dataset import Dataset
from rl_control.common.types import Contract
from rl_control.learning.replay import TransitionBatch


def offline_steps(path: Path | str, contract: Contract) -> TransitionBatch:
    """
    Return the transitions of a dataset.

    Raise InvalidInput unless it is whole and of `contract`.
    """
    dataset = Dataset.load(path)
    contract.require_equal(dataset.contract, 'this learner', f'dataset {path}')
    return dataset.rows.steps(dataset.streams, dataset.stream)
