# SPDX-License-Identifier: Apache-2.0
"""A dataset as the transitions that a learner begins with."""

from pathlib import Path

from rl_control.bags.dataset import Dataset
from rl_control.replay import Steps
from rl_control.types import Contract


def offline_steps(path: Path | str, contract: Contract) -> Steps:
    """Return the transitions of a dataset; raise Refused unless it is whole and of `contract`."""
    dataset = Dataset.load(path)
    contract.require_equal(dataset.contract, 'this learner', f'dataset {path}')
    rows = dataset.rows
    return Steps(
        dataset.streams, dataset.stream, rows.episode, rows.step, rows.observation, rows.action,
        rows.reward, rows.next_observation, 1.0 - rows.terminated)
