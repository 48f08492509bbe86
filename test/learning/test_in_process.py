# SPDX-License-Identifier: Apache-2.0
"""Training in one process: what it collects, saves, resumes and returns."""

import json
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

import rl_control as rc
from rl_control.learning import in_process
from rl_control.learning.agent_policy import AgentPolicy
from rl_control.learning.divergence import ROLLBACK_LIMIT

PENDULUM = 'gymnasium:Pendulum-v1'
SMALL = {
    'hidden_sizes': (16, 16), 'batch_size': 16, 'learning_starts': 50,
    'updates_per_transition': 0.2, 'replay_capacity': 10_000, 'compiled': 'never',
}


@pytest.fixture
def pendulum():
    environment = rc.make(PENDULUM)
    yield environment
    environment.close()


def test_the_policy_that_is_returned_is_the_agents(pendulum, tmp_path: Path) -> None:
    agent, seen, episodes = rc.SAC(pendulum, **SMALL), [], []
    before = agent.act(np.zeros((1, 3), np.float32))
    result = rc.train(
        pendulum, agent, 450, evaluate_every=200, evaluation_episodes=2, out=tmp_path,
        progress=False, on_update=lambda updates, losses: seen.append(updates),
        on_episode=episodes.append)
    # 0.2 updates for each transition behind the first 50, each told once and in order.
    assert seen == list(range(1, 81)) and result.updates == 80 and result.transitions == 450
    assert [tally.transitions for tally in result.evaluations] == [200, 400, 450]
    assert [tally.version for tally in result.evaluations] == [30, 70, 80]
    assert len(episodes) == 2 and result.finished
    observation = np.array([0.3, -0.2, 0.5])
    stored = rc.load(tmp_path / 'policy.onnx')
    assert stored.version == 80
    action = AgentPolicy(agent).act(observation)[0]
    for policy in (result.policy, stored):
        np.testing.assert_allclose(policy.act(observation)[0], action, atol=1e-5)
    assert not np.allclose(agent.act(np.zeros((1, 3), np.float32)), before)
    lines = json.loads((tmp_path / 'training.json').read_text())['evaluations']
    assert [line['transitions'] for line in lines] == [200, 400, 450]
    result.plot(tmp_path / 'learning.png')
    assert (tmp_path / 'learning.png').stat().st_size > 5000


def test_it_resumes_with_agent_and_replay(pendulum, tmp_path: Path) -> None:
    first = rc.SAC(pendulum, **SMALL)
    rc.train(pendulum, first, 150, out=tmp_path, progress=False)
    again = in_process.InProcessTraining(pendulum, rc.SAC(pendulum, **SMALL), out=tmp_path)
    assert again.replay.total == 150 and again.agent.updates == first.updates == 20
    np.testing.assert_array_equal(
        again.agent.act(np.ones((1, 3), np.float32)), first.act(np.ones((1, 3), np.float32)))
    result = again.run(200, progress=False)
    assert (result.transitions, result.updates) == (200, 30)
    with pytest.raises(rc.InvalidInput, match='learns sac but td3 is set'):
        rc.train(pendulum, rc.TD3(pendulum, **SMALL), 200, out=tmp_path, progress=False)


def test_ctrl_c_saves_and_returns(pendulum, tmp_path: Path) -> None:
    def interrupt(updates: int, losses: object) -> None:
        if updates == 10:
            raise KeyboardInterrupt

    result = rc.train(pendulum, rc.SAC(pendulum, **SMALL), 500, out=tmp_path, progress=False,
                      on_update=interrupt)
    assert not result.finished and result.updates == 10
    assert (tmp_path / 'policy.onnx').is_file() and (tmp_path / 'checkpoints' / '10').is_dir()


def test_settings_are_checked_and_one_rate_sets_all(pendulum) -> None:
    settings = rc.SAC(pendulum, learning_rate=2e-3, actor_learning_rate=1e-4).settings
    assert (settings.critic_learning_rate, settings.alpha_learning_rate,
            settings.actor_learning_rate) == (2e-3, 2e-3, 1e-4)
    with pytest.raises(rc.InvalidInput, match="has no setting 'gama'; known are"):
        rc.SAC(pendulum, gama=0.9)
    with pytest.raises(rc.InvalidInput, match=r'this agent has robot .* but the environment has'):
        rc.train(rc.make('two_joint'), rc.SAC(pendulum), 10)


def test_demonstrations_are_half_of_each_batch(pendulum) -> None:
    given = in_process.InProcessTraining(pendulum, rc.SAC(pendulum, **SMALL))
    given.run(60, progress=False)
    rows = given.replay.fields
    known = in_process.TransitionBatch(
        ('expert',), np.zeros(20, int), np.zeros(20, int), np.arange(20), rows.observation[:20],
        rows.action[:20], np.full(20, 7.0), rows.next_observation[:20], np.ones(20))
    training = in_process.InProcessTraining(
        pendulum, rc.SAC(pendulum, **SMALL), demonstrations=known)
    training.run(60, progress=False)
    batch, _ = training._sampler.sample(16)
    assert (batch.reward == 7.0).tolist() == [False] * 8 + [True] * 8


def test_importing_the_package_imports_nothing_else() -> None:
    code = ('import sys; before = set(sys.modules); import rl_control; '
            "print({'numpy', 'torch', 'rclpy', 'pybullet', 'mujoco', 'gymnasium'} "
            '& (set(sys.modules) - before)); rl_control.nothing')
    ended = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                           timeout=60, check=False)
    assert ended.stdout == 'set()\n'
    assert "module 'rl_control' has no attribute 'nothing'" in ended.stderr


def test_a_resumed_training_keeps_its_evaluations(pendulum, tmp_path: Path) -> None:
    rc.train(pendulum, rc.SAC(pendulum, **SMALL), 250, evaluate_every=200, evaluation_episodes=1,
             out=tmp_path, progress=False)
    result = rc.train(pendulum, rc.SAC(pendulum, **SMALL), 450, evaluate_every=200,
                      evaluation_episodes=1, out=tmp_path, progress=False)
    stored = json.loads((tmp_path / 'training.json').read_text())['evaluations']
    places = [tally.transitions for tally in result.evaluations]
    assert places == [line['transitions'] for line in stored] == [200, 250, 450]


def test_other_normalisation_is_refused_on_resume(pendulum, tmp_path: Path) -> None:
    rc.train(pendulum, rc.SAC(pendulum, **SMALL), 60, out=tmp_path, progress=False)
    other = rc.SAC(pendulum, **SMALL, observation_normalisation='running')
    with pytest.raises(rc.InvalidInput, match='has observation_normalisation none but running'):
        rc.train(pendulum, other, 80, out=tmp_path, progress=False)


def test_before_learning_starts_a_resumed_training_still_explores_uniformly(
        pendulum, tmp_path: Path) -> None:
    rc.train(pendulum, rc.SAC(pendulum, **SMALL), 20, out=tmp_path, progress=False)
    training = in_process.InProcessTraining(pendulum, rc.SAC(pendulum, **SMALL), out=tmp_path)
    training.run(40, progress=False)
    # The log density of uniform actions in [-1, 1], which no Gaussian policy has everywhere.
    np.testing.assert_allclose(training.replay.log_prob[:40], -np.log(2.0), atol=1e-6)


def test_without_a_directory_no_checkpoint_of_another_is_read(
        pendulum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rc.train(pendulum, rc.SAC(pendulum, **SMALL), 100, out=tmp_path, progress=False)
    monkeypatch.chdir(tmp_path)  # where `checkpoints` lies
    agent = rc.SAC(pendulum, **SMALL, seed=5)
    weights = agent.act(np.ones((1, 3), np.float32))
    training = in_process.InProcessTraining(pendulum, agent)
    for _ in range(ROLLBACK_LIMIT):
        training._rollback.roll_back('a test asks for it')
    np.testing.assert_array_equal(agent.act(np.ones((1, 3), np.float32)), weights)
