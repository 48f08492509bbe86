# SPDX-License-Identifier: Apache-2.0
"""Arm environment: robot, joint limiter and task, one control period a step."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from rl_control.common import poses
from rl_control.common.types import Command, Outcome, State
from rl_control.environments.arm_model import Arm
from rl_control.robots.limits import limit
from rl_control.robots.robot import Robot


class ArmEnvironment:
    """
    Apply requested joint velocities through the limiter; return observation and reward.

    The limiter is part of the environment: the observation has the previous command, and the
    requested action is learned. Every `reset_interval` episodes the arm moves to a start pose;
    in between, an episode begins where the last one ended, as on hardware.
    """

    def __init__(self, arm: Arm, robot: Robot) -> None:
        self.arm = arm
        self.contract = arm.contract()
        self._robot = robot
        self._episodes = 0
        self._steps = 0
        self.length = round(arm.task.settings.episode_period / arm.control_period)
        self._scale = arm.limits.velocity
        self._state: State | None = None

    def reset(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a goal, and a start pose when one is due; return the first observation (o,)."""
        state = self._state
        if state is None or self._episodes >= self.arm.task.settings.reset_interval:
            state = self.restart(rng)
        self._episodes += 1
        self._steps = 0
        self._state = self._read(state.command, self.arm.draw_goal(rng))
        return self.arm.task.observe(self._state)

    def restart(self, rng: np.random.Generator) -> State:
        """Bring the arm to rest at a start pose; the next episode begins there."""
        self._episodes = 0
        start = self.arm.draw_start(rng)
        self._robot.reset(start)
        self._state = self._read(Command.at_rest(start), poses.from_position(np.full(3, np.nan)))
        return self._state

    def restart_clock(self) -> None:
        """Let a simulated arm's stamps begin at 0 again, as in a new world."""
        self._robot.restart_clock()

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of the simulated arm and of the episode, which `restore` takes back."""
        return {'robot': self._robot.snapshot(), 'episodes': self._episodes,
                'steps': self._steps, 'state': deepcopy(self._state)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Be in the state of an environment of the same arm, task and engine."""
        self._robot.restore(snapshot['robot'])
        self._episodes, self._steps = snapshot['episodes'], snapshot['steps']
        self._state = deepcopy(snapshot['state'])

    def step(self, action: np.ndarray) -> Outcome:
        """Request the joint velocities `action` (n,) rad/s for one control period."""
        assert self._state is not None, 'reset comes first'
        arm = self.arm
        command = limit(action, self._state.command, arm.control_period, arm.limits)
        self._robot.send(command)
        return self._outcome(action, command)

    def _outcome(self, action: np.ndarray, command: Command) -> Outcome:
        """Return the outcome of the requested `action` (n,) rad/s, applied as `command`."""
        arm = self.arm
        self._state = state = self._read(command, self._state.goal)
        self._steps += 1
        error = arm.task.error(state)
        terminated = arm.task.terminated(state)
        return Outcome(
            observation=arm.task.observe(state),
            reward=arm.task.reward(action / self._scale, state),
            terminated=terminated,
            truncated=not terminated and self._steps >= self.length,
            applied=command.dq,
            stamp=state.stamp,
            success=error <= arm.task.settings.success_distance,
            error=error,
            goal=state.goal[:3],
        )

    def render(self) -> np.ndarray:
        """Return an image (h, w, 3) uint8; only a simulated robot has one."""
        assert self._state is not None, 'reset comes first'
        return self._robot.picture(self.arm.task.target(self._state))

    def close(self) -> None:
        """Release the robot."""
        self._robot.close()

    def _read(self, command: Command, goal: np.ndarray) -> State:
        stamp, q, dq = self._robot.read()
        return self.arm.state(stamp, q, dq, command, goal)
