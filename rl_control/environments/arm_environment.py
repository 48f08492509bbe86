# SPDX-License-Identifier: Apache-2.0
"""The environment of an arm: robot, limits and task, one tick at a time."""

import numpy as np

from rl_control.common import poses
from rl_control.common.types import Command, Outcome, State
from rl_control.environments.arm_model import Arm
from rl_control.robots.limits import limit
from rl_control.robots.robot import Robot


class ArmEnvironment:
    """
    Turn requested joint velocities into limited commands, and what follows into outcomes.

    The limiter is part of this world: the policy sees the previous command and learns what it
    requested. Every `reset_interval` episodes the arm goes to a start pose; between, an episode
    begins where the last one ended, as it does on hardware.
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
        """Draw a goal, and a start pose when it is due; return the first observation (o,)."""
        state = self._state
        if state is None or self._episodes >= self.arm.task.settings.reset_interval:
            state = self.restart(rng)
        self._episodes += 1
        self._steps = 0
        self._state = self._read(state.command, self.arm.draw_goal(rng))
        return self.arm.task.observe(self._state)

    def restart(self, rng: np.random.Generator) -> State:
        """Bring the arm to rest at a start pose, where the next episode begins."""
        self._episodes = 0
        start = self.arm.draw_start(rng)
        self._robot.reset(start)
        self._state = self._read(Command.at_rest(start), poses.from_position(np.full(3, np.nan)))
        return self._state

    def step(self, action: np.ndarray) -> Outcome:
        """Request the joint velocities `action` (n,) rad/s for one control period."""
        assert self._state is not None, 'reset comes first'
        arm = self.arm
        command = limit(action, self._state.command, arm.control_period, arm.limits)
        self._robot.send(command)
        return self._arrived(action, command)

    def _arrived(self, action: np.ndarray, command: Command) -> Outcome:
        """Return what the requested `action` (n,) rad/s, applied as `command`, has led to."""
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
        """Return a picture (h, w, 3) uint8; a simulated robot alone has one."""
        assert self._state is not None, 'reset comes first'
        return self._robot.picture(self.arm.task.target(self._state))

    def close(self) -> None:
        """Release the robot."""
        self._robot.close()

    def _read(self, command: Command, goal: np.ndarray) -> State:
        stamp, q, dq = self._robot.read()
        return self.arm.state(stamp, q, dq, command, goal)
