# SPDX-License-Identifier: Apache-2.0
"""Train in simulation: see `ros2 launch rl_control train_sim.launch.py --show-args`."""

from rl_control.bringup.launch_description import describe


def generate_launch_description():
    """Return the graph `train_sim`."""
    return describe('train_sim')
