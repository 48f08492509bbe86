# SPDX-License-Identifier: Apache-2.0
"""Arm environment, its Gymnasium registration, and the Gymnasium adapter."""

from collections.abc import Iterator
import warnings

from arms import iiwa
import gymnasium
from gymnasium.utils.env_checker import check_env
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.environments.gymnasium import GymnasiumEnvironment
from rl_control.environments.make import load_arm, make_environment, simulate

LIMITS = iiwa().limits


@pytest.fixture
def environment() -> Iterator[ArmEnvironment]:
    environment = simulate(load_arm('iiwa', 'reach', {'episode_period': 0.5}))
    yield environment
    environment.close()


def rollout(environment: ArmEnvironment, seed: int, steps: int = 25) -> np.ndarray:
    """Return each observation and reward of random actions, over episode borders."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1.0, 1.0, (steps, 7))
    environment.restart(rng)
    rows = [np.append(environment.reset(rng), 0.0)]
    for action in actions:
        outcome = environment.step(action)
        rows.append(np.append(outcome.observation, outcome.reward))
        if outcome.truncated:
            rows.append(np.append(environment.reset(rng), 0.0))
    return np.array(rows)


@pytest.mark.parametrize('robot', ['iiwa', 'panda'])
def test_the_same_seed_is_the_same_rollout(robot: str) -> None:
    environment = simulate(load_arm(robot, 'reach', {'episode_period': 0.5}))
    first, other, again = (rollout(environment, seed) for seed in (3, 4, 3))
    environment.close()
    anew = simulate(load_arm(robot, 'reach', {'episode_period': 0.5}))
    np.testing.assert_array_equal(first, rollout(anew, 3))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=1).all()
    anew.close()


def test_a_time_out_truncates_and_does_not_terminate(environment: ArmEnvironment) -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        environment.reset(rng)
        outcomes = [environment.step(np.zeros(7)) for _ in range(10)]  # 0.5 s at 20 Hz
        assert [outcome.truncated for outcome in outcomes] == [False] * 9 + [True]
        assert not any(outcome.terminated for outcome in outcomes)


def test_stamps_grow_by_the_control_period(environment: ArmEnvironment) -> None:
    environment.reset(np.random.default_rng(0))
    stamps = [environment.step(np.zeros(7)).stamp for _ in range(10)]
    np.testing.assert_allclose(np.diff(stamps), 0.05)


def test_applied_actions_keep_the_limits(environment: ArmEnvironment) -> None:
    rng = np.random.default_rng(1)
    before = environment.reset(rng)[14:21]  # the commanded dq
    for _ in range(200):
        outcome = environment.step(rng.choice([-1e6, -0.5, 0.0, 0.5, 1e6], 7))
        assert (np.abs(outcome.applied) <= LIMITS.velocity + 1e-9).all()
        change = np.abs(outcome.applied - before) / 0.05
        assert (change <= LIMITS.acceleration + 1e-6).all()
        before = outcome.applied
        q = outcome.observation[:7]
        assert (q > LIMITS.position_low - 0.02).all() and (q < LIMITS.position_high + 0.02).all()
        if outcome.truncated:
            before = environment.reset(rng)[14:21]


def test_a_possible_request_is_applied_and_the_arm_moves(environment: ArmEnvironment) -> None:
    rng = np.random.default_rng(2)
    first = environment.reset(rng)
    request = np.linspace(-0.3, 0.3, 7)
    for _ in range(9):
        outcome = environment.step(request)
    np.testing.assert_allclose(outcome.applied, request, atol=1e-6)
    np.testing.assert_allclose(outcome.observation[14:21], request, atol=1e-6)  # command_dq
    np.testing.assert_allclose(outcome.observation[7:14], request, atol=0.05)  # dq
    np.testing.assert_allclose(outcome.observation[:7] - first[:7], 0.4 * request, atol=0.03)


def test_an_outcome_agrees_with_its_observation(environment: ArmEnvironment) -> None:
    environment.reset(np.random.default_rng(2))
    action = np.full(7, 0.2)
    outcome = environment.step(action)
    end_effector, to_goal = outcome.observation[21:24], outcome.observation[24:27]
    np.testing.assert_allclose(end_effector + to_goal, outcome.goal)
    assert outcome.error == pytest.approx(np.linalg.norm(to_goal))
    assert outcome.success == (outcome.error <= 0.02)
    away = np.mean((outcome.observation[:7] - environment.arm.home) ** 2)
    expected = -(outcome.error + 0.05 * np.log1p((outcome.error / 0.02) ** 2)
                 + 0.05 * 0.2**2 + 0.05 * away)
    assert outcome.reward == pytest.approx(expected)


def test_success_is_within_the_success_distance() -> None:
    near = simulate(load_arm('iiwa', 'reach', {'success_distance': 1.0, 'goal_range': 0.0}))
    near.reset(np.random.default_rng(0))
    assert near.step(np.zeros(7)).success is True
    near.close()


def test_an_episode_begins_where_the_last_one_ended_until_a_restart() -> None:
    world = simulate(load_arm('iiwa', 'reach', {'episode_period': 0.2, 'reset_interval': 3}))
    rng = np.random.default_rng(0)
    jumps, goals, last = [], set(), np.full(7, np.nan)
    for _ in range(7):
        observation = world.reset(rng)
        jumps.append(np.abs(observation[:7] - last).max())
        goals.add(tuple(observation[21:24] + observation[24:27]))
        for _ in range(4):
            outcome = world.step(np.full(7, 0.5))
        last = outcome.observation[:7]
    world.close()
    continued = [jump == 0.0 for jump in jumps]
    assert continued == [False, True, True, False, True, True, False]
    assert len(goals) == 7


class Counting:
    """Stands in for a robot and counts how often it is brought to a start pose."""

    def __init__(self) -> None:
        self.starts: list[np.ndarray] = []

    def read(self):
        return 0.0, self.starts[-1], np.zeros(7)

    def send(self, command) -> None:
        pass

    def reset(self, q) -> None:
        self.starts.append(q)


def test_a_restart_brings_the_arm_to_a_start_pose_once() -> None:
    robot, rng = Counting(), np.random.default_rng(0)
    environment = ArmEnvironment(iiwa(), robot)
    environment.restart(rng)
    environment.reset(rng)
    assert len(robot.starts) == 1
    for _ in range(iiwa().task.settings.reset_interval - 1):
        environment.reset(rng)
    assert len(robot.starts) == 1
    environment.reset(rng)
    assert len(robot.starts) == 2


@pytest.mark.parametrize('robot', ['iiwa', 'panda'])
def test_gymnasium_accepts_it(robot: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        # What Gymnasium says of any environment that knows no bounds of its observations.
        warnings.filterwarnings('ignore', message='.*Box observation space.*infinity.*')
        warnings.filterwarnings('ignore', message='.*recommend using a symmetric and normalized')
        made = gymnasium.make('rl_control/Reach-v0', robot=robot, render_mode='rgb_array')
        check_env(made.unwrapped)
        made.close()
        made.close()


def test_as_a_gymnasium_environment() -> None:
    made = gymnasium.make(
        'rl_control/Reach-v0', robot='panda', episode_period=0.2, sparse=True)
    assert made.unwrapped.metadata['render_fps'] == 20
    np.testing.assert_array_equal(made.action_space.high, np.ones(7, np.float32))
    first, _ = made.reset(seed=5)
    again, _ = made.reset(seed=5)
    other, _ = made.reset()
    np.testing.assert_array_equal(first, again)
    assert (first[:7] != other[:7]).any()  # each reset is at a fresh start pose
    for step in range(4):
        observation, reward, terminated, truncated, info = made.step(np.zeros(7))
        assert observation.dtype == np.float32 and reward in (0.0, -1.0)
        assert (terminated, truncated) == (False, step == 3)
        assert info['is_success'] == (info['error'] <= 0.02) == (reward == 0.0)
    assert made.render() is None
    made.close()


def test_the_image_of_a_gymnasium_environment() -> None:
    made = gymnasium.make('rl_control/Reach-v0', render_mode='rgb_array')
    made.reset(seed=0)
    assert made.render().shape == (320, 320, 3)
    made.close()


def test_an_unknown_task_setting_is_rejected() -> None:
    with pytest.raises(InvalidInput, match="TaskSettings has no setting 'speed'"):
        gymnasium.make('rl_control/Reach-v0', speed=1.0)


def test_the_gymnasium_adapter() -> None:
    world = make_environment('gymnasium:Pendulum-v1', '')
    contract = world.contract
    assert (contract.robot, contract.task) == ('gymnasium:Pendulum-v1', 'Pendulum-v1')
    assert contract.joint_names == ()
    assert (contract.action_low, contract.action_high) == ((-2.0,), (2.0,))
    assert contract.control_period == pytest.approx(1 / 30)
    reference = gymnasium.make('Pendulum-v1')
    rng = np.random.default_rng(7)
    seed = int(np.random.default_rng(7).integers(2**31))
    first = world.reset(rng)
    np.testing.assert_array_equal(first, reference.reset(seed=seed)[0])
    for step in range(1, 201):
        action = rng.uniform(-5.0, 5.0, 1)
        outcome = world.step(action)
        observation, reward, terminated, truncated, _ = reference.step(
            np.clip(action, -2.0, 2.0).astype(np.float32))
        np.testing.assert_array_equal(outcome.observation, observation)
        assert outcome.reward == reward
        np.testing.assert_allclose(outcome.applied, np.clip(action, -2.0, 2.0), rtol=1e-7)
        assert (outcome.terminated, outcome.truncated) == (terminated, truncated)
        assert outcome.truncated == (step == 200)
        assert outcome.stamp == pytest.approx(step / 30)
    assert outcome.success is None and np.isnan(outcome.error) and np.isnan(outcome.goal).all()
    assert (world.reset(rng) != first).any()
    world.close()
    world.close()
    reference.close()


@pytest.mark.parametrize(('environment_id', 'words'), [
    ('CartPole-v1', r'has actions Discrete\(2\); choose one whose'),
    ('FrozenLake-v1', r'has observations Discrete\(16\); choose one whose'),
    ('None-v0', 'cannot make .None-v0.*name an environment that is installed'),
    ('none:None-v0', 'cannot make .none:None-v0.*name an environment that is installed'),
    ('', 'cannot make'),
])
def test_unsupported_gymnasium_environments_are_rejected(environment_id: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        GymnasiumEnvironment(environment_id)
