# SPDX-License-Identifier: Apache-2.0
"""QoS profiles by topic; one name per row of the topic table."""

from collections.abc import Sequence
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

UNLIMITED = 2**63 - 1  # ns

# What a publisher promises at least to say 'alive', and what a subscription waits before it takes
# the publisher for dead. The wait is longer, since a busy machine may be late with the promise;
# the two together stay below 1 s.
LEASE_OFFERED = Duration(seconds=0.4)
LEASE_REQUESTED = Duration(seconds=0.75)


def _profile(
    depth: int,
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
    lease: Duration | None = None,
) -> QoSProfile:
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability,
        durability=durability,
    )
    if lease is not None:
        # Automatic, so that a thread of the middleware says it: a long update is no death.
        profile.liveliness = LivelinessPolicy.AUTOMATIC
        profile.liveliness_lease_duration = lease
    return profile


# Depth is no promise: what overflows is sent again by rl_control.transport.outbox.
TRANSITIONS = _profile(64, lease=LEASE_OFFERED)
TRANSITIONS_HEARD = _profile(64, lease=LEASE_REQUESTED)
# The newest value for whoever comes late: policies, goals, acknowledgements.
LATCHED = _profile(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ACKNOWLEDGE = _profile(1, durability=DurabilityPolicy.TRANSIENT_LOCAL, lease=LEASE_OFFERED)
ACKNOWLEDGE_HEARD = _profile(
    1, durability=DurabilityPolicy.TRANSIENT_LOCAL, lease=LEASE_REQUESTED)
POLICY = LATCHED
GOAL = LATCHED
# A goal is subscribed to twice, too: most publishers, such as RViz, are not latched.
GOAL_VOLATILE = _profile(1, reliability=ReliabilityPolicy.BEST_EFFORT)
ROBOT_DESCRIPTION = LATCHED
EPISODES = _profile(64)
METRICS = _profile(10)
MARKERS = _profile(1)
DIAGNOSTICS = _profile(10)
# As rclpy's sensor data profile: the newest sample matters, an old one is not sent again.
SENSOR = _profile(5, reliability=ReliabilityPolicy.BEST_EFFORT)
# A command that waits behind an older one is worse than none.
COMMAND = _profile(1)
# What a person or a driver says: takeover, score, success, protective stop.
OPERATOR = _profile(10)
# An estop is subscribed to twice: as best effort and volatile, which matches every publisher, and
# as latched, since only a reliable reader is given what was said before it came.
ESTOP = _profile(10, reliability=ReliabilityPolicy.BEST_EFFORT)
ESTOP_LATCHED = LATCHED
CLOCK = _profile(1, reliability=ReliabilityPolicy.BEST_EFFORT)


def to_hear(offered: Sequence[QoSProfile], depth: int) -> QoSProfile:
    """Return a profile that matches all publishers that offer these, with all latched messages."""
    reliable = all(
        profile.reliability == ReliabilityPolicy.RELIABLE for profile in offered)
    latched = all(
        profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in offered)
    return _profile(
        depth,
        ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def described(profile: QoSProfile) -> dict[str, Any]:
    """Return a profile as in the metadata of a bag, so that a player offers the same."""
    return {
        'history': profile.history.short_key,
        'depth': profile.depth,
        'reliability': profile.reliability.short_key,
        'durability': profile.durability.short_key,
        **{name: _time(getattr(profile, name)) for name in ('deadline', 'lifespan')},
        'liveliness': profile.liveliness.short_key,
        'liveliness_lease_duration': _time(profile.liveliness_lease_duration),
        'avoid_ros_namespace_conventions': profile.avoid_ros_namespace_conventions,
    }


def _time(duration: Duration) -> dict[str, int]:
    """Return a duration in rosbag2's words, where none is the longest."""
    nanoseconds = duration.nanoseconds or UNLIMITED
    return {'sec': nanoseconds // 10**9, 'nsec': nanoseconds % 10**9}
