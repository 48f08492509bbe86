# SPDX-License-Identifier: Apache-2.0
"""Topics of an arm under ros2_control: joint states and interlocks in, trajectories out."""

from collections.abc import Sequence
import time

from rclpy.node import Node

from rl_control.common.errors import InvalidInput
from rl_control.control.phase_lock import PhaseLock
from rl_control.control.policy_controller import PolicyController
from rl_control.control.realtime_loop import Samples
from rl_control.control.stop_trajectory import Plan
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription
from rl_control.ros.interlock_topics import BoolInterlockTopic

UNUSED_PERIOD = 1.0  # s over which joint states of other joints are counted


class ArmTopics:
    """
    `joint_states` and `interlocks` in, trajectories out, every `period` s.

    `latency` is the time in s from joint states to trajectory. All but `connected` is to be used
    from one thread.
    """

    def __init__(
        self, node: Node, joint_names: tuple[str, ...], period: float,
        interlocks: Sequence[BoolInterlockTopic], trajectory: str = 'joint_trajectory',
    ) -> None:
        self.latency = Samples()
        self._writer = codec.TrajectoryWriter(joint_names)
        self._reader = codec.JointReader(joint_names)
        self._joint_states = DrainedSubscription(
            node, codec.JointState, 'joint_states', qos.SENSOR, raw=True)
        self._trajectory = node.create_publisher(codec.Trajectory, trajectory, qos.COMMAND)
        self._interlocks = interlocks
        self._phase_lock = PhaseLock(period)
        self._unused, self._counted = 0, time.monotonic()  # joint states of other joints
        self._receipt: float | None = None  # of the newest joint state without a trajectory yet

    @property
    def connected(self) -> bool:
        """Return True if a controller subscribes to the trajectories."""
        return self._trajectory.get_subscription_count() > 0

    def wait(self, seconds: float) -> None:
        """Sleep until joint states are there, `seconds` at most."""
        self._joint_states.wait(seconds)

    def update(self, controller: PolicyController) -> None:
        """Pass the messages since the last call to `controller`; a bad joint state is a fault."""
        for raw, receipt in self._joint_states.take():
            try:
                joints = self._reader.read_raw(raw)
            except InvalidInput as refused:
                controller.fault(str(refused))
                continue
            if joints is None:
                self._unused += 1  # from the driver of a gripper or another arm
                continue
            self._receipt = receipt
            self._phase_lock.receive(receipt)
            controller.receive(receipt, *joints)
        self._describe_unused(controller)
        for interlock in self._interlocks:
            interlock.update(controller.fault)

    def _describe_unused(self, controller: PolicyController) -> None:
        """Set the note of the controller, once a second, on joint states that are not used."""
        elapsed = time.monotonic() - self._counted
        if elapsed < UNUSED_PERIOD:
            return
        controller.unused_states = '' if not self._unused else (
            f'{self._unused / elapsed:.0f} Hz of joint_states name '
            f'[{", ".join(self._reader.other_names)}], none of the joints '
            f'[{", ".join(self._reader.joint_names)}]')
        self._unused, self._counted = 0, time.monotonic()

    def phase_shift(self, now: float, idle: bool) -> float:
        """Return by how many s to delay the ticks so that they act on fresh states."""
        return self._phase_lock.shift(now, idle)

    def send(self, plan: Plan) -> None:
        """Publish `plan` for the arm to follow from now on."""
        self._trajectory.publish(self._writer.write(plan.times, plan.points))
        if self._receipt is not None:
            self.latency.add(time.monotonic() - self._receipt)
            self._receipt = None
