# SPDX-License-Identifier: Apache-2.0
"""Static transform of the base frame on /tf_static, where the messages of tf2 are installed."""

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from rl_control.ros import qos

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the wheels have none
    TFMessage = None


def publish_base_transform(node: Node, root_link: str, alias: str) -> bool:
    """Publish `root_link` as the same frame as `alias`; return False without tf2_msgs."""
    if TFMessage is None:
        return False
    transform = TransformStamped(child_frame_id=root_link)
    transform.header.frame_id = alias
    transform.transform.rotation.w = 1.0
    publisher = node.create_publisher(TFMessage, '/tf_static', qos.LATCHED)
    publisher.publish(TFMessage(transforms=[transform]))
    return True
