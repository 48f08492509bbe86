# SPDX-License-Identifier: Apache-2.0
"""The checked border to environments of others: each kind of fault once, and what is right."""

from collections.abc import Callable
import logging
from typing import Any

import gymnasium
from gymnasium.spaces import Box, Dict
import numpy as np
import pytest

from rl_control.common.errors import EnvironmentFault, InvalidInput
from rl_control.environments import gymnasium as adapter
from rl_control.environments.gymnasium import GymnasiumEnvironment
from rl_control.environments.make import make_environment

VECTOR = Box(-10.0, 10.0, (2,), np.float32)
GOALS = {'desired_goal': Box(-1.0, 1.0, (1,)), 'observation': Box(-1.0, 1.0, (2,)),
         'achieved_goal': Box(-1.0, 1.0, (1,))}


class Foreign(gymnasium.Env):
    """Counts its steps, ends after five; a test replaces what it returns."""

    def __init__(
        self, size: float = 1.0, observation_space: gymnasium.Space = VECTOR,
        action_space: gymnasium.Space | None = None, result: Callable[..., Any] | None = None,
        first: Any = (0.0, 1.0), render_mode: str | None = None,
    ) -> None:
        self.observation_space = observation_space
        self.action_space = action_space or Box(-size, size, (1,), np.float32)
        self.result = result or (lambda seen, steps: (seen, -1.0, False, steps >= 5, {}))
        self.first, self.steps, self.actions = first, 0, []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.steps = 0
        if isinstance(self.first, Exception):
            raise self.first
        return self.first, {}

    def step(self, action: np.ndarray) -> Any:
        assert self.action_space.contains(action)
        self.steps += 1
        self.actions.append(action)
        return self.result(np.array([self.steps, 0.0]), self.steps)


gymnasium.register(id='foreign/Foreign-v0', entry_point=Foreign)


def foreign(
    monkeypatch: pytest.MonkeyPatch, name: str = 'foreign/Foreign-v0', **given: Any,
) -> GymnasiumEnvironment:
    """Return the adapter of a Foreign made with `given`, beside what its name says."""
    make = gymnasium.make
    monkeypatch.setattr(gymnasium, 'make', lambda *a, **b: make(*a, **{**b, **given}))
    return GymnasiumEnvironment(name)


def steps(world: GymnasiumEnvironment, action: float = 0.0) -> list:
    world.reset(np.random.default_rng(0))
    return [world.step(np.array([action])) for _ in range(3)]


def returning(**changed: Any) -> Callable[..., Any]:
    """Return results in which something is `changed` in the third step."""
    def result(seen: np.ndarray, number: int) -> tuple:
        whole = {'seen': seen, 'reward': -1.0, 'terminated': False, 'truncated': number >= 5,
                 'info': {}}
        return tuple((whole | (changed if number == 3 else {})).values())
    return result


def failing(seen: np.ndarray, number: int) -> tuple:
    if number == 3:
        raise RuntimeError('lost\ncontact')
    return seen, 0.0, False, False, {}


@pytest.mark.parametrize(('result', 'words'), [
    (returning(seen=np.array([np.nan, 0.0])), 'returned nan in column observation0'),
    (returning(seen=np.array([0.0, 1e39])), r'returned 1e\+39 in column observation1'),
    (returning(seen=np.zeros(3)), r'of shape \(3,\), but its space has \(2,\)'),
    (returning(seen='ab'), 'returned an observation that is not of its space'),
    (returning(seen=None), r'of shape \(\), but its space has \(2,\)'),
    (returning(reward=float('nan')), 'returned the reward nan, which is no finite number'),
    (returning(reward=None), 'returned the reward None, which is no finite number'),
    (returning(reward=np.zeros(2)), r'returned the reward \[0. 0.\], which is no finite number'),
    (returning(terminated='yes'), 'returned terminated yes, which is neither true nor false'),
    (returning(truncated=None), 'returned truncated None, which is neither true nor false'),
    (lambda seen, number: None if number == 3 else (seen, 0.0, False, False, {}),
     'NoneType|returned no'),
    (failing, 'raised RuntimeError: lost contact in step 3 of an episode'),
])
def test_a_fault_is_one_sentence_that_names_the_environment(monkeypatch, result, words) -> None:
    world = foreign(monkeypatch, 'foreign/Foreign-v0?size=2.0', result=result)
    with pytest.raises(EnvironmentFault, match=words) as fault:
        steps(world)
    assert str(fault.value).startswith('environment foreign/Foreign-v0?size=2.0 ')
    assert '\n' not in str(fault.value)
    assert world.step(np.zeros(1)).observation.tolist() == [4.0, 0.0]  # it goes on


@pytest.mark.parametrize(('first', 'words'), [
    (RuntimeError('no licence'), 'raised RuntimeError: no licence in reset'),
    ((np.nan, 0.0), 'returned nan in column observation0'),
    ((0.0, 1.0, 2.0), r'of shape \(3,\), but its space has \(2,\)'),
])
def test_a_reset_is_checked_as_a_step_is(monkeypatch, first, words) -> None:
    with pytest.raises(EnvironmentFault, match=words):
        steps(foreign(monkeypatch, first=first))


@pytest.mark.parametrize('reward', [
    -1, -1.0, np.float32(-1.0), np.array(-1.0), np.array([-1.0]), np.array([[-1]])])
def test_a_reward_may_be_any_one_number(monkeypatch, reward) -> None:
    rewards = [outcome.reward for outcome in steps(
        foreign(monkeypatch, result=returning(reward=reward)))]
    assert rewards == [-1.0, -1.0, -1.0] and all(type(reward) is float for reward in rewards)


@pytest.mark.parametrize(('info', 'success'), [
    ({}, None), (None, None), ({'is_success': True}, True), ({'is_success': np.False_}, False),
    ({'success': 1.0}, True), ({'success': np.array([0])}, False), ({'success': 'maybe'}, None),
    ({'is_success': False, 'success': True}, False), ({'is_success': None}, None)])
def test_success_is_known_or_unknown(monkeypatch, info, success) -> None:
    outcome = steps(foreign(monkeypatch, result=returning(info=info)))[2]
    assert outcome.success is success


def test_integer_actions_are_rounded(monkeypatch) -> None:
    world = foreign(monkeypatch, action_space=Box(0, 10, (1,), np.int64))
    assert (world.contract.action_low, world.contract.action_high) == ((0.0,), (10.0,))
    world.reset(np.random.default_rng(0))
    applied = [world.step(np.array([value])).applied[0] for value in (
        -3.0, 0.4, 0.6, 9.4, 9.6, 12.0)]
    assert applied == [0.0, 0.0, 1.0, 9.0, 10.0, 10.0]


def test_an_episode_without_an_end_is_truncated_and_said_once(monkeypatch, caplog) -> None:
    monkeypatch.setattr(adapter, 'STEP_LIMIT', 20)
    world = foreign(monkeypatch, result=lambda seen, number: (seen, 0.0, False, False, {}))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            world.reset(np.random.default_rng(0))
            ends = [world.step(np.zeros(1)).truncated for _ in range(20)]
            assert ends == [False] * 19 + [True]
    (record,) = caplog.records
    assert record.getMessage().endswith(
        'in gymnasium:foreign/Foreign-v0?max_episode_steps=200')
    # A limit of its own is kept.
    limited = GymnasiumEnvironment('foreign/Foreign-v0?max_episode_steps=30')
    limited.reset(np.random.default_rng(0))
    assert [limited.step(np.zeros(1)).truncated for _ in range(30)] == [False] * 29 + [True]
    assert limited.contract.robot == 'gymnasium:foreign/Foreign-v0?max_episode_steps=30'
    assert limited.contract.task == 'foreign/Foreign-v0'


def test_a_dictionary_of_vectors_becomes_columns_by_name(monkeypatch) -> None:
    def goals(seen: np.ndarray, number: int) -> tuple:
        return ({'observation': seen, 'achieved_goal': seen[:1] + 10, 'desired_goal': [7.0]},
                0.0, False, False, {})

    first = {'observation': [0.0, 1.0], 'achieved_goal': [10.0], 'desired_goal': [7.0]}
    world = foreign(monkeypatch, observation_space=Dict(GOALS), result=goals, first=first)
    assert [column.name for column in world.contract.observation] == [
        'observation.0', 'observation.1', 'achieved_goal.0', 'desired_goal.0']
    assert world.reset(np.random.default_rng(0)).tolist() == [0.0, 1.0, 10.0, 7.0]
    assert world.step(np.zeros(1)).observation.tolist() == [1.0, 0.0, 11.0, 7.0]
    del first['achieved_goal']
    with pytest.raises(EnvironmentFault, match=r'not of its space .KeyError: .achieved_goal'):
        world.reset(np.random.default_rng(0))


@pytest.mark.parametrize(('given', 'words'), [
    ({'observation_space': Box(0, 255, (4, 4, 3), np.uint8)}, 'choose one whose observations'),
    ({'observation_space': Dict({'a': Box(-1.0, 1.0, (2, 2))})}, 'choose one whose observations'),
    ({'action_space': Box(-np.inf, np.inf, (1,))}, 'too wide to be scaled'),
    ({'action_space': Box(-3e38, 3e38, (1,))}, 'too wide to be scaled'),
])
def test_spaces_that_no_policy_has_are_refused_by_name(monkeypatch, given, words) -> None:
    with pytest.raises(InvalidInput, match=f"^environment 'foreign/Foreign-v0' .*{words}"):
        foreign(monkeypatch, **given)


def test_arguments_reach_the_environment_and_the_contract() -> None:
    world = make_environment('gymnasium:foreign/Foreign-v0?size=3', '')
    assert world.contract.action_high == (3.0,)
    assert world.contract.robot == 'gymnasium:foreign/Foreign-v0?size=3'
    with pytest.raises(InvalidInput, match=r'cannot make .foreign/Foreign-v0.colour=red.*TypeErr'):
        make_environment('gymnasium:foreign/Foreign-v0?colour=red', '')
