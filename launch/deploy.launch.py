# SPDX-License-Identifier: Apache-2.0
"""Run a policy: see `ros2 launch rl_control deploy.launch.py --show-args`."""

from rl_control.bringup.launch_description import describe


def generate_launch_description():
    """Return the graph `deploy`."""
    return describe('deploy')
