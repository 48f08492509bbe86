# SPDX-License-Identifier: Apache-2.0
"""Transitions sampled from recorded topics, beside those of the world that was recorded."""

import numpy as np
import pytest
from recordings import (
    JOINT_STATE,
    MS,
    POSE,
    START,
    TRAJECTORY,
    joint_state,
    pose,
    record,
    trajectory,
)

from rl_control.bags.bag_reader import Bag
from rl_control.bags.dataset import Dataset, DatasetWriter
from rl_control.bags.dataset_builder import from_robot
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import load_arm, simulate
from rl_control.robots.limits import Stop

TICK = 50 * MS
DELAY = 2 * MS  # from a state to the command that answers it


@pytest.fixture(scope='module')
def lived(tmp_path_factory):
    """Live some episodes, recording the topics of a robot; return the bag and what happened."""
    arm = load_arm('iiwa', 'reach', {'episode_period': 1.0, 'reset_interval': 1000})
    world, names = simulate(arm), arm.settings.joint_names
    generator = np.random.default_rng(5)
    messages, happened, time = [], [], START

    def tell_state():
        _, q, dq = world._robot.read()
        messages.append((time, '/joint_states', JOINT_STATE,
                         joint_state(names[::-1], q[::-1], dq[::-1], time)))

    action = np.zeros(7)
    for _ in range(6):
        observation = world.reset(generator)
        goal = world._state.goal
        messages.append((time, '/goal', POSE, pose(
            *goal[:3], frame=arm.kinematics.root_link)))
        if not happened:
            tell_state()
        ended = False
        while not ended:
            action = np.clip(action + generator.normal(0.0, 0.3, 7), -1.0, 1.0)
            outcome = world.step(action)
            command = world._state.command
            stopping = Stop(command, arm.limits)
            later = max(float(stopping.times.max()), 1e-3)
            (rest,) = stopping.at([later])
            delay = DELAY * 1e-9
            messages.append((time + DELAY, '/joint_trajectory', TRAJECTORY, trajectory(names, [
                (arm.control_period - delay, command.q, command.dq),
                (arm.control_period - delay + later, rest[0], np.zeros(7))])))
            time += TICK
            tell_state()
            happened.append((observation, outcome))
            observation = outcome.observation
            ended = outcome.truncated
    world.close()
    messages.sort(key=lambda message: message[0])
    return record(tmp_path_factory.mktemp('lived') / 'bag', messages), happened, arm


def test_topics_give_the_transitions_that_were_lived(tmp_path, lived):
    path, happened, arm = lived
    with DatasetWriter(tmp_path / 'set', arm.contract()) as writer:
        report = from_robot([Bag(path)], arm, SamplingSettings(time='receive'), writer)
        writer.finish({}, report)
    rows = Dataset.load(tmp_path / 'set').rows
    # The command before the first is not in a bag, so neither is the first transition.
    assert len(rows) == len(happened) - 1
    for index, (observation, outcome) in enumerate(happened[1:]):
        assert rows.observation[index] == pytest.approx(observation, abs=1e-5)
        assert rows.next_observation[index] == pytest.approx(outcome.observation, abs=1e-5)
        assert rows.applied[index] == pytest.approx(outcome.applied, abs=1e-5)
        assert rows.action[index] == pytest.approx(outcome.applied, abs=1e-5)
        assert rows.truncated[index] == outcome.truncated
        own = arm.task.error(arm.state(
            0.0, rows.next_observation[index, :7], np.zeros(7), None, outcome.goal))
        assert own == pytest.approx(outcome.error, abs=1e-5)
    assert report['bags'][0]['reasons'].keys() <= {
        'no command yet', 'the tick before was not usable'}
