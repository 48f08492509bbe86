# SPDX-License-Identifier: Apache-2.0
"""Time stamps of messages, to and from seconds."""

from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock


def stamp_message(seconds: float) -> Time:
    """Return a time in s as a message."""
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def read_stamp(stamp: Time) -> float:
    """Return a message's time in s."""
    return stamp.sec + stamp.nanosec * 1e-9


def clock(seconds: float) -> Clock:
    """Return a simulated time in s as a message."""
    return Clock(clock=stamp_message(seconds))
