# SPDX-License-Identifier: Apache-2.0
"""Properties of every task, and the arithmetic of reach_pose and follow."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
import re
from types import SimpleNamespace

import numpy as np
import pybullet
import pytest

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command, State
from rl_control.config.base import setting
from rl_control.config.task import TaskSettings
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.environments.arm_model import Arm
from rl_control.environments.make import load_arm, simulate
from rl_control.environments.tasks import TASKS, make_task, task_settings
from rl_control.environments.tasks.reach import Reach

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope='module', params=[*sorted(TASKS), 'point'])
def world(request: pytest.FixtureRequest) -> ArmEnvironment:
    task = request.param if request.param in TASKS else 'reach'
    made = simulate(load_arm('iiwa', task, {
        'name': request.param, 'action_cost': 0.1, 'posture_cost': 0.2}))
    yield made
    made.close()


@pytest.fixture(scope='module', autouse=True)
def a_task_of_another_package() -> Iterator[None]:
    """Install the tutorial's task, as a package with an entry point would."""
    path = ROOT / 'docs' / 'tutorials'
    (named,) = re.findall(r"entry_points=\{'([\w.]+)'", (path / 'new_task.md').read_text('utf-8'))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(path))
        patch.setattr('rl_control.environments.tasks.entry_points', lambda group: [
            EntryPoint('point', 'point:Point', group)] if group == named else [])
        yield


def test_a_task_of_another_package_has_parameters_of_its_own(
        monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class ToolSettings(TaskSettings):
        lever: float = setting(0.1, 'length of the tool', unit='m', low=0.0, high=1.0)

    class Tool(Reach):
        Settings = ToolSettings

    monkeypatch.setattr('rl_control.environments.tasks.entry_points', lambda group: [
        SimpleNamespace(name='tool', load=lambda: Tool)])
    settings = task_settings({'name': 'tool', 'lever': 0.3, 'success_distance': 0.05})
    assert (settings.lever, settings.success_distance) == (0.3, 0.05)
    assert isinstance(make_task(settings, np.zeros(2)), Tool)
    with pytest.raises(InvalidInput, match=r'lever is 3\.0; give a number from 0'):
        task_settings({'name': 'tool', 'lever': 3.0})
    with pytest.raises(InvalidInput, match="TaskSettings has no setting 'lever'"):
        task_settings({'name': 'reach', 'lever': 0.3})


def lived(world: ArmEnvironment, steps: int) -> tuple[list[State], np.ndarray, np.ndarray]:
    """Return states (steps + 1), normalised actions and rewards of a walk in one episode."""
    rng = np.random.default_rng(3)
    world.restart(rng)
    world.reset(rng)
    high = np.array(world.contract.action_high)
    states, actions, rewards = [world._state], [], []
    for _ in range(steps):
        actions.append(rng.uniform(-1.0, 1.0, len(high)))
        rewards.append(world.step(actions[-1] * high).reward)
        states.append(world._state)
    return states, np.array(actions), np.array(rewards)


def with_goal(state: State, goal: np.ndarray) -> State:
    return State(state.stamp, state.q, state.dq, state.pose, state.command, goal)


def test_columns_are_as_many_as_numbers_and_none_is_named_twice(world: ArmEnvironment) -> None:
    columns = world.contract.observation
    (state, *_), _, _ = lived(world, 1)
    assert len(world.arm.task.observe(state)) == len(columns) == len({c.name for c in columns})


def test_relabelling_is_what_would_have_been_with_the_other_goal(world: ArmEnvironment) -> None:
    task = world.arm.task
    states, actions, rewards = lived(world, 12)
    observations = np.array([task.observe(state) for state in states])
    goals = task.achieved(observations[6:7]).repeat(12, axis=0)
    # The same goal as a pose: what was achieved at step 6 is where the arm was.
    pose = poses.from_matrix(states[6].pose)
    if task.settings.name == 'follow':
        pose[:3] -= task.target(with_goal(states[6], np.zeros(7)))[:3]
    if task.settings.name == 'point':
        pose[:3] += states[6].pose[:3, 2]
    others = [with_goal(state, pose) for state in states]
    errors = np.array([task.error(state) for state in others])
    assert errors[6] == pytest.approx(0.0, abs=1e-7)
    before, after, reward = task.relabel(observations[:-1], actions, observations[1:], goals)
    expected = np.array([task.observe(state) for state in others])
    np.testing.assert_allclose(before, expected[:-1], atol=1e-6)
    np.testing.assert_allclose(after, expected[1:], atol=1e-6)
    np.testing.assert_allclose(
        reward, [task.reward(*pair) for pair in zip(actions, others[1:], strict=True)], atol=1e-6)
    reached = task.reached(after)
    assert reached[5] and reached.tolist() == (
        errors[1:] <= task.settings.success_distance).tolist()
    # The goal that was there gives what was there.
    np.testing.assert_allclose(
        rewards, [task.reward(*pair) for pair in zip(actions, states[1:], strict=True)])


def test_the_pose_is_reached_when_place_and_turn_are() -> None:
    arm = load_arm('iiwa', 'reach_pose', {'success_distance': 0.02, 'success_angle': 0.1})
    here = at_home(arm)
    for angle, distance, error in ((0.0, 0.01, 0.01), (0.1, 0.0, 0.02), (0.3, 0.01, 0.06),
                                   (np.pi, 0.0, 0.2 * np.pi)):
        x, y, z, w = pybullet.getQuaternionFromAxisAngle((0.6, 0.0, 0.8), angle)
        turned = np.reshape(pybullet.getMatrixFromQuaternion((x, y, z, w)), (3, 3))
        frame = here.pose.copy()
        frame[:3, :3] = turned @ frame[:3, :3]
        frame[1, 3] += distance
        assert arm.task.error(with_goal(here, poses.from_matrix(frame))) == pytest.approx(
            error, abs=1e-7)


def test_the_point_goes_round() -> None:
    arm = load_arm('iiwa', 'follow', {'path_radius': 0.2, 'path_period': 4.0})
    here, centre = at_home(arm), poses.from_position((0.5, 0.1, 0.4))
    names = [column.name for column in arm.contract().observation]
    velocity = slice(names.index('target_velocity.x'), names.index('target_velocity.z') + 1)
    for quarter, way in enumerate(((0.2, 0, 0), (0, 0.2, 0), (-0.2, 0, 0), (0, -0.2, 0))):
        def at(stamp: float) -> State:
            return State(stamp, here.q, here.dq, here.pose, here.command, centre)

        for stamp in (quarter, quarter + 4.0e8):  # the same for a clock since 1970
            np.testing.assert_allclose(
                arm.task.target(at(stamp))[:3], centre[:3] + way, atol=1e-6)
        moved = (arm.task.target(at(quarter + 1e-4)) - arm.task.target(at(quarter - 1e-4)))[:3]
        np.testing.assert_allclose(
            arm.task.observe(at(quarter))[velocity], moved / 2e-4, atol=1e-6)


def at_home(arm: Arm) -> State:
    return arm.state(0.0, arm.home, np.zeros(7), Command.at_rest(arm.home), np.zeros(7))


def test_the_tutorial_shows_the_task_that_is_tested() -> None:
    tutorials = ROOT / 'docs' / 'tutorials'
    (shown, *_) = re.findall(
        r'^```python\n(.*?)^```', (tutorials / 'new_task.md').read_text(), re.M | re.S)
    assert shown == (tutorials / 'point.py').read_text()
    assert 30 <= len(shown.splitlines()) <= 45


def test_pointing_is_an_angle() -> None:
    arm = load_arm('iiwa', 'reach', {'name': 'point'})
    here = at_home(arm)
    tip, axis, across = here.pose[:3, 3], here.pose[:3, 2], here.pose[:3, 0]
    for angle in (0.0, 0.3, 2.0):
        goal = poses.from_position(tip + 0.7 * (np.cos(angle) * axis + np.sin(angle) * across))
        assert arm.task.error(with_goal(here, goal)) == pytest.approx(angle, abs=1e-7)
