# SPDX-License-Identifier: Apache-2.0
"""Reach against numbers worked by hand."""

import math

import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command, State
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks import make_task

HOME = np.array([0.5, -1.0])

JOINTS = ('a', 'b')


def state(goal=(0.4, 0.0, 0.9), position=(0.1, 0.0, 0.5)) -> State:
    """Return an arm whose end effector is 0.5 m (3-4-5) from its goal."""
    pose = np.eye(4)
    pose[:3, 3] = position
    command = Command(np.array([9.0, 9.0]), np.array([0.5, 0.6]), np.array([9.0, 9.0]))
    return State(
        7.0, np.array([0.1, 0.2]), np.array([0.3, 0.4]), pose, command, np.array(goal))


def test_the_observation_is_in_the_order_of_its_columns() -> None:
    task = make_task(TaskSettings(), HOME)
    observation = task.observe(state())
    named = {column.name: (value, column.unit) for column, value in zip(
        task.columns(JOINTS), observation, strict=True)}
    expected = {
        'a.q': (0.1, 'rad'), 'b.q': (0.2, 'rad'),
        'a.dq': (0.3, 'rad/s'), 'b.dq': (0.4, 'rad/s'),
        'a.command_dq': (0.5, 'rad/s'), 'b.command_dq': (0.6, 'rad/s'),
        'end_effector.x': (0.1, 'm'), 'end_effector.y': (0.0, 'm'), 'end_effector.z': (0.5, 'm'),
        'to_goal.x': (pytest.approx(0.3), 'm'), 'to_goal.y': (0.0, 'm'),
        'to_goal.z': (pytest.approx(0.4), 'm'),
    }
    assert {name: named[name] for name in expected} == expected
    assert len(named) == len(observation)  # no name twice


def test_an_observation_holds_all_that_another_goal_needs() -> None:
    task, other = make_task(TaskSettings(), HOME), np.array([-0.2, 0.3, 0.6])
    names = [column.name for column in task.columns(JOINTS)]
    first, relabelled = task.observe(state()), task.observe(state(goal=other))
    end_effector = [names.index(f'end_effector.{axis}') for axis in 'xyz']
    to_goal = [names.index(f'to_goal.{axis}') for axis in 'xyz']
    np.testing.assert_allclose(first[end_effector] + first[to_goal], state().goal)
    np.testing.assert_allclose(relabelled[to_goal], other - first[end_effector])
    # What does not speak of the goal does not depend on it.
    np.testing.assert_array_equal(first[:min(to_goal)], relabelled[:min(to_goal)])
    np.testing.assert_allclose(
        np.linalg.norm(relabelled[to_goal]), task.error(state(goal=other)))


def test_the_dense_reward() -> None:
    # 0.5 m with a success distance of 0.1 m: log(1 + 25); two actions of 1 and 0: mean square 0.5.
    task = make_task(TaskSettings(success_distance=0.1, action_cost=0.2), HOME)
    assert task.error(state()) == pytest.approx(0.5)
    expected = -(0.5 + 0.05 * math.log(26.0) + 0.2 * 0.5)
    assert task.reward(np.array([1.0, 0.0]), state()) == pytest.approx(expected, abs=1e-12)
    assert task.reward(np.array([0.0, -1.0]), state()) == pytest.approx(expected, abs=1e-12)
    at_goal = state(goal=(0.1, 0.0, 0.5))
    assert task.reward(np.zeros(2), at_goal) == 0.0
    assert isinstance(task.reward(np.zeros(2), state()), float)


def test_the_posture_costs_what_the_joints_are_away_from_home() -> None:
    # From (0.5, -1.0) to (0.1, 0.2) rad: mean of 0.16 and 1.44.
    free, held = (make_task(TaskSettings(posture_cost=cost), HOME) for cost in (0.0, 0.3))
    action = np.zeros(2)
    lost = free.reward(action, state()) - held.reward(action, state())
    assert lost == pytest.approx(0.3 * 0.8)
    observation = held.observe(state())[None]
    _, _, reward = held.relabel(observation, action[None], observation, state().goal[None])
    assert reward[0] == pytest.approx(held.reward(action, state()))


def test_nearer_is_better_everywhere() -> None:
    task = make_task(TaskSettings(), HOME)
    rewards = [task.reward(np.zeros(2), state(goal=(0.1 + distance, 0.0, 0.5)))
               for distance in np.linspace(0.0, 1.5, 301)]
    assert (np.diff(rewards) < 0.0).all()


@pytest.mark.parametrize(('distance', 'reward'), [
    (0.0, 0.0), (0.125, 0.0), (0.126, -1.0), (1.0, -1.0)])
def test_the_sparse_reward(distance: float, reward: float) -> None:
    task = make_task(
        TaskSettings(sparse=True, success_distance=0.125, action_cost=10.0), HOME)
    there = state(goal=(distance, 0.0, 0.0), position=(0.0, 0.0, 0.0))
    assert task.reward(np.ones(2), there) == reward


def test_reach_never_terminates_and_changes_nothing() -> None:
    task = make_task(TaskSettings(), HOME)
    before = state(goal=(0.1, 0.0, 0.5))
    assert task.terminated(before) is False and task.terminated(state()) is False
    task.observe(before)[:] = 5.0
    task.reward(np.ones(2), before)
    after = state(goal=(0.1, 0.0, 0.5))
    for name in ('q', 'dq', 'pose', 'goal'):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^task 'juggle' is not known; known are reach"):
        make_task(TaskSettings(name='juggle'), HOME)
