# SPDX-License-Identifier: Apache-2.0
"""Hindsight relabelling against states that had that goal, and against lists."""

from dataclasses import replace

from goal_episodes import HOME, JOINTS, filled, state_at
import numpy as np
import pytest
from trainers import make

from rl_control.common.errors import InvalidInput
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks import make_task
from rl_control.learning.replay import Batch, Hindsight, ReplayBuffer
from rl_control.learning.replay.n_step_returns import n_step, window

LOW, HIGH = np.array([-2.0, -1.0]), np.array([2.0, 3.0])


@pytest.mark.parametrize('sparse', [False, True])
def test_relabel_is_what_the_state_with_that_goal_gives(sparse):
    task = make_task(
        TaskSettings(sparse=sparse, success_distance=1.0, action_cost=0.3), HOME)
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(2, 40, 3))
    before, after = ([state_at(rng, goal) for goal in old] for _ in range(2))
    action = rng.uniform(-1.0, 1.0, (40, JOINTS))
    relabelled = task.relabel(
        np.stack([task.observe(state) for state in before]), action,
        np.stack([task.observe(state) for state in after]), new)
    for k in range(40):
        first, last = (replace(state[k], goal=new[k]) for state in (before, after))
        np.testing.assert_allclose(relabelled[0][k], task.observe(first))
        np.testing.assert_allclose(relabelled[1][k], task.observe(last))
        assert relabelled[2][k] == pytest.approx(task.reward(action[k], last))
    assert len(set(relabelled[2])) == (2 if sparse else 40)
    achieved = task.achieved(relabelled[1])
    np.testing.assert_allclose(achieved, [state.pose[:3, 3] for state in after])


def _batch(
    hindsight: Hindsight, replay: ReplayBuffer, slots: np.ndarray, steps: int, gamma: float
) -> Batch:
    path, fields = window(replay, slots, steps)
    alive = hindsight.relabel(path, fields)
    return n_step(fields, alive, gamma)


def test_goals_are_reached_later_in_the_same_episode():
    task, replay, where = filled()
    hindsight = Hindsight(replay, task, 1.0, LOW, HIGH)
    slots = np.repeat(np.arange(60), 200)
    batch = _batch(hindsight, replay, slots, 1, 0.9)
    goal = batch.observation[:, -9:-6] + batch.observation[:, -6:-3]
    np.testing.assert_allclose(
        goal, batch.next_observation[:, -9:-6] + batch.next_observation[:, -6:-3], atol=1e-3)
    for slot in range(60):
        number = slot + 60 if slot < 40 else slot  # rows 40 to 99 are still there
        stream, episode, step = where[number]
        reached = goal[slots == slot]
        expected = {(100.0 * episode + x, 10.0 * stream) for x in range(step + 1, 11)}
        found, counts = np.unique(np.round(reached[:, :2], 2), axis=0, return_counts=True)
        assert {tuple(row) for row in found.tolist()} == expected
        assert counts.min() > 0.3 * 200 / len(expected)
        # The reward is 0 where the next step reaches the goal, else -1.
        here = np.abs(reached[:, 0] - (100.0 * episode + step + 1)) < 0.5
        np.testing.assert_array_equal(batch.reward[slots == slot], np.where(here, 0.0, -1.0))


def test_the_share_that_is_not_chosen_stays():
    task, replay, _ = filled()
    slots = np.tile(np.arange(60), 100)
    batch = _batch(Hindsight(replay, task, 0.25, LOW, HIGH), replay, slots, 1, 0.9)
    stays = batch.reward == -7.0
    assert stays.mean() == pytest.approx(0.75, abs=0.02)
    np.testing.assert_array_equal(
        batch.observation[stays], replay.fields.observation[slots[stays]])
    assert not (batch.observation[~stays] == replay.fields.observation[slots[~stays]]).all(1).any()


def test_several_steps_have_one_goal_and_end_where_it_was_reached():
    task, replay, where = filled()
    slots = np.repeat(np.arange(60), 50)
    batch = _batch(Hindsight(replay, task, 1.0, LOW, HIGH), replay, slots, 3, 0.5)
    for k, slot in enumerate(slots):
        _, episode, step = where[slot + 60 if slot < 40 else slot]
        goal = batch.observation[k, -9] + batch.observation[k, -6] - 100.0 * episode
        # Steps to the goal, of which three at most are in the return; the last earns 0.
        m = min(3, round(goal) - step)
        rewards = [0.0 if step + j + 1 == round(goal) else -1.0 for j in range(m)]
        assert batch.reward[k] == pytest.approx(sum(0.5**j * r for j, r in enumerate(rewards)))
        assert batch.discount[k] == pytest.approx(0.5 ** (m - 1))
        assert batch.next_observation[k, -9] == pytest.approx(100.0 * episode + step + m)


@pytest.mark.parametrize('name', ['reach', 'reach_pose'])
def test_the_first_step_near_enough_ends_a_return(name):
    """Success within 1 m and 0.15 rad: the step in front of the one that was drawn is as good."""
    task, replay, where = filled(success_distance=1.0, name=name)
    slots = np.repeat(np.arange(60), 50)
    batch = _batch(Hindsight(replay, task, 1.0, LOW, HIGH), replay, slots, 4, 0.5)
    lengths = set()
    for k, slot in enumerate(slots):
        _, episode, step = where[slot + 60 if slot < 40 else slot]
        goal = round(batch.observation[k, -9] + batch.observation[k, -6] - 100.0 * episode)
        m = min(4, max(1, goal - 1 - step))
        reached = step + m >= goal - 1
        assert batch.discount[k] == 0.5 ** (m - 1)
        assert batch.reward[k] == pytest.approx(
            -sum(0.5**j for j in range(m)) + reached * 0.5 ** (m - 1))
        lengths.add(m)
    assert lengths == {1, 2, 3, 4}


def test_the_action_is_normalised_for_the_reward():
    task, replay, _ = filled(sparse=False)
    batch = _batch(Hindsight(replay, task, 1.0, LOW, HIGH), replay, np.arange(60), 1, 0.9)
    # Actions 1 and 2 within -2..2 and -1..3 are 0.5 and 0.5.
    _, _, expected = task.relabel(
        batch.observation, np.full((60, 2), 0.5), batch.next_observation,
        batch.next_observation[:, -9:-6] + batch.next_observation[:, -6:-3])
    np.testing.assert_allclose(batch.reward, expected, rtol=1e-4)


def test_the_ring_is_not_changed():
    task, replay, _ = filled()
    before = replay.rows.copy()
    _batch(Hindsight(replay, task, 1.0, LOW, HIGH), replay, np.arange(60), 3, 0.9)
    assert (replay.rows == before).all()


def test_a_world_without_goals_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r'hindsight is 0\.8 but none has no goals'):
        make(tmp_path, hindsight=0.8)
