# SPDX-License-Identifier: Apache-2.0
"""Warm start from an offline training: its weights, its data, its policy at once."""

from dataclasses import replace

import numpy as np
import pytest
from training import ALGORITHM, contract

from rl_control.bags.dataset import Dataset
from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import LearnerSettings
from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.learning.algorithms import settings_of
from rl_control.learning.trainer import Trainer
from rl_control.offline.load_dataset import load_transitions
from rl_control.offline.run import train
from rl_control.offline.warm_start import start_from
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.transport.transition_rows import TransitionRows, transition_columns

UPDATES = 30
OTHERS = {**ALGORITHM, 'gamma': 0.7, 'hidden_sizes': [8, 8]}


@pytest.fixture(scope='module')
def offline(tmp_path_factory):
    """Train offline from random rows; return the directory."""
    out = tmp_path_factory.mktemp('offline')
    generator, columns = np.random.default_rng(0), transition_columns(contract())
    rows = generator.normal(size=(500, len(columns)))
    rows[:, :9] = 0.0
    rows[:, 0], rows[:, 1] = np.arange(500) // 50, np.arange(500) % 50
    Dataset(contract(), TransitionRows.read(rows, contract()), np.zeros(500, np.int64),
            ('run',)).save(out / 'data')
    train(OfflineSettings(data=str(out / 'data'), algorithm='td3_bc', updates=UPDATES,
                          out=str(out / 'trained'), evaluation_updates=0),
          ALGORITHM, SamplingSettings(),
          lambda *_: None, lambda: False)
    return out / 'trained'


def test_the_policy_acts_at_once_and_is_the_one_that_was_left(offline, tmp_path):
    settings = settings_of('td3').from_mapping(OTHERS)
    start = start_from(offline, 'td3', settings, contract())
    assert start.settings == replace(settings, hidden_sizes=(16, 16), gamma=ALGORITHM.get(
        'gamma', settings_of('td3_bc')().gamma))
    published = []
    trainer = Trainer(
        contract(), 'td3', start.settings, LearnerSettings(out=str(tmp_path), threads=1), 'run-1',
        lambda data, version: (published.append((data, version)), trainer.stopped.set()), None,
        load_transitions(start.data, contract()), start.tensors)
    trainer.resume(None, [])
    trainer.run()
    (data, version), = published
    policy, left = OnnxPolicy(data), OnnxPolicy((offline / 'policy.onnx').read_bytes())
    assert (version, policy.version, policy.algorithm) == (0, 0, 'td3')
    assert left.version == UPDATES and len(trainer.demonstrations) == 500
    observation = np.random.default_rng(1).normal(size=3)
    assert policy.act(observation)[0] == pytest.approx(left.act(observation)[0], abs=1e-6)
    before = {name: tensor for name, tensor in start.tensors.items() if 'critic' in name}
    now = trainer.agent.tensors()
    assert before and all((now[name] == tensor).all() for name, tensor in before.items())


def test_an_invalid_start_is_rejected(offline, tmp_path):
    settings = settings_of('sac').from_mapping(OTHERS)
    with pytest.raises(InvalidInput, match=r'continues as td3_bc or td3, but .* sac; set td3_bc'):
        start_from(offline, 'sac', settings, contract())
    with pytest.raises(InvalidInput, match='has no intact checkpoint'):
        start_from(tmp_path, 'td3', settings, contract())
    other = replace(contract(), control_period=0.5)
    with pytest.raises(InvalidInput, match='control_period'):
        start_from(offline, 'td3', settings, other)
    data = offline.with_name('data')
    data.rename(offline.with_name('elsewhere'))
    with pytest.raises(
        InvalidInput, match=r'trained from .*data, which is missing; restore it'
    ):
        start_from(offline, 'td3', settings, contract())
    offline.with_name('elsewhere').rename(data)
