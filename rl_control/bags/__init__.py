# SPDX-License-Identifier: Apache-2.0
"""Bags as data: what others recorded, read and turned into transitions. No ROS, no torch."""
