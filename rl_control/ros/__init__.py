# SPDX-License-Identifier: Apache-2.0
"""What crosses into ROS 2: messages, qualities of service, parameters and the journal."""
