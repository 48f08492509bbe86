# SPDX-License-Identifier: Apache-2.0
"""Read rosbags and turn them into datasets of transitions, without ROS and torch."""
