# SPDX-License-Identifier: Apache-2.0
"""Policies over a channel that drops, doubles, delays and forges."""

import pytest
from training import exported

from benchmarks.faults_policy_channel import Channel, examine


def test_the_channel_is_as_bad_as_it_says() -> None:
    channel, arrived = Channel(3), []
    for version in range(2000):
        arrived.append(list(channel.pass_on(version)))
    flat = [version for one in arrived for version in one]
    times = [flat.count(version) for version in range(1990)]
    assert times.count(0) / 1990 == pytest.approx(0.3, abs=0.04)
    late = sum(version not in arrived[version] for version in set(flat))
    assert late / len(set(flat)) == pytest.approx(0.3, abs=0.04)
    assert times.count(2) / 1990 == pytest.approx(0.7 * 0.7 * 0.3, abs=0.04)
    assert max(times) == 2 and flat != sorted(flat)


def test_the_newest_that_is_let_through_acts(ros_domain: int) -> None:
    figures = examine(40, 1, exported())
    assert figures['not_acting_with_the_newest_let_through'] == 0
    assert figures['versions_increase'] and figures['messages'] > 40
    assert figures['most'] < 10
