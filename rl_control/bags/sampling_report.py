# SPDX-License-Identifier: Apache-2.0
"""Report of resampling: what became of the ticks of one bag, what was assumed, time quality."""

from typing import Any

from rl_control.bags.bag_info import compare_counts
from rl_control.bags.bag_reader import Bag
from rl_control.bags.joined_bags import JoinedBag
from rl_control.bags.resampling import Sampler
from rl_control.bags.robot_topics import RobotTopics
from rl_control.bags.state_checks import StateChecks
from rl_control.bags.time_quality import Histogram
from rl_control.bags.time_source import RECEIVE

PACE_TOLERANCE = 0.02  # of the pace of a clock


def sampling_report(
    bag: Bag, topics: RobotTopics, checks: StateChecks, sampler: Sampler, transitions: int,
    episodes_before: int,
) -> dict[str, Any]:
    """Return the report of the `transitions` made of one bag, after `episodes_before` others."""
    compare_counts(bag, {name: time.count for name, time in topics.times.items()})
    derivation = sampler.derivation
    if derivation is not None:
        for reason, count in derivation.unread.items():
            bag.losses.count(topics.command.name, reason, count)
    for reason, count in checks.left_out.items():
        bag.losses.count(topics.states.name, reason, count)
    assumed = [f'{topics.states.name} {assumption}' for assumption in topics.state_joints.assumed]
    if topics.command is not None:
        assumed += [f'{topics.command.name} {assumption}'
                    for assumption in topics.command_joints.assumed]
        if 'MultiArray' in topics.command.type:
            assumed.append(f'{topics.command.name} commands {topics.command_joints.interface}')
    if sampler.derived_dq.any():
        joints = [name for name, derived in zip(
            topics.state_joints.names, sampler.derived_dq, strict=True) if derived]
        whose = '' if sampler.derived_dq.all() else f' of {", ".join(joints)}'
        assumed.append(f'{topics.states.name} has no velocities{whose}; they are the difference '
                       'of the positions from tick to tick')
    pace = topics.times[topics.states.name].figures().get('stamp_pace')
    if topics.clock.kind == RECEIVE and pace is not None and abs(pace - 1.0) > PACE_TOLERANCE:
        assumed.append(
            f'ticks follow the receiving clock; the stamps of {topics.states.name} advance by '
            f'{pace:.3f} s per second, so velocities and ticks are of different clocks')
    quality: dict[str, Any] = {name: time.figures() for name, time in topics.times.items()}
    quality[topics.states.name]['findings'] = checks.findings()
    refused = sampler.largest_refused
    joined = {'overlap': bag.overlap} if isinstance(bag, JoinedBag) else {}
    return {
        'bag': str(bag.path),
        **joined,
        'states': topics.states.name,
        'command': topics.command.name if topics.command else None,
        'goal': topics.goal.name if topics.goal else 'given',
        'clock': topics.clock.kind,
        'clock_why': topics.clock.why,
        'action': derivation.kind if derivation is not None else 'measured velocity',
        'ticks': sampler.ticks,
        'transitions': transitions,
        'share': transitions / max(1, sampler.ticks),
        'reasons': dict(sorted(sampler.reasons.items(), key=lambda item: -item[1])),
        'episodes': sampler.episodes - episodes_before,
        'state_age': _ages(sampler.state_ages),
        'command_age': _ages(sampler.command_ages),
        'assumed': sorted(assumed),
        'time_quality': quality,
        'losses': bag.losses.figures(),
    } | ({'largest_refused_action': dict(zip(
        topics.state_joints.names, refused.tolist(), strict=True))} if refused.any() else {})


def _ages(ages: Histogram) -> dict[str, float | None]:
    return {'p50': ages.quantile(0.5), 'p99': ages.quantile(0.99), 'largest': ages.largest}
