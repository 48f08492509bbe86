# SPDX-License-Identifier: Apache-2.0
"""Command gate node: trajectories in, forward commands out; at rest when none arrive."""

import time

import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import GateSettings
from rl_control.control.command_gate import Gate
from rl_control.control.realtime_loop import RealtimeLoop
from rl_control.nodes.arm_parameters import declare_arm
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription
from rl_control.ros.node_main import every, run
from rl_control.ros.parameters import declare


class CommandGate(Node):
    """A process of its own, so that it survives the policy node."""

    def __init__(self) -> None:
        super().__init__('command_gate')
        settings = declare(self, 'gate', GateSettings)
        arm = declare_arm(self)
        self._names = arm.settings.joint_names
        self._velocity = settings.interface == 'velocity'
        self._gate = Gate(arm, self._velocity, settings.position_gain, settings.stale_period)
        self._trajectory_reader = codec.TrajectoryReader(self._names)
        self._closing = False
        self._reader = codec.JointReader(self._names, velocity_required=False)
        self._trajectory_count = self._refused = 0
        self._joint_states = DrainedSubscription(
            self, codec.JointState, 'joint_states', qos.SENSOR, raw=True
        )
        self._trajectories = DrainedSubscription(
            self, codec.Trajectory, 'joint_trajectory', qos.COMMAND, raw=True)
        self._commands = self.create_publisher(
            codec.ForwardCommand, 'forward_command', qos.COMMAND)
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        every(self, 1.0, self._report)
        self._loop = RealtimeLoop(1.0 / settings.rate, self._tick, 'gate', settings.real_time,
                          self.get_logger().warning)
        self._loop.start()

    def done(self) -> bool:
        """Return False; re-raise an exception of the loop's thread."""
        self._loop.check()
        return False

    def close(self, executor: Executor) -> None:
        """Wait until the arm rests, since no other process would stop it."""
        self._closing = True
        while self._gate.moving(time.monotonic()):
            time.sleep(0.01)
        self._loop.stop()
        if self._velocity:
            self._commands.publish(codec.forward_command(np.zeros(len(self._names))))

    def _tick(self, due: float) -> None:
        """Read the topics and publish the next command; on the loop's thread."""
        for raw, receipt in self._joint_states.take():
            try:
                joints = self._reader.read_raw(raw)
            except InvalidInput as refused:
                self._refuse(str(refused))
                continue
            if joints is not None:
                stamp, q, _ = joints
                self._gate.receive(receipt, stamp, q)
        for raw, _ in self._trajectories.take():
            if self._closing:
                break
            try:
                started = self._gate.follow(due, *self._trajectory_reader.read(raw))
                self._trajectory_count += started
                if not started:
                    self._refuse('trajectory rejected: no fresh joint_states')
            except InvalidInput as refused:
                self._refuse(str(refused))
        command = self._gate.sample(due)
        if command is not None:
            self._commands.publish(codec.forward_command(command))

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        self.get_logger().error(reason, throttle_duration_sec=1.0)

    def _report(self) -> None:
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: gate',
            codec.WARN if self._refused else codec.OK,
            'moving' if self._gate.moving(time.monotonic()) else 'at rest',
            {'trajectories': self._trajectory_count, 'refused': self._refused,
             **self._loop.statistics.figures()},
            self.get_clock().now().nanoseconds * 1e-9))


def main() -> int:
    """Run the command gate."""
    return run(CommandGate)


if __name__ == '__main__':
    raise SystemExit(main())
