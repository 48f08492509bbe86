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

# Liveliness leases: how often a publisher asserts that it is alive, and how long a subscription
# waits before it counts the publisher as dead. The latter is longer, since a busy machine may
# assert late; together they stay below 1 s.
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
        # Automatic: a middleware thread asserts it, so a long update does not count as death.
        profile.liveliness = LivelinessPolicy.AUTOMATIC
        profile.liveliness_lease_duration = lease
    return profile


# What overflows is sent again by rl_control.transport.outbox.
TRANSITIONS = _profile(64, lease=LEASE_OFFERED)
TRANSITIONS_INPUT = _profile(64, lease=LEASE_REQUESTED)
# The newest value for late subscriptions: policies, goals, acknowledgements.
LATCHED = _profile(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ACKNOWLEDGE = _profile(1, durability=DurabilityPolicy.TRANSIENT_LOCAL, lease=LEASE_OFFERED)
ACKNOWLEDGE_INPUT = _profile(
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
# Depth 1: a command must never wait behind an older one.
COMMAND = _profile(1)
# From the operator or a driver: takeover, reward, success, protective stop.
OPERATOR = _profile(10)
# The estop has two subscriptions: a best-effort, volatile one, which matches every publisher, and
# a latched one, since only a reliable subscription receives messages from before it started.
ESTOP = _profile(10, reliability=ReliabilityPolicy.BEST_EFFORT)
ESTOP_LATCHED = LATCHED
CLOCK = _profile(1, reliability=ReliabilityPolicy.BEST_EFFORT)


def matching(offered: Sequence[QoSProfile], depth: int) -> QoSProfile:
    """Return a profile that matches all publishers that offer these, with all latched messages."""
    reliable = all(
        profile.reliability == ReliabilityPolicy.RELIABLE for profile in offered)
    latched = all(
        profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in offered)
    return _profile(
        depth,
        ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def to_metadata(profile: QoSProfile) -> dict[str, Any]:
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
    """Return a duration as rosbag2 writes it, where none means unlimited."""
    nanoseconds = duration.nanoseconds or UNLIMITED
    return {'sec': nanoseconds // 10**9, 'nsec': nanoseconds % 10**9}
