# SPDX-License-Identifier: Apache-2.0
"""Contracts, policies, a journal and checkpoints that earlier versions wrote are still read."""

import json
from pathlib import Path
import shutil

import numpy as np
import pytest

from rl_control.bags.bag_reader import Bag
from rl_control.bags.dataset_builder import make_dataset
from rl_control.common.errors import InvalidInput
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import NamedRobot, load_arm
from rl_control.learning import checkpoint
from rl_control.learning.algorithms import settings_of
from rl_control.learning.export import export_checkpoint
from rl_control.policies.onnx_policy import load

STORED = Path(__file__).parents[1] / 'stored'
HASHES = json.loads((STORED / 'contracts.json').read_text())


@pytest.mark.parametrize('names', HASHES)
def test_contracts_keep_their_hash(names: str) -> None:
    assert load_arm(*names.split()).contract().hash == HASHES[names]


@pytest.mark.parametrize('algorithm', ['sac', 'ddpg'])
def test_a_policy_loads_and_its_checkpoint_gives_the_same_actions(algorithm: str) -> None:
    policy = load(STORED / algorithm / 'policy.onnx')  # runs its test vectors
    assert policy.contract.hash == HASHES['two_joint reach']
    exported, error = export_checkpoint(STORED / algorithm)
    assert error < 1e-5 and exported.contract == policy.contract
    for observation in np.random.default_rng(0).normal(
        size=(20, len(policy.contract.observation))
    ):
        np.testing.assert_allclose(
            policy.act(observation)[0], exported.act(observation)[0], atol=1e-5)


def test_a_setting_that_was_renamed_is_read_from_a_checkpoint_and_refused_in_a_file() -> None:
    former = json.loads((next((STORED / 'sac' / 'checkpoints').iterdir()) / 'state.json')
                        .read_text())['settings']
    assert former['speed'] == 'polyak'
    settings = checkpoint.latest(STORED / 'sac' / 'checkpoints').state['settings']
    assert settings['update_schedule'] == 'polyak' and 'speed' not in settings
    with pytest.raises(InvalidInput, match='speed is now called update_schedule; write '
                                           'update_schedule: hard for speed: replay'):
        settings_of('sac').from_mapping({'speed': 'replay'})


def test_a_journal_becomes_a_dataset(tmp_path: Path) -> None:
    run = tmp_path / 'run'
    shutil.copytree(STORED / 'sac', run)
    report, _ = make_dataset(
        [Bag(run / 'journal')], tmp_path / 'data', NamedRobot('', ''), SamplingSettings(), False,
        lambda report: None)
    known = checkpoint.latest(run / 'checkpoints').state['transitions']
    assert report['transitions'] == known == 450
