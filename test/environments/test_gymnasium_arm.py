# SPDX-License-Identifier: Apache-2.0
"""Arms as Gymnasium environments: ids, both checkers, copies and seeds."""

import copy
from multiprocessing.reduction import ForkingPickler
import subprocess
import sys

import gymnasium
from gymnasium.utils.env_checker import check_env
import numpy as np
import pytest

from rl_control.environments.gymnasium_ids import IDS
from rl_control.environments.registration import ArmEnv
from rl_control.robots.engines import installed

MOVE = np.linspace(-0.4, 0.4, 7).astype(np.float32)


@pytest.fixture(params=installed())
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


def arm(engine: str, task: str = 'reach') -> ArmEnv:
    return ArmEnv('iiwa', task, simulator=engine)


@pytest.mark.parametrize('program', [
    "import gymnasium; gymnasium.make('rl_control:rl_control/Reach-v0', robot='two_joint')",
    "import rl_control, gymnasium; gymnasium.make('rl_control/Reach-v0', robot='two_joint')",
    "import gymnasium, rl_control; gymnasium.make('rl_control/Reach-v0', robot='two_joint')",
], ids=['prefix', 'ours first', 'Gymnasium first'])
def test_a_new_interpreter_finds_the_ids(program: str) -> None:
    ended = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize('task', IDS.values())
def test_gymnasiums_checker_passes(engine: str, task: str) -> None:
    world = arm(engine, task)
    check_env(world, skip_render_check=True)
    world.close()


@pytest.mark.parametrize('task', IDS.values())
def test_stable_baselines_checker_passes(task: str) -> None:
    checker = pytest.importorskip('stable_baselines3.common.env_checker')
    world = ArmEnv('iiwa', task)
    checker.check_env(world)
    world.close()


@pytest.mark.parametrize('task', IDS.values())
def test_the_same_seed_gives_the_same_steps(engine: str, task: str) -> None:
    world, runs = arm(engine, task), []
    for _ in range(2):
        first, _ = world.reset(seed=4)
        runs.append(np.array([first, *(world.step(MOVE)[0] for _ in range(5))]))
    world.close()
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize('copied', [
    copy.deepcopy, lambda world: ForkingPickler.loads(ForkingPickler.dumps(world)),
], ids=['deepcopy', 'serialised'])
def test_a_copy_is_a_world_of_its_own(engine: str, copied) -> None:
    original, twin = arm(engine), arm(engine)
    for world in (original, twin):
        world.reset(seed=1)
        for _ in range(7):
            world.step(MOVE)
    other = copied(original)
    # It goes on as the original does, and draws the same next goal.
    for _ in range(20):
        expected, reward, *_ = twin.step(-MOVE)
        observed, its_reward, *_ = other.step(-MOVE)
        np.testing.assert_allclose(observed, expected, atol=1e-6)
        assert its_reward == pytest.approx(reward, abs=1e-6)
    np.testing.assert_allclose(other.reset()[0], twin.reset()[0], atol=1e-6)
    other.close()
    twin.close()
    # Neither its steps nor its end touched the original.
    fresh = arm(engine)
    fresh.reset(seed=1)
    for _ in range(7):
        fresh.step(MOVE)
    np.testing.assert_allclose(original.step(MOVE)[0], fresh.step(MOVE)[0], atol=1e-6)
    original.close()
    fresh.close()


@pytest.mark.parametrize('mode', ['sync', 'async'])
def test_a_vector_of_them_steps(mode: str) -> None:
    worlds = gymnasium.make_vec(
        'rl_control:rl_control/Reach-v0', num_envs=2, vectorization_mode=mode, robot='two_joint')
    observation, _ = worlds.reset(seed=3)
    moved, *_ = worlds.step(np.full((2, 2), 0.5, np.float32))
    worlds.close()
    assert observation.shape == moved.shape and (observation != moved).any(axis=1).all()
