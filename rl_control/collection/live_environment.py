# SPDX-License-Identifier: Apache-2.0
"""Live environment: episodes on an arm that moves in real time beside an operator."""

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

WAITING_FOR_OPERATOR = 'waiting for the operator to call ~/next'


class LiveEnvironment(ArmEnvironment):
    """
    ArmEnvironment in real time; the operator may stop, resume, take over and score.

    `step` raises Interrupted when the arm must stop; `reset` waits until it may move again and
    `blocked` returns '', else the reason why no episode may begin. `publish_goal` gets each goal
    (7,).
    """

    def __init__(
        self, arm: Arm, robot: LiveArm, settings: HardwareSettings,
        blocked: Callable[[], str], publish_goal: Callable[[np.ndarray], None],
    ) -> None:
        super().__init__(arm, robot)
        self._settings = settings
        self._blocked = blocked
        self._publish_goal = publish_goal

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """Begin an episode where the arm is, or at a start pose when a reset is due."""
        robot = self._robot
        robot.wait(self._blocked)
        while self._state is None or self._episodes >= self.arm.task.settings.reset_interval:
            try:
                self.restart(rng)
            except Interrupted:
                robot.wait(self._blocked)  # raises Interrupted after `close`
        if self._settings.wait_for_person:
            robot.operator.request_start()
            robot.wait(self._blocked_or_waiting)
        robot.operator.clear()
        self._episodes += 1
        self._steps = 0
        goal = self.arm.draw_goal(rng)
        self._publish_goal(goal)
        self._state = self._read(robot.controller.command, goal)
        return self.arm.task.observe(self._state)

    def restart(self, rng: np.random.Generator) -> State:
        """Move slowly to rest at a start pose."""
        self._robot.reset(self.arm.draw_start(rng))
        self._episodes = 0
        no_goal = poses.from_position(np.full(3, np.nan))
        self._state = self._read(self._robot.controller.command, no_goal)
        return self._state

    def step(self, action: np.ndarray) -> Outcome:
        """Request the joint velocities `action` (n,) rad/s, or the operator's command."""
        robot = self._robot
        robot.follow(action)
        command = robot.controller.command
        outcome = self._outcome(command.dq if robot.intervened else action, command)
        return self._with_operator_score(replace(outcome, intervention=robot.intervened))

    def stop(self, reason: str) -> None:
        """Bring the arm to rest until the operator resumes."""
        self._robot.controller.fault(reason)

    def close(self) -> None:
        """Release the collecting thread."""
        self._robot.end()

    def _blocked_or_waiting(self) -> str:
        if reason := self._blocked():
            return reason
        return '' if self._robot.operator.start_allowed else WAITING_FOR_OPERATOR

    def _with_operator_score(self, outcome: Outcome) -> Outcome:
        """Return `outcome` with reward and success from the topics, where they are set so."""
        operator, settings = self._robot.operator, self._settings
        if settings.reward == 'topic':
            outcome = replace(outcome, reward=operator.take_reward())
        if settings.success == 'topic':
            # Success ends the episode: nothing after it counts for the task.
            success = operator.take_success()
            outcome = replace(
                outcome, success=success, terminated=success,
                truncated=outcome.truncated and not success)
        return outcome
