# SPDX-License-Identifier: Apache-2.0
"""
Drop, duplicate, delay and forge policy messages, and check the version that a collector acts with.

Of the publications 30 % are dropped, 30 % arrive twice and 30 % late, after one or two newer ones;
every tenth is followed by another learner's, and by a forged one with an older file. After each
the collector must act with the newest delivered version; its versions must strictly increase. DDS
would send again what a network drops; here it is lost. Exits with 1 if not.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
import json
import os
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rl_control.learning.export import Exporter

SHARE = 0.3  # of messages dropped, of the others doubled, and of the others late
WORLD = 'Pendulum-v1'
TIMEOUT = 20.0  # s for a message to arrive, on a busy machine


class Channel:
    """A lossy channel with its own random generator."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._late: list[tuple[int, int]] = []  # (publications still to come before it, version)

    def pass_on(self, version: int) -> Iterator[int]:
        """Yield the versions that arrive when `version` is sent, in their order."""
        waiting = [(left - 1, late) for left, late in self._late]
        if self._rng.random() >= SHARE:
            if self._rng.random() < SHARE:
                waiting.append((int(self._rng.integers(1, 3)), version))
            else:
                yield from [version] * (1 + (self._rng.random() < SHARE))
        yield from (late for left, late in waiting if left <= 0)
        self._late = [(left, late) for left, late in waiting if left > 0]


def exporter(run: str, template: bytes | None) -> 'Exporter':
    """Return the exporter of a policy of random weights for the pendulum."""
    from rl_control.environments.gymnasium import GymnasiumEnvironment
    from rl_control.learning.algorithms import make_agent, settings_of
    from rl_control.learning.export import Exporter

    world = GymnasiumEnvironment(WORLD)
    settings = settings_of('sac').from_mapping({
        'hidden_sizes': [16, 16], 'observation_normalisation': 'fixed'})
    agent = make_agent('sac', world.contract, settings)
    world.close()
    return Exporter(agent.policy, world.contract, 'sac', run, template)


def examine(publications: int, seed: int, template: bytes | None = None) -> dict[str, object]:
    """
    Publish `publications` versions through the channel; return the collector's figures.

    A `template` of such a policy saves the tracing.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from rl_control.nodes.collector import CollectorNode
    from rl_control.ros import codec, qos

    came = []

    class Counting(CollectorNode):
        """A collector that records its version after each policy message."""

        def _on_policy(self, message: codec.Policy) -> None:
            super()._on_policy(message)
            came.append(self._collector.policy.version)

    mine = exporter('run-1', template)
    foreign = exporter('run-2', mine.export(1, 0))
    rclpy.init(args=['--ros-args', '-p', f'collector.environment:={WORLD}'])
    executor = SingleThreadedExecutor()
    collector, sender = Counting(), rclpy.create_node('sender')
    executor.add_node(collector)
    executor.add_node(sender)
    publisher = sender.create_publisher(codec.Policy, 'policy/latest', qos.POLICY)

    def send(data: bytes, run: str, version: int) -> None:
        before, deadline = len(came), time.monotonic() + TIMEOUT
        publisher.publish(codec.encode_policy(data, run, version))
        while len(came) == before:
            if time.monotonic() > deadline:
                raise RuntimeError(f'no policy arrived within {TIMEOUT} s')
            executor.spin_once(timeout_sec=0.02)

    channel, arrived, wrong, acting = Channel(seed), [], 0, []
    try:
        # Deliver the first one: without a policy the collector accepts any run.
        send(mine.export(1, 0), 'run-1', 1)
        collector._selection.accept('run-1', time.monotonic())
        for version in range(2, publications + 2):
            for passed in channel.pass_on(version):
                send(mine.export(passed, 0), 'run-1', passed)
                arrived.append(passed)
                wrong += came[-1] != max(arrived)
            if version % 10 == 0:
                collector._selection.accept('run-1', time.monotonic())  # it is alive
                send(foreign.export(version + 1, 0), 'run-2', version + 1)
                send(mine.export(1, 0), 'run-1', version + 1)  # its file is another version
                wrong += came[-1] != max([1, *arrived])
            acting.append(came[-1])
    finally:
        collector.close(executor)
        rclpy.try_shutdown()
    # Publications until a version or a newer one acts: 1 if it does after its own.
    until = [next((later - at + 1 for later in range(at, publications)
                   if acting[later] >= at + 2), None) for at in range(publications)]
    reached = [count for count in until if count is not None]
    taken = [version for index, version in enumerate(came) if version not in came[:index]]
    return {
        'publications': publications,
        'messages': len(came),
        'not_acting_with_the_newest_let_through': wrong,
        'versions_increase': all(before < after for before, after in pairwise(taken)),
        'reached_within_1': round(sum(count <= 1 for count in reached) / len(until), 4),
        'reached_within_2': round(sum(count <= 2 for count in reached) / len(until), 4),
        'most': max(reached),
    }


def main() -> int:
    """Run it in a separate ROS domain, print the figures, return the exit status."""
    from rl_control.bringup.run_graph import graph_environment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--publications', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    os.environ.update(graph_environment())
    figures = examine(options.publications, options.seed)
    print(json.dumps(figures, indent=2))
    return int(bool(figures['not_acting_with_the_newest_let_through']
                    or not figures['versions_increase']))


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.exit(main())
