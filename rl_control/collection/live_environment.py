# SPDX-License-Identifier: Apache-2.0
"""The environment of an arm that moves in real time, with people beside it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rl_control.collection.live_arm import LiveArm
from rl_control.common import poses
from rl_control.common.types import Outcome, State
from rl_control.config.hardware import HardwareSettings
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.environments.arm_model import Arm
from rl_control.environments.environment import Interrupted

PERSON = 'waiting for a person to call ~/next'


class LiveEnvironment(ArmEnvironment):
    """
    As ArmEnvironment, but time passes by itself, and people stop, resume, take over and score.

    `step` raises Interrupted when the arm must stop; `reset` waits until it may move again. What
    `hindrance` says keeps an episode from beginning, `tell_goal` is given each goal (7,).
    """

    def __init__(
        self, arm: Arm, robot: LiveArm, settings: HardwareSettings,
        hindrance: Callable[[], str], tell_goal: Callable[[np.ndarray], None],
    ) -> None:
        super().__init__(arm, robot)
        self._settings = settings
        self._hindrance = hindrance
        self._tell_goal = tell_goal

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """Begin an episode where the arm is, after a way to a start pose when it is due."""
        robot = self._robot
        robot.wait(self._hindrance)
        while self._state is None or self._episodes >= self.arm.task.settings.reset_interval:
            try:
                self.restart(rng)
            except Interrupted:
                robot.wait(self._hindrance)  # which is interrupted, too, at the end
        if self._settings.wait_for_person:
            robot.person.ask()
            robot.wait(self._leave)
        robot.person.forget()
        self._episodes += 1
        self._steps = 0
        goal = self.arm.draw_goal(rng)
        self._tell_goal(goal)
        self._state = self._read(robot.steering.command, goal)
        return self.arm.task.observe(self._state)

    def restart(self, rng: np.random.Generator) -> State:
        """Bring the arm slowly to rest at a start pose."""
        self._robot.reset(self.arm.draw_start(rng))
        self._episodes = 0
        no_goal = poses.from_position(np.full(3, np.nan))
        self._state = self._read(self._robot.steering.command, no_goal)
        return self._state

    def step(self, action: np.ndarray) -> Outcome:
        """Request the joint velocities `action` (n,) rad/s, or what a person asks for instead."""
        robot = self._robot
        robot.follow(action)
        command = robot.steering.command
        outcome = self._arrived(command.dq if robot.intervened else action, command)
        return self._scored(replace(outcome, intervention=robot.intervened))

    def stop(self, why: str) -> None:
        """Bring the arm to rest until a person resumes."""
        self._robot.steering.fault(why)

    def close(self) -> None:
        """End whatever is waited for."""
        self._robot.end()

    def _leave(self) -> str:
        return self._hindrance() or ('' if self._robot.person.invited else PERSON)

    def _scored(self, outcome: Outcome) -> Outcome:
        """Return `outcome` with what the topics say in place of what was computed."""
        person, settings = self._robot.person, self._settings
        if settings.reward == 'topic':
            outcome = replace(outcome, reward=person.scored())
        if settings.success == 'topic':
            # A person who says so ends the episode: nothing after it counts for the task.
            success = person.judged()
            outcome = replace(
                outcome, success=success, terminated=success,
                truncated=outcome.truncated and not success)
        return outcome
