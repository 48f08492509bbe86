# SPDX-License-Identifier: Apache-2.0
"""ROS 2 interface: messages, QoS profiles, parameters and the journal."""
