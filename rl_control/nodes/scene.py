# SPDX-License-Identifier: Apache-2.0
"""Scene node: robot_description and markers for RViz and Foxglove."""

from collections import deque

import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.config.nodes import SceneSettings
from rl_control.nodes.arm_parameters import declare_arm
from rl_control.robots.urdf import robot_description
from rl_control.ros import codec, markers, qos
from rl_control.ros.goal_topic import subscribe_goal
from rl_control.ros.node_main import every, run
from rl_control.ros.parameters import declare


class Scene(Node):
    """
    Publish markers of the arm, its goal and its path; send no commands.

    A process of its own, so that drawing cannot delay the control loop.
    """

    def __init__(self) -> None:
        super().__init__('scene')
        settings = declare(self, 'scene', SceneSettings)
        self._arm = declare_arm(self)
        self._reader = codec.JointReader(self._arm.settings.joint_names, velocity_required=False)
        self._joints: tuple[float, np.ndarray, np.ndarray] | None = None
        self._goal: np.ndarray | None = None
        self._path: deque[np.ndarray] = deque(
            maxlen=max(2, round(settings.path_period * settings.rate)))
        text = robot_description(self._arm.kinematics.urdf)
        description = self.create_publisher(codec.Text, 'robot_description', qos.ROBOT_DESCRIPTION)
        description.publish(codec.Text(data=text))
        self._markers = self.create_publisher(markers.Markers, 'markers', qos.MARKERS)
        self.create_subscription(
            codec.JointState, 'joint_states', self._on_joint_state, qos.SENSOR)
        subscribe_goal(self, self._on_goal)
        every(self, 1.0 / settings.rate, self._draw)

    def done(self) -> bool:
        """Return False: it runs until a signal."""
        return False

    def close(self, executor: Executor) -> None:
        """Do nothing: nothing is to be saved."""

    def _on_joint_state(self, message: codec.JointState) -> None:
        try:
            self._joints = self._reader.read(message)
        except InvalidInput as refused:
            self.get_logger().error(str(refused), throttle_duration_sec=5.0)

    def _on_goal(self, message: codec.Goal) -> None:
        try:
            self._goal = codec.read_goal(message, self._arm.frames)
        except InvalidInput as refused:
            self.get_logger().error(f'goal not drawn: {refused}')

    def _draw(self) -> None:
        if self._joints is None or self._goal is None:
            return
        stamp, q, dq = self._joints
        state = self._arm.state(stamp, q, dq, Command.at_rest(q), self._goal)
        task = self._arm.task
        self._path.append(state.pose[:3, 3])
        size = task.settings.success_distance
        self._markers.publish(markers.scene(
            self._arm.kinematics.root_link, state.goal, task.target(state), size,
            task.error(state) <= size, self._path))


def main() -> int:
    """Run the scene."""
    return run(Scene)


if __name__ == '__main__':
    raise SystemExit(main())
