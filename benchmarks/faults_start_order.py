# SPDX-License-Identifier: Apache-2.0
"""
Start learner, broadcaster and collector in every order, and measure when they work together.

Each is a separate process, started `--apart` seconds after the one before. The time is from the
last start until the collector acts with a second version of the policy: then rows, credit,
candidates and versions have all been exchanged. Exits with 1 if that takes more than 10 s.
"""

import argparse
from itertools import permutations
import json
import os
from pathlib import Path
import shutil
import sys
import tempfile
import time

import rclpy
from rclpy.node import Node

from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.run_graph import graph_environment
from rl_control.bringup.supervisor import Supervisor
from rl_control.ros import codec, qos

LIMIT = 10.0  # s
TIMEOUT = 60.0  # s


class Watcher(Node):
    """Receives the versions that the collector acts with."""

    def __init__(self) -> None:
        super().__init__('watcher')
        self.versions: set[int] = set()
        self.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        for status in message.status:
            if status.name.endswith(': collecting'):
                values = {entry.key: entry.value for entry in status.values}
                self.versions.add(int(values['version']))


def settle(order: tuple[NodeProcess, ...], apart: float) -> float | None:
    """Start the processes in this order; return the s from the last start to the steady state."""
    watcher = Watcher()
    supervisors = []
    try:
        for process in order:
            if supervisors:
                time.sleep(apart)
            supervisors.append(Supervisor([process], dict(os.environ)))
        began = time.monotonic()
        while time.monotonic() < began + TIMEOUT:
            rclpy.spin_once(watcher, timeout_sec=0.02)
            if len(watcher.versions - {-1}) > 1:
                return round(time.monotonic() - began, 2)
        return None
    finally:
        for supervisor in supervisors:
            supervisor.stop()
        watcher.destroy_node()


def main() -> int:
    """Try every order, print the figures, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--apart', type=float, default=1.0, help='s between two starts')
    options = parser.parse_args()
    os.environ.update(graph_environment())
    rclpy.init(args=[])
    figures = {}
    try:
        for names in permutations(('learner', 'broadcaster', 'collector_0')):
            out = Path(tempfile.mkdtemp(prefix='start_order_'))
            made = {process.name: process for process in graph('train_sim').processes({
                'robot': 'gymnasium:Pendulum-v1', 'collectors': '1', 'out': str(out)})}
            figures[', '.join(names)] = settle(
                tuple(made[name] for name in names), options.apart)
            print(json.dumps({', '.join(names): figures[', '.join(names)]}), flush=True)
            shutil.rmtree(out)
    finally:
        rclpy.try_shutdown()
    slow = [names for names, took in figures.items() if took is None or took > LIMIT]
    print(f'{len(figures) - len(slow)} of {len(figures)} orders within {LIMIT:.0f} s')
    return int(bool(slow))


if __name__ == '__main__':
    sys.exit(main())
