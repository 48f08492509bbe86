# SPDX-License-Identifier: Apache-2.0
"""
Kill the learner with SIGKILL repeatedly under load, and count lost and doubled transitions.

A supervised training has simulated collectors. Each kill comes at a random moment: most while the
learner trains, one in five while it starts. The collectors' accounts are compared with the
journal, counted by sequence number, and with the learner's count. `--out` of an earlier call
resumes it. Exits with 1 if a transition was lost or doubled, or if the learner did not resume.
"""

import argparse
from collections import Counter
from dataclasses import replace
from itertools import pairwise
import json
import os
from pathlib import Path
import random
import shutil
import signal
import sys
import tempfile
import time

import rclpy
from rclpy.node import Node

from rl_control.bringup import supervisor
from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.run_graph import graph_environment
from rl_control.bringup.supervisor import Supervisor
from rl_control.report.delivery_accounting import account as balance
from rl_control.report.delivery_accounting import journaled
from rl_control.ros import codec, qos
from rl_control.ros.journal import read_journal

TIMEOUT = 120.0  # s to resume, on a busy machine


class Watcher(Node):
    """Receives versions and diagnostics while the supervisor runs."""

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__('watcher')
        self.supervisor = supervisor
        self.updates = -1  # of the learner, -1 before its first diagnostics
        self.noticed = False  # whether a collector has reported the learner's death
        self.versions: list[tuple[str, int]] = []
        self.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)
        self.create_subscription(
            codec.Policy, 'policy/latest', lambda message: self.versions.append(
                codec.decode_policy(message)[1:]), qos.POLICY)

    def until(self, condition, timeout: float = TIMEOUT) -> bool:
        """Spin until `condition` holds; return False after `timeout` s or the graph's end."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline or self.supervisor.poll() is not None:
                return False
            rclpy.spin_once(self, timeout_sec=0.02)
        return True

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        for status in message.status:
            values = {entry.key: entry.value for entry in status.values}
            if status.name.endswith(': learning'):
                self.updates = int(values['updates'])
            if status.name.endswith(': collecting') and 'no learner' in status.message:
                self.noticed = True


def kill_all(watcher: Watcher, kills: int, rng: random.Random) -> dict[str, object]:
    """Kill the learner `kills` times; return the times of detection and of resumption."""
    noticed, spoke = [], []
    for number in range(kills):
        learning = rng.random() < 0.8 or number == 0
        first = watcher.updates
        if learning and not watcher.until(lambda first=first: watcher.updates > max(first, 0)):
            break
        watcher.until(lambda: False, rng.uniform(0.2, 2.0) if learning else rng.uniform(0.0, 3.0))
        if not watcher.until(lambda: 'learner' in watcher.supervisor.pids):
            break
        former = watcher.supervisor.pids['learner']
        watcher.noticed = False
        began = time.monotonic()
        os.kill(former, signal.SIGKILL)
        if learning and watcher.until(lambda: watcher.noticed, 10.0):
            noticed.append(time.monotonic() - began)
        watcher.until(lambda former=former: watcher.supervisor.pids.get(
            'learner', former) != former)
        started, watcher.updates = time.monotonic(), -1
        if learning and watcher.until(lambda: watcher.updates >= 0):
            spoke.append(time.monotonic() - started)
        print(f'kill {number + 1} of {kills}: resumed at {watcher.updates} updates', flush=True)
    else:
        number = kills
    last = len(watcher.versions)
    came_back = watcher.until(lambda: len(watcher.versions) > last + 1)
    return {
        'kills': number, 'resumed_in_the_end': came_back,
        'noticed_s': noticed, 'speaks_again_s': spoke,
    }


def account(out: Path) -> dict[str, int]:
    """Return counts of produced and journaled transitions, and the learner's own count."""
    found = balance(out)
    rows: Counter[tuple[str, int]] = Counter()
    for topic, _, _, data in read_journal(out / 'journal'):
        if topic.endswith('/transitions'):
            table = codec.decode_table_cdr(data)
            origin = codec.Origin.from_header(table.header)
            rows.update((origin.run, origin.first_sequence + k) for k in range(len(table.rows)))
    learner = json.loads((out / 'learner.json').read_text())
    safe = sum(journaled(out).values())
    return {
        'produced': found.produced,
        'in_journal': found.journaled,
        'waiting_for_the_next_start': found.waiting,
        'lost': found.lost,
        'sent_again_and_dropped': sum(count - 1 for count in rows.values()),
        'counted_by_learner': learner['transitions'],
        'doubled': learner['transitions'] - safe,
    }


def busy_graph(out: Path, robot: str, collectors: int, seed: int) -> list[NodeProcess]:
    """Return a training without its monitor, in which collectors never wait."""
    return [
        replace(process, parameters={**process.parameters, **(
            {'algorithm.updates_per_transition': 0.05} if process.name == 'learner' else {})})
        for process in graph('train_sim').processes({
            'robot': robot, 'collectors': str(collectors), 'out': str(out), 'seed': str(seed)})
        if not process.ends_graph
    ]


def main() -> int:
    """Run a training with kills, print the figures, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--robot', default='gymnasium:Pendulum-v1')
    parser.add_argument('--collectors', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, help='directory to keep; default a temporary one')
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix='learner_kill_'))
    environment = graph_environment()
    os.environ.update(environment)
    processes = busy_graph(out, options.robot, options.collectors, options.seed)
    supervisor.LONGEST_WAIT = supervisor.FIRST_WAIT  # kills that are meant are no reason to wait
    rclpy.init(args=[])
    running = Supervisor(processes, environment, out / 'logs', deaths_limit=10**6)
    watcher = Watcher(running)
    try:
        figures = kill_all(watcher, options.kills, random.Random(options.seed))
    finally:
        running.stop()
        rclpy.try_shutdown()
    figures |= account(out)
    numbers = [version for _, version in watcher.versions]
    figures['versions'] = len(numbers)
    figures['versions_increase'] = all(a < b for a, b in pairwise(numbers))
    figures['runs'] = len({run for run, _ in watcher.versions})
    for name in ('noticed_s', 'speaks_again_s'):
        values = sorted(figures.pop(name))
        if values:
            figures[name] = {'median': round(values[len(values) // 2], 2),
                             'max': round(values[-1], 2), 'of': len(values)}
    print(json.dumps(figures, indent=2))
    if options.out is None:
        shutil.rmtree(out)
    good = (figures['kills'] == options.kills and figures['resumed_in_the_end']
            and not figures['lost'] and not figures['doubled'] and figures['versions_increase'])
    return int(not good)


if __name__ == '__main__':
    sys.exit(main())
