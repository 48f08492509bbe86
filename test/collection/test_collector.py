# SPDX-License-Identifier: Apache-2.0
"""The collecting loop with a stand-in world and stand-in policies; no ROS, no simulator."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby, pairwise
import math
from statistics import NormalDist
import threading

import numpy as np
import pytest

from rl_control.collection.collector import FAULTS_LIMIT, NO_POLICY, Collector, EpisodeEnd
from rl_control.common.episode import CONFIRMATION, EVALUATION, TRAINING
from rl_control.common.errors import EnvironmentFault
from rl_control.common.types import Column, Contract, Outcome, Transition
from rl_control.config.nodes import CollectorSettings

LENGTH = 4
CONTRACT = Contract(
    robot='stand_in', task='none', joint_names=(),
    observation=(Column('episode', '1'), Column('step', '1')),
    action=(Column('a', '1'), Column('b', '1'), Column('c', '1')),
    action_low=(-2.0, 0.0, 5.0), action_high=(2.0, 1.0, 6.0),
    command_interface='effort', control_period=0.1)


class World:
    """Its observation is (episode, step); it applies half of what is requested."""

    contract = CONTRACT

    def __init__(self, succeed: Callable[[np.ndarray], bool] = lambda action: False) -> None:
        self.resets = self.ticks = self.step_number = 0
        self.before_step: Callable[[int], None] = lambda tick: None
        self.succeed = succeed
        self.buffer = np.zeros(2)

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        rng.random()  # as a goal is drawn
        self.resets += 1
        self.step_number = 0
        return self.observe()

    def observe(self) -> np.ndarray:
        self.buffer[:] = self.resets, self.step_number
        return self.buffer

    def step(self, action: np.ndarray) -> Outcome:
        self.before_step(self.ticks)
        self.ticks += 1
        self.step_number += 1
        return Outcome(
            self.observe(), -1.0, False, self.step_number >= LENGTH, action / 2,
            self.ticks * 0.1, success=self.succeed(action))

    def close(self) -> None:
        pass


@dataclass
class StandIn:
    """A policy whose action is its version, plus the noise where there is any."""

    version: int
    run: str = 'run'
    noise_size: int = 3
    noise_correlation: float = 0.0
    noises: list[np.ndarray | None] = field(default_factory=list)

    def act(
        self, observation: np.ndarray, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        self.noises.append(noise)
        added = 0.0 if noise is None else noise
        return np.full(3, float(self.version)) + added, -0.5 * self.version


class Rig:
    """Collect until a number of transitions of training or of episodes was sent."""

    def __init__(
        self, world: World | None = None, *, steps: int = 10**9, episodes: int = 10**9,
        **settings: object,
    ) -> None:
        self.world = world or World()
        self.sent: list[Transition] = []
        self.ends: list[EpisodeEnd] = []
        self.steps, self.episodes = steps, episodes
        self.collector = Collector(
            self.world, CollectorSettings(evaluation_period=0.0, **settings), self)

    def send(self, transition: Transition) -> None:
        self.sent.append(transition)
        if len(self.sent) >= self.steps:
            self.collector.stopped.set()

    def send_episode(self, end: EpisodeEnd) -> None:
        self.ends.append(end)
        if len(self.ends) >= self.episodes:
            self.collector.stopped.set()

    def run(self, policy: StandIn | None = None) -> 'Rig':
        self.collector.policy = policy
        self.collector.run()
        return self


def test_transitions_follow_one_another() -> None:
    rig = Rig(episodes=3).run(StandIn(7))
    assert [len(list(steps)) for _, steps in groupby(rig.sent, lambda t: t.episode)] == [4, 4, 4]
    for before, after in pairwise(rig.sent):
        if after.episode == before.episode:
            assert after.step == before.step + 1
            np.testing.assert_array_equal(before.next_observation, after.observation)
        else:
            assert (before.step, after.step) == (LENGTH - 1, 0)
            assert before.truncated and after.observation.tolist() == [after.episode + 1, 0]
    for transition in rig.sent:
        assert transition.next_observation.tolist() == [
            transition.episode + 1, transition.step + 1]
        np.testing.assert_array_equal(transition.applied, transition.action / 2)
        assert transition.version == 7 and transition.log_prob == -3.5
        assert transition.truncated == (transition.step == LENGTH - 1)
        assert not transition.terminated
    assert [(end.phase, end.version, end.episode.number) for end in rig.ends] == [
        (TRAINING, 7, number) for number in range(3)]
    assert rig.ends[0].episode.steps == LENGTH and rig.ends[0].episode.reward_sum == -LENGTH


def test_without_a_policy_actions_are_drawn_evenly() -> None:
    rig = Rig(steps=4000, seed=3).run()
    actions = np.array([transition.action for transition in rig.sent])
    low, high = np.array(CONTRACT.action_low), np.array(CONTRACT.action_high)
    assert ((actions >= low) & (actions <= high)).all()
    share = (actions - low) / (high - low)
    np.testing.assert_allclose(share.mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose(share.var(axis=0), 1 / 12, atol=0.004)
    # Evenly over [-1, 1]^3, whose volume is 8.
    assert all(t.log_prob == pytest.approx(-math.log(8.0)) for t in rig.sent)
    assert {transition.version for transition in rig.sent} == {NO_POLICY}


def test_a_seed_gives_the_same_actions_and_another_others() -> None:
    first, same, other = (
        [transition.action.tolist() for transition in Rig(steps=20, seed=seed).run().sent]
        for seed in (1, 1, 2))
    assert first == same != other
    noises = []
    for seed in (1, 1, 2):
        policy = StandIn(1)
        Rig(steps=20, seed=seed).run(policy)
        noises.append(np.array(policy.noises))
    np.testing.assert_array_equal(noises[0], noises[1])
    assert (noises[0] != noises[2]).all()


@dataclass
class Squashed(StandIn):
    """A Gaussian policy within tanh, each column of a mean and a deviation of its own."""

    MEAN = np.array([0.3, -0.8, 0.1])
    DEVIATION = np.array([0.4, 0.9, 0.2])

    def act(
        self, observation: np.ndarray, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        self.noises.append(noise)
        action = np.tanh(self.MEAN + self.DEVIATION * noise)
        return action, self.log_prob(action, 1.0)

    def log_prob(self, action: np.ndarray, factor: float) -> float:
        """Return the log density of `action` where the deviation is `factor` of its own."""
        columns = zip(self.MEAN, factor * self.DEVIATION, action, strict=True)
        return sum(math.log(NormalDist(mean, deviation).pdf(math.atanh(a)) / (1.0 - a * a))
                   for mean, deviation, a in columns)


@pytest.mark.parametrize('factor', [1.0, 0.25, 0.5, 2.0])
def test_scaled_exploration_has_the_density_of_a_scaled_deviation(factor: float) -> None:
    policy = Squashed(1)
    sent = Rig(steps=20, exploration=factor).run(policy).sent
    assert len({t.log_prob for t in sent}) == 20
    for t in sent:
        assert t.log_prob == pytest.approx(policy.log_prob(t.action, factor), abs=1e-6)
    unscaled = Squashed(1)
    Rig(steps=20, exploration=1.0).run(unscaled)
    np.testing.assert_allclose(policy.noises, factor * np.array(unscaled.noises))


def test_without_exploration_there_is_no_density() -> None:
    sent = Rig(steps=8, exploration=0.0).run(StandIn(1)).sent
    assert all(np.isnan(t.log_prob) for t in sent)
    assert {tuple(t.action) for t in sent} == {(1.0, 1.0, 1.0)}


def test_a_new_policy_acts_from_the_next_tick_on() -> None:
    rig = Rig(episodes=2)

    def swap(tick: int) -> None:
        if tick in (1, 5):  # while the world does what the old one has requested
            rig.collector.policy = StandIn(10 + tick)

    rig.world.before_step = swap
    rig.run(StandIn(10))
    assert [t.version for t in rig.sent] == [10, 10, 11, 11, 11, 11, 15, 15]
    assert [t.log_prob for t in rig.sent] == [-0.5 * t.version for t in rig.sent]
    assert [np.round(t.action.mean() / 5) for t in rig.sent] == [2, 2, 2, 2, 2, 2, 3, 3]
    assert [end.version for end in rig.ends] == [11, 15]


def test_an_evaluation_keeps_its_policy_and_is_not_told() -> None:
    rig = Rig(episodes=5, evaluate=True, evaluation_episodes=3, success_target=1.0)
    policies = [StandIn(version) for version in range(1, 40)]

    def newer(tick: int) -> None:
        rig.collector.policy = policies[tick + 1]

    rig.world.before_step = newer
    rig.run(policies[0])
    phases = [(end.phase, end.version) for end in rig.ends]
    # Version 1 through three episodes, although eleven newer ones came meanwhile.
    assert phases[:3] == [(EVALUATION, 1)] * 3
    assert phases[3][0] == EVALUATION and phases[3][1] == 1 + 3 * LENGTH
    assert rig.sent == []
    assert policies[0].noises == [None] * 3 * LENGTH
    assert [end.episode.number for end in rig.ends] == list(range(5))


def test_training_goes_on_between_evaluations() -> None:
    rig = Rig(episodes=6, evaluate=True, evaluation_episodes=2)
    policy = StandIn(5)
    rig.run(policy)
    assert [end.phase for end in rig.ends] == [EVALUATION] * 2 + [TRAINING] * 4  # only once
    assert {t.episode for t in rig.sent} == {2, 3, 4, 5}
    assert [noise is None for noise in policy.noises] == [True] * 8 + [False] * 16


def test_an_evaluation_waits_for_its_period() -> None:
    rig = Rig(episodes=6, evaluate=True, evaluation_episodes=1)
    rig.collector._settings = CollectorSettings(
        evaluate=True, evaluation_episodes=1, evaluation_period=3600.0)
    rig.world.before_step = lambda tick: setattr(
        rig.collector, 'policy', StandIn(100 + tick))
    rig.run(StandIn(1))
    assert [end.phase for end in rig.ends] == [EVALUATION] + [TRAINING] * 5


def test_the_policy_of_another_run_is_evaluated_too() -> None:
    rig = Rig(episodes=4, evaluate=True, evaluation_episodes=1)

    def restart(tick: int) -> None:
        if tick == LENGTH + 1:  # a learner that begins again has small versions again
            rig.collector.policy = StandIn(2, run='another')

    rig.world.before_step = restart
    rig.run(StandIn(500))
    assert [(end.phase, end.version) for end in rig.ends] == [
        (EVALUATION, 500), (TRAINING, 2), (EVALUATION, 2), (TRAINING, 2)]


@pytest.mark.parametrize(('successes', 'confirmed'), [(4, False), (5, True)])
def test_a_version_that_meets_the_target_is_confirmed(successes: int, confirmed: bool) -> None:
    world = World(lambda action: world.resets <= successes or world.resets > 6)
    rig = Rig(world, episodes=9, evaluate=True, evaluation_episodes=6, success_target=5 / 6,
              confirmation_episodes=3)
    rig.run(StandIn(4))
    phases = [end.phase for end in rig.ends]
    assert phases == [EVALUATION] * 6 + [CONFIRMATION if confirmed else TRAINING] * 3
    assert {end.version for end in rig.ends} == {4}
    assert len(rig.sent) == (0 if confirmed else 3 * LENGTH)


def test_a_winner_below_the_target_is_evaluated_again() -> None:
    world = World(lambda action: action[0] >= 3.0 and world.resets % 4 > 0)
    rig = Rig(world, episodes=24, evaluate=True, evaluation_episodes=4, success_target=1.0,
              confirmation_episodes=3)

    def newer(tick: int) -> None:
        trained = sum(end.phase == TRAINING for end in rig.ends)
        if rig.collector.policy.version <= trained:
            rig.collector.policy = StandIn(1 + trained)

    world.before_step = newer
    rig.run(StandIn(1))
    counts = Counter((end.phase, end.version) for end in rig.ends if end.phase != TRAINING)
    # The first has nothing to beat, the second does not beat it, the third beats both with 3 of
    # 4, and the fourth does as well in fewer episodes.
    assert [counts[EVALUATION, version] for version in (1, 2, 3, 4)] == [4, 4, 8, 4]
    assert {phase for phase, _ in counts} == {EVALUATION}


def test_evaluations_do_not_change_what_is_explored() -> None:
    def noises(**settings: object) -> np.ndarray:
        policy = StandIn(1)
        Rig(steps=12, seed=6, **settings).run(policy)
        return np.array([noise for noise in policy.noises if noise is not None])

    np.testing.assert_array_equal(
        noises(), noises(evaluate=True, evaluation_episodes=2))


@pytest.mark.parametrize('steps', [1, LENGTH + 2])
def test_a_stop_within_an_episode_ends_at_once(steps: int) -> None:
    rig = Rig(steps=steps).run(StandIn(1))
    assert len(rig.sent) == rig.world.ticks == steps
    assert not rig.sent[-1].truncated and not rig.sent[-1].terminated
    assert len(rig.ends) == steps // LENGTH  # no end of the one that was cut short


def test_a_stop_within_an_evaluation_ends_at_once() -> None:
    rig = Rig(evaluate=True, evaluation_episodes=50, success_target=0.0)
    rig.world.before_step = lambda tick: tick == 5 and rig.collector.stopped.set()
    rig.run(StandIn(1))
    assert rig.world.ticks == 6 and rig.world.resets == 2
    assert rig.sent == [] and len(rig.ends) == 1


def test_it_stops_from_another_thread() -> None:
    rig, began = Rig(), threading.Event()
    rig.world.before_step = lambda tick: began.set()
    thread = threading.Thread(target=rig.run)
    thread.start()
    assert began.wait(10.0)
    rig.collector.stopped.set()
    thread.join(10.0)
    assert not thread.is_alive() and rig.sent


def test_noise_is_an_autoregression_within_an_episode() -> None:
    """Deviation 1, as correlated as the policy asks, and nothing left of the episode before."""
    for kept in (0.0, 0.8):
        policy = StandIn(0, noise_correlation=kept)
        Rig(steps=20_000, seed=5).run(policy)
        noise = np.array(policy.noises).reshape(-1, LENGTH, 3)
        np.testing.assert_allclose(noise.std(axis=(0, 2)), 1.0, atol=0.03)
        next_to, across = (
            np.corrcoef(one.ravel(), other.ravel())[0, 1]
            for one, other in ((noise[:, :-1], noise[:, 1:]), (noise[:-1, -1], noise[1:, 0])))
        assert abs(next_to - kept) < 0.02 and abs(across) < 0.03


def test_an_episode_with_a_fault_is_left_out_and_the_next_one_begins() -> None:
    """The third step of each second episode fails, in training and in an evaluation."""
    rig = Rig(steps=20, evaluate=True, evaluation_episodes=1, confirmation_episodes=0)
    faults = []

    def fail(tick: int) -> None:
        if rig.world.resets % 2 and rig.world.step_number == 2:
            raise EnvironmentFault(f'environment X failed in episode {rig.world.resets}')

    rig.world.before_step = fail
    rig.collector._report_fault = faults.append
    rig.run(StandIn(1))
    assert [str(fault)[-1] for fault in faults[:3]] == ['1', '3', '5']
    assert {end.episode.steps for end in rig.ends} == {LENGTH}
    lengths = [len(list(steps)) for _, steps in groupby(rig.sent, lambda t: t.episode)]
    assert lengths[:5] == [LENGTH, 2, LENGTH, 2, LENGTH]  # evaluations are not sent


@pytest.mark.parametrize('in_reset', [True, False])
def test_an_environment_that_makes_no_step_is_given_up(in_reset: bool) -> None:
    rig, faults = Rig(steps=20), []

    def fail(*_: object) -> None:
        raise EnvironmentFault('environment X failed')

    if in_reset:
        rig.world.reset = fail
    else:
        rig.world.before_step = fail
    rig.collector._report_fault = faults.append
    with pytest.raises(EnvironmentFault, match='environment X failed'):
        rig.run(StandIn(1))
    assert len(faults) == FAULTS_LIMIT - 1
