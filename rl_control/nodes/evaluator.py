# SPDX-License-Identifier: Apache-2.0
"""Evaluator node: publish goals for the arm and score how it reaches them."""

from pathlib import Path
import time

import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_json
from rl_control.common.statistics import wilson_interval
from rl_control.common.types import Command
from rl_control.config.nodes import EvaluatorSettings
from rl_control.nodes.arm_parameters import declare_arm
from rl_control.ros import codec, qos
from rl_control.ros.node_main import every, run
from rl_control.ros.parameters import declare

GOALS_PER_LINE = 10  # goals between two lines of progress
WAITING_PERIOD = 5.0  # s between lines while waiting


class Evaluator(Node):
    """
    Publish a goal each `task.episode_period` and score it at its end; end after the last.

    The first goal, home, is not scored: it lets the policy node begin.
    """

    def __init__(self) -> None:
        super().__init__('evaluator')
        self._settings = declare(self, 'evaluator', EvaluatorSettings)
        self._arm = declare_arm(self)
        self._reader = codec.JointReader(self._arm.settings.joint_names, velocity_required=False)
        self._rng = np.random.default_rng(self._settings.seed)
        self._joints: tuple[float, np.ndarray, np.ndarray] | None = None
        self._goal: np.ndarray | None = None
        self._due = 0.0
        self._errors: list[float] = []
        self._resumes = 0
        self._policy: dict[str, str] = {}
        self._logged = time.monotonic()
        self._goals = self.create_publisher(codec.Goal, 'goal', qos.GOAL)
        self.create_subscription(
            codec.JointState, 'joint_states', self._on_joint_state, qos.SENSOR)
        self.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)
        self._resume = self.create_client(codec.Trigger, 'policy/resume')
        self._publish_goal(poses.from_matrix(self._arm.kinematics.pose(self._arm.home)))
        every(self, 0.005, self._update)

    def done(self) -> bool:
        """Return True when every goal was scored."""
        return len(self._errors) >= self._settings.goals

    def close(self, executor: Executor) -> None:
        """Write the results, of fewer goals after an interrupt."""
        if self._settings.out:
            write_json(Path(self._settings.out), self._results())

    def _publish_goal(self, goal: np.ndarray) -> None:
        stamp = self.get_clock().now().nanoseconds * 1e-9
        self._goals.publish(codec.goal_message(
            goal, self._arm.kinematics.root_link, stamp))

    def _on_joint_state(self, message: codec.JointState) -> None:
        try:
            self._joints = self._reader.read(message)
        except InvalidInput as refused:
            self.get_logger().error(str(refused))

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        for name, values in codec.read_diagnostics(message):
            if not name.endswith(': driving'):
                continue
            self._policy = values
            if values.get('mode') == 'stopped' and self._resume.service_is_ready():
                # The evaluator is the operator here, who looks at the arm and resumes it.
                self._resumes += 1
                self._resume.call_async(codec.Trigger.Request())

    def _update(self) -> None:
        """Score the goal and publish the next one when it is time."""
        now = time.monotonic()
        if self._goal is None:
            if self._policy.get('mode') != 'driving' or self._joints is None:
                if now - self._logged >= WAITING_PERIOD:
                    self._logged = now
                    print(f'waiting for the policy node: {self._policy.get("why", "no status")}')
                return
            self._due = now
        elif now >= self._due and not self.done():
            self._errors.append(self._error())
            if len(self._errors) % GOALS_PER_LINE == 0 or self.done():
                print(f'{self._successes} of {len(self._errors)} goals reached over topics')
        if now >= self._due and not self.done():
            self._goal = self._arm.draw_goal(self._rng)
            self._publish_goal(self._goal)
            self._due += self._arm.task.settings.episode_period

    def _error(self) -> float:
        """Return the distance from success by the newest joint states."""
        stamp, q, dq = self._joints
        state = self._arm.state(stamp, q, dq, Command.at_rest(q), self._goal)
        return self._arm.task.error(state)

    @property
    def _successes(self) -> int:
        limit = self._arm.task.settings.success_distance
        return sum(error <= limit for error in self._errors)

    def _results(self) -> dict[str, object]:
        goals, successes = len(self._errors), self._successes
        return {
            'success_rate': successes / max(goals, 1),
            'successes': successes,
            'goals': goals,
            'interval': wilson_interval(successes, goals),
            'errors': self._errors,
            'resumes': self._resumes,
            'version': int(codec.read_value(self._policy, 'version', -1)),
            **{name: codec.read_value(self._policy, name, np.nan) for name in self._policy
               if name.endswith('_ms')},
            **{name: value for name, value in self._policy.items()
               if name.endswith('_histogram')},
        }


def main() -> int:
    """Run the evaluator."""
    return run(Evaluator)


if __name__ == '__main__':
    raise SystemExit(main())
