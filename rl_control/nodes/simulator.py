# SPDX-License-Identifier: Apache-2.0
"""Simulator node: a physics engine behind the topics of an arm driven by ros2_control."""

from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import SimulatorSettings
from rl_control.control.emulated_controllers import (
    ForwardPosition,
    ForwardVelocity,
    TrajectoryController,
)
from rl_control.control.realtime_loop import RealtimeLoop
from rl_control.nodes.arm_parameters import declare_arm
from rl_control.robots.engines import make_simulator, resolve
from rl_control.ros import codec, qos
from rl_control.ros.node_main import every, run
from rl_control.ros.parameters import declare
from rl_control.ros.transforms import publish_base_transform

BACKLOG = 0.1  # s of simulated time that are caught up after a stall; more is skipped


class Simulator(Node):
    """Step the arm in real time on its own thread; the executor receives commands."""

    def __init__(self) -> None:
        super().__init__('simulator')
        settings = declare(self, 'simulator', SimulatorSettings)
        self._arm = declare_arm(self)
        self._names = self._arm.settings.joint_names
        engine = resolve(settings.engine)
        self.get_logger().info(f'simulating in {engine}')
        self._robot = make_simulator(
            engine, self._arm.kinematics.urdf, self._names, self._arm.control_period,
            held=self._arm.held)
        self._robot.reset(self._arm.home)
        for alias in self._arm.frames[1:2]:  # one: a frame has one parent
            publish_base_transform(self, self._arm.frames[0], alias)
        self._joint_states = self.create_publisher(
            codec.JointState, 'joint_states', qos.SENSOR)
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self._commands = self._refused = 0
        self._refusal = ''
        if settings.controller == 'trajectory':
            self._controller = TrajectoryController(self._arm.home)
            self._reader = codec.TrajectoryReader(self._names)
            self.create_subscription(
                codec.Trajectory, 'joint_trajectory', self._on_trajectory, qos.COMMAND, raw=True)
        else:
            forward = (ForwardPosition if settings.controller == 'forward_position'
                       else ForwardVelocity)
            self._controller = forward(self._arm.home)
            self.create_subscription(
                codec.ForwardCommand, 'forward_command', self._on_forward, qos.COMMAND)
        every(self, 1.0, self._report)
        self._step = self._robot.substep_period
        self._state_period = max(self._step, 1.0 / settings.state_rate)
        self._time = self._state_due = 0.0
        self._loop = RealtimeLoop(self._step, self._tick, 'simulating', settings.real_time,
                          self.get_logger().warning)
        self._loop.start()

    def done(self) -> bool:
        """Return False; re-raise an exception of the simulation thread."""
        self._loop.check()
        return False

    def close(self, executor: Executor) -> None:
        """Stop the loop and close the simulation."""
        self._loop.stop()
        self._robot.close()

    def _tick(self, due: float) -> None:
        """Simulate until `due`, and publish joint states when they are due."""
        self._time = max(self._time, due - BACKLOG)
        while self._time < due - 0.5 * self._step:
            self._time += self._step
            self._robot.track([self._controller.sample(self._time)])
        if due >= self._state_due - 0.5 * self._step:
            self._state_due = max(self._state_due, due - self._state_period) + self._state_period
            _, q, dq = self._robot.read()
            stamp = self.get_clock().now().nanoseconds * 1e-9
            self._joint_states.publish(codec.joint_state(self._names, stamp, q, dq))

    def _on_trajectory(self, raw: bytes) -> None:
        try:
            self._controller.follow(*self._reader.read(raw))
            self._commands += 1
        except InvalidInput as refused:
            self._refuse(refused)

    def _on_forward(self, message: codec.ForwardCommand) -> None:
        try:
            self._controller.forward(codec.read_forward_command(message, len(self._names)))
            self._commands += 1
        except InvalidInput as refused:
            self._refuse(refused)

    def _refuse(self, refused: InvalidInput) -> None:
        self._refused += 1
        self._refusal = str(refused)
        self.get_logger().error(str(refused))

    def _report(self) -> None:
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: simulating',
            codec.WARN if self._refused else codec.OK,
            f'{self._refused} commands rejected, the last: {self._refusal}' if self._refused
            else 'simulating',
            {'commands': self._commands, 'refused': self._refused,
             **self._loop.statistics.figures()},
            self.get_clock().now().nanoseconds * 1e-9))


def main() -> int:
    """Run the simulator."""
    return run(Simulator)


if __name__ == '__main__':
    raise SystemExit(main())
