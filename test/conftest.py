# SPDX-License-Identifier: Apache-2.0
"""What many tests share: a ROS domain of their own, and arms on topics that judge their orders."""

from collections.abc import Callable, Iterator
from dataclasses import astuple
import os
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rig import FakeArm

# Tests of several sessions run beside each other on few cores.
os.environ.setdefault('OMP_NUM_THREADS', '1')
# Learners compile nothing beside tests, but where that is what is tested.
os.environ['CXX'] = 'no-compiler'

DOMAINS = range(1, 102)
LOCK_PORT = 26000  # below the ephemeral ports; one more for each domain


def _take(domain: int) -> socket.socket | None:
    """Return a held lock on the domain, or None when somebody uses it."""
    lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        lock.bind(('127.0.0.1', LOCK_PORT + domain))
        # The first participant of a domain listens here (DDS-RTPS 2.3, 9.6.1.1).
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
            participant.bind(('', 7400 + 250 * domain + 10))
    except OSError:
        lock.close()
        return None
    return lock


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Give the test, and the processes it starts, a ROS domain that nobody else uses."""
    start = os.getpid() % len(DOMAINS)
    for domain in [*DOMAINS[start:], *DOMAINS[:start]]:
        if (lock := _take(domain)) is not None:
            break
    else:
        pytest.fail('no ROS domain is free')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    with lock:
        yield domain


@pytest.fixture
def ros(ros_domain: int) -> Iterator[int]:
    """Initialise rclpy in a domain of its own, and shut it down after the test."""
    import rclpy

    rclpy.init()
    yield ros_domain
    rclpy.try_shutdown()


@pytest.fixture
def make_arm(
    ros: int, record_property: Callable[[str, object], None],
) -> Iterator[Callable[..., 'FakeArm']]:
    """Make arms on topics, which fail; nothing that one was ever sent may be beyond limits."""
    from rig import FakeArm

    made = []

    def make(**options: bool) -> 'FakeArm':
        made.append(FakeArm(**options))
        return made[-1]

    yield make
    for arm in made:
        arm.close()
        judged = arm.judged()
        record_property('judged', astuple(judged))
        assert not judged.wrong, judged


@pytest.fixture
def arm(make_arm: Callable[..., 'FakeArm']) -> 'FakeArm':
    """Return an arm on topics."""
    return make_arm()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many commands arms on topics were sent in all, and how many were wrong."""
    judged = [
        value for reports in terminalreporter.stats.values() for report in reports
        if getattr(report, 'when', '') == 'teardown'
        for name, value in report.user_properties if name == 'judged']
    if judged:
        from rig import Judged

        total = sum((Judged(*value) for value in judged), Judged())
        terminalreporter.write_line(f'{len(judged)} arms on topics were sent {total}')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what runs a graph in real time on one worker, where the graphs take turns."""
    for item in items:
        if 'ros_domain' in getattr(item, 'fixturenames', ()):
            item.add_marker(pytest.mark.xdist_group('graph'))
