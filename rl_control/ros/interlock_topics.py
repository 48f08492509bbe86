# SPDX-License-Identifier: Apache-2.0
"""Topics that may forbid the arm to move, heard both as they come and as they were left."""

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from rl_control.control.interlocks import ANYBODY, BoolInterlock
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription


class BoolInterlockTopic:
    """
    A std_msgs/Bool topic that feeds a Flag, emptied by the thread that drives the arm.

    It has two subscriptions: best effort and volatile matches every publisher, and the latched
    one is given what was said before it came.
    """

    def __init__(self, node: Node, flag: BoolInterlock) -> None:
        self._node = node
        self._flag = flag
        # One of the two may not match a publisher, which is as it should be.
        self._intakes = [
            DrainedSubscription(node, codec.Bool, flag.name, profile,
                   event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))
            for profile in (qos.ESTOP, qos.ESTOP_LATCHED)]

    def take(self, fault: Callable[[str], None]) -> None:
        """Hear what was said since the last call, by one thread; call `fault` if it forbids."""
        heard = [told for intake in self._intakes for told in intake.take_described()]
        for message, receipt, info in sorted(heard, key=lambda told: told[1]):
            if why := self._flag.receive(receipt, publisher(info), codec.read_flag(message)):
                fault(why)

    def look(self) -> int:
        """Forget the publishers that are gone; return how many are there. For any one thread."""
        spoke = self._flag.spoke  # first: who speaks from now on may be missed by what follows
        known = self._node.get_publishers_info_by_topic(self._flag.name)
        self._flag.keep({bytes(one.endpoint_gid) for one in known}, spoke)
        return len(known)


def publisher(info: Mapping[str, Any]) -> bytes:
    """Return the gid of who sent a message; ANYBODY where rclpy does not tell, as Jazzy's."""
    gid = info.get('publisher_gid')
    return bytes(gid['data']) if gid else ANYBODY
