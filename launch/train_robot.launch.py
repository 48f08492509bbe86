# SPDX-License-Identifier: Apache-2.0
"""Train on an arm: see `ros2 launch rl_control train_robot.launch.py --show-args`."""

from rl_control.bringup.launch_description import describe


def generate_launch_description():
    """Return the graph `train_robot`."""
    return describe('train_robot')
