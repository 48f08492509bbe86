# SPDX-License-Identifier: Apache-2.0
"""Train from a bag or a dataset: see `ros2 launch rl_control offline.launch.py --show-args`."""

from rl_control.bringup.launch_description import describe


def generate_launch_description():
    """Return the graph `offline`."""
    return describe('offline')
