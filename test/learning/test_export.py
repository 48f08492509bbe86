# SPDX-License-Identifier: Apache-2.0
"""The exported file against torch."""

import logging
from pathlib import Path
import re

from learning import ACTION, CONTRACT, HIGH, LOW, OBSERVATION, made_up_batch, shaken, small_agent
import numpy as np
import onnx
import pytest
import torch

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Column, Contract
from rl_control.config.algorithm import SacSettings
from rl_control.learning import export
from rl_control.learning.algorithms import make_agent
from rl_control.learning.export import Exporter
from rl_control.policies.onnx_policy import OnnxPolicy, TestVectors


@pytest.fixture(scope='module')
def agent():
    return shaken(small_agent('sac', observation_normalisation='running'))


@pytest.fixture(scope='module')
def exporter(agent):
    return Exporter(agent.policy, CONTRACT, 'sac', 'run-1')


@pytest.fixture(autouse=True)
def unchanged(agent):
    """Give the weights back as they were."""
    tensors = agent.tensors()
    yield
    agent.load(tensors)


def _torch(agent, observation, noise):
    with torch.no_grad():
        action, log_prob = agent.policy(torch.tensor(observation), torch.tensor(noise))
    return action.numpy(), log_prob.numpy()


def _inputs(rows: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return (rng.normal(1.0, 3.0, (rows, OBSERVATION)).astype(np.float32),
            rng.standard_normal((rows, ACTION), dtype=np.float32))


def test_metadata(agent, exporter):
    policy = OnnxPolicy(exporter.export(7, 321))
    assert policy.contract == CONTRACT
    assert (policy.algorithm, policy.run, policy.version, policy.training_steps) == (
        'sac', 'run-1', 7, 321)
    assert policy.metadata['robot'] == 'made_up'
    assert policy.noise_size == ACTION and policy.noise_correlation == 0.0
    model = onnx.ModelProto.FromString(policy.data)
    assert model.ir_version <= 10
    assert [opset.version for opset in model.opset_import] == [18]


def test_every_weight_of_the_policy_reaches_the_file(agent, exporter):
    """Change each tensor alone: the file follows torch, and differs from before."""
    observation, noise = _inputs(6)
    before = OnnxPolicy(exporter.export(1, 0))
    accumulators = {'normaliser.count', 'normaliser.exact_mean', 'normaliser.squares',
                    'normaliser.frozen'}
    tensors = agent.policy.state_dict()
    assert accumulators < tensors.keys() and len(tensors) == 16
    for name in sorted(tensors.keys() - accumulators):
        start = tensors[name].clone()
        shift = -0.4 if name.endswith('high') else 0.4
        tensors[name] += shift * torch.rand(start.shape) + shift / 10
        policy = OnnxPolicy(exporter.export(2, 0))
        expected = _torch(agent, observation, noise)
        tensors[name].copy_(start)
        changed = False
        for k in range(6):
            action, log_prob = policy.act(observation[k], noise[k])
            np.testing.assert_allclose(action, expected[0][k], atol=1e-5)
            assert log_prob == pytest.approx(expected[1][k], rel=1e-4, abs=1e-4)
            changed |= not np.allclose(action, before.act(observation[k], noise[k])[0], atol=1e-4)
        assert changed, name


def test_softplus_is_one_operator_and_that_of_torch_at_any_size(agent, exporter):
    operators = [node.op_type for node in onnx.ModelProto.FromString(
        exporter.export(1, 0)).graph.node]
    assert operators.count('Softplus') == 1 and 'Where' not in operators
    observation, noise = _inputs(4)
    for before in (-60.0, -10.1, -9.9, 0.0, 10.1, 60.0):  # torch's threshold is at -10
        agent.policy.actor[-1].weight.data[:ACTION] = 0.0
        agent.policy.actor[-1].bias.data[:ACTION] = before
        policy = OnnxPolicy(exporter.export(1, 0))
        _, expected = _torch(agent, observation, noise)
        found = [policy.act(*inputs)[1] for inputs in zip(observation, noise, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('normalisation', ['none', 'running'])
def test_scalars_that_are_zero_or_one_are_not_folded_away(normalisation):
    """With one column, a fresh normaliser and the bounds are constants an optimiser knows."""
    contract = Contract(
        'made_up', 'none', (), (Column('o', '1'),), (Column('a', 'm'),), (-1.0,), (1.0,),
        'position', 0.1)
    agent = make_agent('sac', contract, SacSettings(
        hidden_sizes=(8,), observation_normalisation=normalisation))
    exporter = Exporter(agent.policy, contract, 'sac', 'run-1')
    agent.observe(np.random.default_rng(0).normal(5.0, 2.0, (20, 1)))
    scale = agent.policy.action_scale
    scale.low -= 1.0
    scale.high += 2.0
    scale.half_range *= 3.0
    policy = OnnxPolicy(exporter.export(1, 0))
    for value in np.linspace(-50.0, 50.0, 9, dtype=np.float32):
        expected, _ = _torch(agent, np.full((1, 1), value), np.zeros((1, 1), np.float32))
        np.testing.assert_allclose(policy.act([value])[0], expected[0], atol=1e-5)


def test_a_file_is_a_snapshot(agent, exporter):
    observation, noise = _inputs(1)
    data = exporter.export(1, 0)
    expected, _ = _torch(agent, observation, noise)
    for k in range(30):
        agent.update(made_up_batch(np.random.default_rng(k)))
    assert not np.allclose(_torch(agent, observation, noise)[0], expected, atol=1e-5)
    np.testing.assert_allclose(
        OnnxPolicy(data).act(observation[0], noise[0])[0], expected[0], atol=1e-5)
    assert exporter.verify(data) <= 1e-5


def test_export_does_not_disturb_learning(agent, exporter):
    """Tracing and exporting leave gradients, generators and weights as they are."""
    other = shaken(small_agent('sac', observation_normalisation='running'))
    other.load(agent.tensors())
    torch_state = torch.get_rng_state()
    exporter.export(3, 0)
    Exporter(agent.policy, CONTRACT, 'sac', 'run-2')
    assert torch.equal(torch_state, torch.get_rng_state())
    for one in (agent, other):
        one.update(made_up_batch(np.random.default_rng(4)))
    assert all(torch.equal(t, other.tensors()[name]) for name, t in agent.tensors().items())


def test_test_vectors_come_from_torch_unrounded(agent, exporter):
    policy = OnnxPolicy(exporter.export(1, 0))
    observation, noise, action = TestVectors.read(policy.metadata, OBSERVATION, ACTION, ACTION)
    assert observation.shape == (16, OBSERVATION)
    assert (noise == 0.0).all(axis=1).sum() == 8
    assert np.array_equal(action, _torch(agent, observation, noise)[0])
    # They tell policies apart: not all in one place, not all at a bound.
    assert (np.ptp(action, axis=0) > 0.2 * np.subtract(HIGH, LOW)).all()


def test_verify_refuses_what_is_not_torch(agent, exporter, monkeypatch):
    data = exporter.export(1, 0)
    assert exporter.verify(data) <= export.PARITY
    exporter._tensors['actor.4.bias'] += 1e-3
    with pytest.raises(InvalidInput, match=r'policy version 1 differs by .* it is not published'):
        exporter.verify(data)
    monkeypatch.setattr(export, 'PARITY', 1.0)
    assert 1e-5 < exporter.verify(data) < 1e-2


def test_weights_that_are_not_finite_are_not_published(agent, exporter):
    with torch.no_grad():
        agent.policy.actor[0].weight[0, 0] = float('nan')
    with pytest.raises(InvalidInput, match='NaN or infinity'):
        exporter.verify(exporter.export(1, 0))


def test_nothing_of_this_machine_is_in_the_file(exporter):
    data = exporter.export(1, 0)
    assert not re.search(rb'\.py|/home|/tmp|site-packages|stack_trace', data)


def test_a_hundred_versions_take_no_more_memory_than_one(exporter, monkeypatch):
    def own_memory() -> int:
        found = re.search(r'RssAnon:\s+(\d+)', Path('/proc/self/status').read_text())
        return int(found[1]) * 1024

    size = 2**17
    monkeypatch.setattr(export, '_bytes', lambda tensor: bytes(size))
    for version in range(10):
        exporter.export(version, 0)
    before = own_memory()
    for version in range(100):
        data = exporter.export(version, 0)
    assert len(data) > 8 * size
    # What protobuf kept of each, were the message the same, would be some 100 times its size.
    assert own_memory() - before < 10 * len(data)


def test_tracing_is_quiet(agent, capfd, caplog):
    with caplog.at_level(logging.WARNING):
        Exporter(agent.policy, CONTRACT, 'sac', 'run-1')
    output = capfd.readouterr()
    assert output.out == '' and output.err == ''
    assert caplog.records == []
