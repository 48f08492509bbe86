# SPDX-License-Identifier: Apache-2.0
"""The topics of an arm under ros2_control, for the thread that drives it."""

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


class ArmTopics:
    """
    `joint_states` and `flags` in, trajectories out, every `period` s.

    `latency` is from joint states to trajectory in s. All but `taken` is for one thread.
    """

    def __init__(
        self, node: Node, joint_names: tuple[str, ...], period: float,
        flags: Sequence[BoolInterlockTopic], trajectory: str = 'joint_trajectory',
    ) -> None:
        self.latency = Samples()
        self._writer = codec.TrajectoryWriter(joint_names)
        self._reader = codec.JointReader(joint_names)
        self._intake = DrainedSubscription(
            node, codec.JointState, 'joint_states', qos.SENSOR, raw=True
        )
        self._trajectory = node.create_publisher(codec.Trajectory, trajectory, qos.COMMAND)
        self._flags = flags
        self._phase = PhaseLock(period)
        self._receipt: float | None = None  # of the newest state that is not answered yet

    @property
    def taken(self) -> bool:
        """Say whether anybody takes the trajectories."""
        return self._trajectory.get_subscription_count() > 0

    def wait(self, seconds: float) -> None:
        """Sleep until joint states are there, `seconds` at most."""
        self._intake.wait(seconds)

    def take(self, driving: PolicyController) -> None:
        """Hand over what came since the last call; a bad joint state is a fault."""
        for raw, receipt in self._intake.take():
            try:
                joints = self._reader.read_raw(raw)
            except InvalidInput as refused:
                driving.fault(str(refused))
                continue
            if joints is None:
                continue  # of a gripper's or another arm's driver on the same topic
            self._receipt = receipt
            self._phase.receive(receipt)
            driving.receive(receipt, *joints)
        for flag in self._flags:
            flag.take(driving.fault)

    def shift(self, now: float, free: bool) -> float:
        """Return by how much in s ticks should come later than now, to act on fresh states."""
        return self._phase.shift(now, free)

    def send(self, plan: Plan) -> None:
        """Let the arm follow `plan` from now on."""
        self._trajectory.publish(self._writer.write(plan.times, plan.points))
        if self._receipt is not None:
            self.latency.add(time.monotonic() - self._receipt)
            self._receipt = None
