# SPDX-License-Identifier: Apache-2.0
"""Domain randomization: latency, offsets, noise, masses, and a policy trained with it."""

from collections.abc import Callable, Iterator

from engines import made
import numpy as np
import pytest

from benchmarks.randomized import success, train
from rl_control.common.types import Command
from rl_control.config.randomization import RandomizationSettings
from rl_control.environments.make import load_arm, load_randomization, simulate
from rl_control.learning.algorithms import settings_of
from rl_control.robots.engines import ENGINES
from rl_control.robots.limits import limit
from rl_control.robots.randomized_simulator import RandomizedSimulator
from rl_control.robots.robot import Robot

ARM = load_arm('two_joint', 'reach')


Maker = Callable[..., RandomizedSimulator]


@pytest.fixture(params=ENGINES)
def robot(request: pytest.FixtureRequest) -> Iterator[Maker]:
    """Return what makes a randomized arm in one engine and then in the other."""
    robots: list[RandomizedSimulator] = []

    def one(seed: int = 0, **settings: float) -> RandomizedSimulator:
        simulator = made(request.param, ARM.kinematics.urdf, ARM.settings.joint_names,
                         ARM.control_period)
        robots.append(RandomizedSimulator(simulator, RandomizationSettings(**settings), seed))
        return robots[-1]

    yield one
    for simulator in robots:
        simulator.close()


def driven(one: Robot, ticks: int) -> np.ndarray:
    """Return the measured q (ticks + 1, 2) of an arm that swings from home."""
    one.reset(ARM.home)
    command, measured = Command.at_rest(ARM.home), [one.read()[1]]
    for tick in range(ticks):
        wish = np.array([np.sin(0.3 * tick), -np.cos(0.3 * tick)])
        command = limit(wish, command, ARM.control_period, ARM.limits)
        one.send(command)
        measured.append(one.read()[1])
    return np.array(measured)


def test_without_ranges_it_is_the_simulator(robot: Maker) -> None:
    pair = [robot(), robot(seed=1)]
    np.testing.assert_array_equal(*(driven(one, 20) for one in pair))
    engine = pair[0]._simulator.engine
    plain = simulate(ARM, engine=engine)
    assert plain._robot.engine == engine
    plain.close()


def test_commands_come_late(robot: Maker) -> None:
    direct, late = driven(robot(), 20), robot()._simulator
    late.set_dynamics(late.masses, np.zeros(2), 2 * ARM.control_period)
    measured = driven(late, 22)
    np.testing.assert_allclose(measured[:3], [ARM.home] * 3, atol=2e-3)
    np.testing.assert_allclose(measured[2:], direct, atol=5e-3)
    assert np.abs(direct[2:] - direct[:-2]).max() > 0.09  # two ticks are much of this motion


def test_a_start_pose_is_measured_with_the_zero_offset(robot: Maker) -> None:
    one = robot(offset_limit=0.1)
    offsets = []
    for _ in range(20):
        one.reset(ARM.home)
        np.testing.assert_allclose(one.read()[1], ARM.home, atol=1e-12)
        offsets.append(one.read()[1] - one._simulator.read()[1])
    offsets = np.array(offsets)
    assert (np.abs(offsets) <= 0.1).all() and (offsets.std(0) > 0.03).all()
    # It moves to the commanded position as it measures it.
    command = Command.at_rest(ARM.home + 0.05)
    for _ in range(20):
        one.send(command)
    np.testing.assert_allclose(one.read()[1], ARM.home + 0.05, atol=0.01)


def test_noise_has_the_set_deviation(robot: Maker) -> None:
    one = robot(position_noise=0.01, velocity_noise=0.2)
    one.reset(ARM.home)
    read = np.array([np.concatenate(one.read()[1:]) for _ in range(2000)])
    np.testing.assert_allclose(read.mean(0), (*ARM.home, 0.0, 0.0), atol=0.02)
    np.testing.assert_allclose(read.std(0), (0.01, 0.01, 0.2, 0.2), rtol=0.1)


def test_masses_and_friction_are_redrawn_by_the_seed(robot: Maker) -> None:
    randomized = [robot(seed, mass_range=0.5, damping_limit=5.0) for seed in (0, 0, 1)]
    drawn = []
    for one in randomized:
        before = one._masses
        drawn.append([])
        for _ in range(5):
            one.reset(ARM.home)
            drawn[-1].append(one._simulator.masses / np.where(before, before, 1.0))
    drawn = np.array(drawn)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any() and len(np.unique(drawn[0], axis=0)) == 5
    heavy = drawn[..., randomized[0]._masses > 0.0]
    assert (heavy >= 0.5).all() and (heavy <= 1.5).all() and heavy.std() > 0.1


def test_the_packaged_file_is_valid() -> None:
    mild = load_randomization('mild')
    assert all(getattr(mild, name) > 0.0 for name in mild.to_mapping())
    assert load_randomization('') == RandomizationSettings()


def test_a_policy_trained_with_randomization_is_robust_to_it() -> None:
    """Short paths and wide goals, which SAC learns in seconds; noisy velocities."""
    same, noisy = RandomizationSettings(), RandomizationSettings(velocity_noise=5.0)
    arm = load_arm('two_joint', 'reach', {
        'goal_range': 0.25, 'start_range': 0.25, 'success_distance': 0.04, 'reset_interval': 1})
    settings = settings_of('sac').from_mapping({
        'gamma': 0.85, 'batch_size': 64, 'hidden_sizes': [64, 64], 'initial_alpha': 0.2,
        'actor_learning_rate': 1e-3, 'critic_learning_rate': 1e-3, 'alpha_learning_rate': 1e-3,
        'target_entropy': -2.0, 'learning_starts': 300, 'updates_per_transition': 1.0,
        'replay_capacity': 2000, 'observation_normalisation': 'fixed', 'seed': 3})
    plain, randomized = (train(arm, world, settings, 1600) for world in (same, noisy))
    as_modelled, kept, lost = (success(policy, arm, world, 20, 7) for policy, world in (
        (plain, same), (randomized, noisy), (plain, noisy)))
    assert as_modelled >= 0.9 and kept >= 0.9
    assert lost <= 0.5
