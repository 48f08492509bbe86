# SPDX-License-Identifier: Apache-2.0
"""Environment of a graph: domain and discovery range."""

from collections.abc import Iterator
import os
import socket

import pytest

from rl_control.bringup import run_graph


@pytest.fixture(autouse=True)
def chosen_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv('ROS_DOMAIN_ID', raising=False)
    run_graph._free_domain.cache_clear()
    yield
    run_graph._free_domain.cache_clear()


def domain() -> int:
    return int(run_graph.graph_environment()['ROS_DOMAIN_ID'])


@pytest.mark.parametrize('participant', [0, 3])
def test_a_graph_takes_a_free_domain(participant: int) -> None:
    first = domain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('', 7400 + 250 * first + 10 + 2 * participant))
        assert domain() == first  # what a process starts finds each other
        run_graph._free_domain.cache_clear()
        second = domain()
    assert second != first and 1 <= second <= run_graph.LAST_DOMAIN


def test_if_all_domains_are_used_it_is_by_pid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_graph, '_is_free', lambda domain: False)
    assert domain() == 1 + os.getpid() % run_graph.LAST_DOMAIN


def test_settings_of_the_user_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '0')
    assert domain() == 0
