# SPDX-License-Identifier: Apache-2.0
"""The contract that every algorithm keeps: the same tests for each."""

import subprocess
import sys

from learning import ACTION, CONTRACT, HIGH, LOW, OBSERVATION, made_up_batch, shaken, small_agent
import numpy as np
import pytest
import torch

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Column, Contract
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning import checkpoint
from rl_control.learning.algorithms import ALGORITHMS, make_agent, settings_of, values_of
from rl_control.learning.export import Exporter
from rl_control.learning.replay import Batch, ReplayBuffer
from rl_control.policies.onnx_policy import OnnxPolicy

every_algorithm = pytest.mark.parametrize('algorithm', ALGORITHMS)
# Cloning looks at no reward.
every_learner = pytest.mark.parametrize(
    'algorithm', [algorithm for algorithm in ALGORITHMS if algorithm != 'bc'])


def _same(one, other) -> bool:
    mine, others = one.tensors(), other.tensors()
    assert mine.keys() == others.keys()
    return all(torch.equal(tensor, others[name]) for name, tensor in mine.items())


def _filled(rng: np.random.Generator, rows: int = 40) -> ReplayBuffer:
    replay = ReplayBuffer(OBSERVATION, ACTION, 30, seed=5)
    replay.extend('c', np.zeros(rows), np.arange(rows), *made_up_batch(rng, rows))
    return replay


@every_algorithm
def test_actions_are_in_bounds(algorithm):
    agent = shaken(small_agent(algorithm))
    rng = np.random.default_rng(0)
    observation = torch.from_numpy(rng.normal(0.0, 100.0, (500, OBSERVATION))).float()
    noise = torch.from_numpy(rng.normal(0.0, 5.0, (500, agent.policy.noise_size))).float()
    result = agent.policy(observation, noise)
    action = (result[0] if isinstance(result, tuple) else result).detach()
    assert action.shape == (500, ACTION)
    assert (action >= torch.tensor(LOW)).all() and (action <= torch.tensor(HIGH)).all()
    # They are used: some action comes near each bound.
    span = torch.tensor(HIGH) - torch.tensor(LOW)
    assert (action.amin(0) < torch.tensor(LOW) + 0.3 * span).all()
    assert (action.amax(0) > torch.tensor(HIGH) - 0.3 * span).all()


@every_algorithm
def test_update_changes_every_weight_tensor(algorithm):
    agent = small_agent(algorithm)
    before = agent.tensors()
    for k in range(3):
        agent.update(made_up_batch(np.random.default_rng(k)))
    after = agent.tensors()
    still = ('action_scale', 'normaliser', 'policy.draws', 'generator')
    for name, tensor in before.items():
        if not any(word in name for word in still):
            assert not torch.equal(tensor, after[name]), name
    assert agent.updates == 3


@every_algorithm
def test_the_same_seed_gives_the_same_weights(algorithm):
    weights = [small_agent(algorithm, seed=seed).policy.state_dict() for seed in (1, 2)]
    assert any(not torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    first = shaken(small_agent(algorithm, seed=1))
    torch.manual_seed(1234)  # the global generator must not matter
    assert _same(first, shaken(small_agent(algorithm, seed=1)))
    assert not _same(first, shaken(small_agent(algorithm, seed=2)))


@every_algorithm
def test_making_an_agent_leaves_the_global_generator_alone(algorithm):
    state = torch.get_rng_state()
    shaken(small_agent(algorithm))
    assert torch.equal(state, torch.get_rng_state())


@every_algorithm
@pytest.mark.parametrize('normalisation', ['none', 'fixed', 'running'])
def test_save_load_update_is_as_never_stopped(algorithm, normalisation, tmp_path):
    """Through a checkpoint on disk, and a replay of the same rows, bit for bit."""
    values = {'observation_normalisation': normalisation}
    agent, replay = shaken(small_agent(algorithm, **values)), _filled(np.random.default_rng(0))
    replay.sample(8)
    checkpoint.save(tmp_path, agent.updates, agent.tensors(), {
        'replay_generator': replay.generator.bit_generator.state})

    saved = checkpoint.latest(tmp_path)
    other = small_agent(algorithm, **values, seed=77)
    other_replay = _filled(np.random.default_rng(0))
    other_replay.generator.bit_generator.state = saved.state['replay_generator']
    other.load(saved.tensors)
    assert other.updates == agent.updates == 5
    for one, its_replay in ((agent, replay), (other, other_replay)):
        draws = np.random.default_rng(9)
        for _ in range(20):
            its_replay.extend('c', np.zeros(3), np.arange(3), *made_up_batch(draws, 3))
            one.observe(draws.normal(size=(3, OBSERVATION)))
            one.update(its_replay.sample(8))
    assert _same(agent, other)


@every_algorithm
def test_a_fresh_agent_saves_and_loads(algorithm):
    agent, other = small_agent(algorithm, seed=1), small_agent(algorithm, seed=2)
    other.load(agent.tensors())
    assert _same(shaken(agent), shaken(other))


@every_algorithm
def test_tensors_are_copies(algorithm):
    agent = small_agent(algorithm)
    tensors = agent.tensors()
    copies = {name: tensor.clone() for name, tensor in tensors.items()}
    shaken(agent)
    assert all(torch.equal(tensor, copies[name]) for name, tensor in tensors.items())


@every_algorithm
def test_load_refuses_other_tensors_and_changes_nothing(algorithm):
    agent = small_agent(algorithm)
    tensors, before = agent.tensors(), agent.tensors()
    name = next(name for name in tensors if 'weight' in name)
    for wrong, words in (
        ({k: v for k, v in tensors.items() if k != name}, f'{name} is missing'),
        ({**tensors, 'more': torch.zeros(1)}, 'more is unknown'),
        ({**tensors, name: torch.zeros(2, 2)}, f'{name} is torch.float32'),
    ):
        with pytest.raises(InvalidInput, match=words):
            agent.load(wrong)
    assert all(torch.equal(tensor, before[name]) for name, tensor in agent.tensors().items())


@every_learner
def test_nothing_is_learned_from_behind_a_terminated_row(algorithm):
    agents = [small_agent(algorithm) for _ in range(3)]
    batch = made_up_batch(np.random.default_rng(1))
    batch = batch._replace(discount=np.zeros_like(batch.discount))
    elsewhere = batch._replace(next_observation=batch.next_observation + 1.0)
    truncated = elsewhere._replace(discount=np.ones_like(batch.discount))
    for agent, rows in zip(agents, (batch, elsewhere, truncated), strict=True):
        agent.update(rows)
    assert _same(agents[0], agents[1]) and not _same(agents[0], agents[2])


@every_algorithm
@pytest.mark.parametrize('normalisation', ['none', 'running'])
def test_onnx_is_torch(algorithm, normalisation):
    """Typical, far and absurd observations, and weights that press against the bounds."""
    agent = shaken(small_agent(algorithm, observation_normalisation=normalisation))
    exporter = Exporter(agent.policy, CONTRACT, algorithm, 'run')
    rng = np.random.default_rng(0)
    span = np.subtract(HIGH, LOW)
    with_log_prob = False
    for press in (1.0, 20.0):
        with torch.no_grad():
            list(agent.policy.parameters())[-2].mul_(press)
        data = exporter.export(agent.updates, 0)
        assert exporter.verify(data) <= 1e-5
        policy = OnnxPolicy(data)
        for scale in (1.0, 10.0, 1e3 / press):
            observation = rng.normal(0.0, scale, (50, OBSERVATION)).astype(np.float32)
            noise = rng.standard_normal((50, policy.noise_size), dtype=np.float32)
            noise[::2] = 0.0
            with torch.no_grad():
                result = agent.policy(torch.from_numpy(observation), torch.from_numpy(noise))
            expected = result if isinstance(result, tuple) else (result, torch.full((50,), np.nan))
            for k in range(50):
                action, log_prob = policy.act(observation[k], noise[k])
                assert (np.abs(action - expected[0][k].numpy()) / span).max() <= 1e-5
                assert (action >= np.float32(LOW)).all() and (action <= np.float32(HIGH)).all()
                np.testing.assert_allclose(log_prob, expected[1][k].item(), rtol=1e-4, atol=1e-3)
                with_log_prob |= np.isfinite(log_prob)
    assert with_log_prob == isinstance(result, tuple)


@every_learner
def test_learns_a_bandit(algorithm):
    """One step, reward -(a - 0.3)^2 in the unit of the action: the best action is 0.3."""
    contract = Contract(
        'made_up', 'bandit', (), (Column('o', '1'),), (Column('a', 'm'),), (-1.0,), (2.0,),
        'position', 0.1)
    kind = settings_of(algorithm)
    rates = {name: 3e-3 for name in kind().to_mapping() if name.endswith('learning_rate')}
    free = {'td3_bc': {'value_weight': 100.0}}  # hardly held to the data, whose mean is 0.5
    agent = make_agent(algorithm, contract, kind(
        hidden_sizes=(32, 32), batch_size=64, **rates, **free.get(algorithm, {})))
    rng = np.random.default_rng(0)
    one = np.ones((64, 1), np.float32)
    for _ in range(600):
        action = rng.uniform(-1.0, 2.0, (64, 1)).astype(np.float32)
        agent.update(Batch(one, action, -(action[:, 0] - 0.3) ** 2, one, np.zeros(64, np.float32)))
    result = agent.policy(torch.ones(1, 1), torch.zeros(1, agent.policy.noise_size))
    action = result[0] if isinstance(result, tuple) else result
    assert action.item() == pytest.approx(0.3, abs=0.1)


@every_learner
def test_learns_what_lies_behind_the_next_step(algorithm):
    """Two places in turn, reward 1 in one of them, gamma 0.5: worth 4/3 there, else 2/3."""
    quiet = {'sac': {'initial_alpha': 1e-6, 'alpha_learning_rate': 0.0}, 'qt_opt': {'lag': 10}}
    rates = {name: 3e-3 for name in settings_of(algorithm)().to_mapping()
             if name in ('actor_learning_rate', 'critic_learning_rate')}
    agent = small_agent(algorithm, gamma=0.5, tau=0.1, **rates, **quiet.get(algorithm, {}))
    rng = np.random.default_rng(0)
    for _ in range(800):
        batch = made_up_batch(rng, 32)
        here, there = np.zeros((2, 32, OBSERVATION), np.float32)
        reward = rng.integers(0, 2, 32).astype(np.float32)
        here[:, 0], there[:, 0] = reward, 1.0 - reward
        agent.update(Batch(here, batch.action, reward, there, np.ones(32, np.float32)))
    for reward, value in ((1.0, 4 / 3), (0.0, 2 / 3)):
        there[:, 0] = 1.0 - reward
        metrics = agent.update(Batch(
            here, batch.action, np.full(32, reward, np.float32), there, np.ones(32, np.float32)))
        assert metrics['target_q'].item() == pytest.approx(value, abs=0.15)


def test_unknown_names_and_foreign_settings_are_refused():
    with pytest.raises(InvalidInput, match=r"algorithm 'ppo' is not known; known are .*sac"):
        settings_of('ppo')
    with pytest.raises(InvalidInput, match='was given AlgorithmSettings; pass SacSettings'):
        make_agent('sac', CONTRACT, AlgorithmSettings())
    with pytest.raises(InvalidInput, match='hidden_sizes is empty'):
        AlgorithmSettings(hidden_sizes=())
    with pytest.raises(InvalidInput, match='replay_capacity is 10, less than learning_starts 20'):
        AlgorithmSettings(replay_capacity=10, learning_starts=20)


def test_names_and_settings_need_no_torch():
    code = (
        'import sys; from rl_control.learning.algorithms import settings_of; '
        'settings_of("sac")(); '
        'import rl_control.learning.replay; sys.exit("torch" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_a_task_s_section_comes_before_what_the_user_says():
    given = {'sac.gamma': 0.85, 'sac.tau': 0.1, 'td3.gamma': 0.8, 'gamma': 0.9}
    assert values_of('sac', given) == {'gamma': 0.9, 'tau': 0.1}
    assert values_of('td3', given) == {'gamma': 0.9}
    assert values_of('naf', given) == {'gamma': 0.9}
    with pytest.raises(InvalidInput, match="algorithm 'sack' is not known; known are ddpg"):
        values_of('sac', {'sack.gamma': 0.85})
    with pytest.raises(InvalidInput, match=r"SacSettings has no setting 'a\.b'"):
        settings_of('sac').from_mapping(values_of('sac', {'sac.a.b': 1}))
