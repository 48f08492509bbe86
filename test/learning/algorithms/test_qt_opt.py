# SPDX-License-Identifier: Apache-2.0
"""QT-Opt by numbers worked by hand."""

from dataclasses import replace
import time

from learning import ACTION, CONTRACT, OBSERVATION, made_up_batch, shaken, small_agent
import numpy as np
import onnx
import pytest
import torch

from rl_control.common.errors import InvalidInput, NonFinite
from rl_control.common.types import Column
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.learning.algorithms import make_agent, qt_opt, settings_of, values_of
from rl_control.learning.export import Exporter
from rl_control.policies.onnx_policy import OnnxPolicy


class Hill(torch.nn.Module):
    """A critic of one hill, `height` at `top`, that adds the observation's first column."""

    def __init__(self, top: list[float], height: float):
        super().__init__()
        self.top, self.height = torch.tensor(top), height

    def forward(self, observation, action):
        return self.of_candidates(observation, action[:, None])[..., 0]

    def of_candidates(self, observation, actions, first=None):
        away = (actions - self.top).square().sum(-1)
        return (self.height + observation[:, :1] - away)[None]


def _hills(averaged: Hill, lagged: Hill, **values):
    agent = small_agent('qt_opt', gamma=0.9, cem_iterations=8, cem_samples=256, **values)
    agent.averaged_critic, agent.lagged_critic = averaged, lagged
    return agent


@pytest.mark.parametrize(('lagged', 'expected'), [
    # The averaged critic is 20 at its top, where the lagged one is 15, or 25 if higher.
    (Hill([0.5, 0.0, -0.5], 15.0), 15.0),
    (Hill([0.5, 0.0, -0.5], 25.0), 20.0),
    # Where the averaged one is best, not where the lagged one is: 20 - 0.5^2.
    (Hill([0.0, 0.0, -0.5], 20.0), 19.75),
])
def test_target_q(lagged, expected):
    agent = _hills(Hill([0.5, 0.0, -0.5], 20.0), lagged)
    target_q = agent.target_q(
        torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.9, 0.0]), torch.zeros(3, OBSERVATION))
    torch.testing.assert_close(target_q, torch.tensor(
        [1.0 + 0.9 * expected, 2.0 + 0.81 * expected, 3.0]), atol=0.02, rtol=0.0)


class Hills(Hill):
    """Critics of one hill each."""

    def __init__(self, *hills: Hill):
        super().__init__([0.0], 0.0)
        self.hills = hills

    def of_candidates(self, observation, actions, first=None):
        return torch.cat([hill.of_candidates(observation, actions) for hill in self.hills[:first]])


def test_of_several_critics_the_smallest_counts_where_the_first_is_largest():
    first, second = Hill([0.5, 0.0, -0.5], 20.0), Hill([0.0, 0.0, -0.5], 18.0)
    both = Hills(first, second)
    agent = _hills(both, Hills(first, first), critics=2, target_critics=2)
    target_q = agent.target_q(torch.zeros(1), torch.ones(1), torch.zeros(1, OBSERVATION))
    assert target_q.item() == pytest.approx(0.9 * (18.0 - 0.25), abs=0.02)
    # The policy goes where the smallest is largest: with 20 - (a - 0.5)^2 and 18 - a^2 at the
    # second's top, for there the first is larger.
    agent.policy.critic = both
    action = agent.policy.action_scale.normalise(
        agent.policy(torch.zeros(1, OBSERVATION), torch.zeros(1, ACTION)))
    torch.testing.assert_close(action[0], second.top, atol=0.1, rtol=0.0)


def test_where_a_random_subset_counts_the_policy_searches_the_mean():
    """Hills of one width add up to one whose top is midway between theirs."""
    hills = [Hill([0.6, 0.0, -0.3], 1.0), Hill([0.0, 0.9, -0.3], 2.0), Hill([0.0, 0.0, 0.0], 9.0)]
    agent = _hills(Hills(*hills), Hills(*hills), critics=3, target_critics=2)
    agent.policy.critic = Hills(*hills)
    action = agent.policy.action_scale.normalise(
        agent.policy(torch.zeros(1, OBSERVATION), torch.zeros(1, ACTION)))
    torch.testing.assert_close(action[0], torch.tensor([0.2, 0.3, -0.2]), atol=0.05, rtol=0.0)
    # In the target two of the three count, at the top of the first: 1, 2 - 1.17 and 9 - 0.45.
    targets = {round(agent.target_q(
        torch.zeros(1), torch.ones(1), torch.zeros(1, OBSERVATION)).item() / 0.9, 1)
        for _ in range(40)}
    assert targets == {0.8, 1.0}


def test_chunks_are_put_together_in_order(monkeypatch):
    agent = _hills(Hill([0.0] * 3, 1.0), Hill([0.0] * 3, 1.0))
    monkeypatch.setattr(qt_opt, 'CHUNK', 4)
    next_observation = torch.zeros(11, OBSERVATION)
    next_observation[:, 0] = torch.arange(11.0)
    target_q = agent.target_q(torch.zeros(11), torch.ones(11), next_observation)
    torch.testing.assert_close(target_q, 0.9 * torch.arange(1.0, 12.0), atol=0.02, rtol=0.0)


def test_critic_loss():
    agent = small_agent('qt_opt')
    agent.critic = Hill([0.0] * 3, 5.0)
    action = torch.tensor([[0.0] * 3, [1.0, 0.0, -1.0]])
    q = agent.critic(torch.zeros(2, OBSERVATION), action)
    loss = agent.critic_loss(q, torch.tensor([3.0, 5.0]), 1.0)
    assert loss.item() == pytest.approx((4.0 + 4.0) / 2.0)


def test_one_network_is_averaged_and_one_lags():
    agent = small_agent('qt_opt', tau=0.1, lag=3)
    history = [agent.tensors()]
    for k in range(6):
        agent.update(made_up_batch(np.random.default_rng(k)))
        history.append(agent.tensors())
    names = [name for name in history[0] if name.startswith('averaged_critic.')]
    assert len(names) == 6
    for name in names:
        online, averaged, lagged = ([tensors[of] for tensors in history] for of in (
            name.replace('averaged_', 'policy.'), name, name.replace('averaged', 'lagged')))
        for k in range(6):
            torch.testing.assert_close(averaged[k + 1], 0.9 * averaged[k] + 0.1 * online[k + 1])
            assert torch.equal(lagged[k + 1], averaged[k + 1] if k % 3 == 2 else lagged[k])


def test_candidates_are_drawn_anew_for_each_state_and_update():
    agent, seen = small_agent('qt_opt'), []
    of_candidates = agent.averaged_critic.of_candidates

    def q(observation, actions, first):
        seen.append(actions)
        return of_candidates(observation, actions, first)

    agent.averaged_critic.of_candidates = q
    for _ in range(2):
        agent.update(made_up_batch(np.random.default_rng(0)))
    first, _, second, _ = seen
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])


def test_candidates_of_an_observation_against_one_at_a_time():
    critic = small_agent('qt_opt').critic
    observation, actions = torch.randn(4, OBSERVATION), torch.randn(4, 6, ACTION)
    q = critic.of_candidates(observation, actions)
    assert q.shape == (1, 4, 6)
    for k in range(6):
        torch.testing.assert_close(q[:, :, k], critic(observation, actions[:, k]))
    assert critic.of_candidates(observation.double(), actions.double()).dtype == torch.float64


def test_the_policy_finds_what_the_critic_learned():
    """A bandit whose best action depends on the observation."""
    agent = small_agent('qt_opt', hidden_sizes=(32, 32), critic_learning_rate=3e-3)
    rng = np.random.default_rng(0)
    low, high = np.array(CONTRACT.action_low), np.array(CONTRACT.action_high)
    for _ in range(800):
        batch = made_up_batch(rng, 64)
        observation = rng.uniform(-1.0, 1.0, batch.observation.shape).astype(np.float32)
        normalised = 2.0 * (batch.action - low) / (high - low) - 1.0
        reward = -np.square(normalised - 0.8 * observation[:, :ACTION]).sum(1)
        agent.update(batch._replace(
            observation=observation, reward=reward.astype(np.float32),
            discount=np.zeros(64, np.float32)))
    observation = torch.from_numpy(rng.uniform(-1.0, 1.0, (50, OBSERVATION))).float()
    action = agent.policy.action_scale.normalise(agent.policy(observation, torch.zeros(50, 3)))
    assert (action - 0.8 * observation[:, :ACTION]).abs().mean() < 0.25


@pytest.fixture(scope='module')
def exported():
    agent = shaken(small_agent('qt_opt'))
    return agent, OnnxPolicy(Exporter(agent.policy, CONTRACT, 'qt_opt', 'run').export(5, 0))


def test_the_search_is_inside_the_file(exported):
    agent, policy = exported
    operators = [node.op_type for node in onnx.ModelProto.FromString(policy.data).graph.node]
    assert operators.count('TopK') == agent.settings.cem_iterations
    assert not {'Loop', 'If', 'RandomNormal', 'RandomUniform'} & set(operators)
    observation = np.linspace(-1.0, 1.0, OBSERVATION)
    actions = {tuple(policy.act(observation)[0]) for _ in range(20)}
    assert len(actions) == 1
    # What is done is among the best: above all the rest of a thousand actions but few.
    others = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 1000, ACTION))).float()
    observation = torch.from_numpy(observation).float()[None]
    done = agent.policy.action_scale.normalise(torch.tensor([actions.pop()]))
    better = agent.critic.of_candidates(observation, others) > agent.critic(observation, done)
    assert better.float().mean() < 0.01


def test_exploration_is_noise_beside_the_found_action(exported):
    _, policy = exported
    observation = np.zeros(OBSERVATION)
    still, _ = policy.act(observation)
    moved, _ = policy.act(observation, np.full(ACTION, -2.0))
    half = np.subtract(CONTRACT.action_high, CONTRACT.action_low) / 2.0
    expected = np.maximum(still - 0.1 * 2.0 * half, CONTRACT.action_low)
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_a_critic_that_is_nan_gives_no_action(exported):
    agent, policy = exported
    other = small_agent('qt_opt')
    other.load(agent.tensors())
    exporter = Exporter(other.policy, CONTRACT, 'qt_opt', 'run')
    with torch.no_grad():
        other.critic.biases[-1].fill_(torch.nan)
    with pytest.raises(InvalidInput, match='NaN or infinity'):
        OnnxPolicy(exporter.export(1, 0))
    # So does one that turned NaN behind the check.
    with pytest.raises(NonFinite):
        policy.act(np.full(OBSERVATION, np.nan))


@pytest.mark.parametrize(
    'given', [{}, read_parameter_file(parameter_file('tasks', 'reach'), 'algorithm')],
    ids=['default', 'reach'])
def test_the_search_keeps_50_hz_on_one_core(given):
    """Seven joints, 30 columns, by default and as tuned for reach; time of this thread."""
    contract = replace(
        CONTRACT, observation=tuple(Column(f'o{k}', '1') for k in range(30)),
        action=tuple(Column(f'a{k}', 'rad/s') for k in range(7)),
        action_low=(-1.0,) * 7, action_high=(1.0,) * 7)
    agent = make_agent('qt_opt', contract, settings_of('qt_opt').from_mapping(
        values_of('qt_opt', given)))
    policy = OnnxPolicy(Exporter(agent.policy, contract, 'qt_opt', 'run').export(0, 0))
    taken = []
    for observation in np.random.default_rng(0).standard_normal((200, 30)):
        began = time.thread_time()
        policy.act(observation)
        taken.append(time.thread_time() - began)
    assert np.percentile(taken, 99) < 0.02


def test_more_elites_than_samples_are_refused():
    with pytest.raises(InvalidInput, match='cem_elites is 9, more than cem_samples 8'):
        small_agent('qt_opt', cem_samples=8, cem_elites=9)
