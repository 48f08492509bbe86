# SPDX-License-Identifier: Apache-2.0
"""Simulators: the names of the physics engines."""

AUTO = 'auto'  # the first that is installed
ENGINES = ('pybullet', 'mujoco')
SIMULATORS = (AUTO, *ENGINES)
