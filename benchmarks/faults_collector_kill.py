# SPDX-License-Identifier: Apache-2.0
"""
Kill a collector with SIGKILL repeatedly, and count the transitions that its recording lacks.

A supervised training has two collectors; each kill comes at a random moment of an episode. At last
all processes are killed at once. Then another reader must open the bag as it is, no killed run may
end with a falsely terminated episode, and each transition must be in the bag or wait on the disk
for the collector's next start. Exits with 1 if more than 0.2 % are lost.
"""

import argparse
import json
import os
from pathlib import Path
import random
import shutil
import signal
import sys
import tempfile

from faults_learner_kill import Watcher, busy_graph
import rclpy
from rosbags.highlevel import AnyReader

from rl_control.bringup import supervisor
from rl_control.bringup.run_graph import graph_environment
from rl_control.bringup.supervisor import Supervisor
from rl_control.report.delivery_accounting import account, journaled, produced
from rl_control.ros import codec
from rl_control.ros.journal import read_journal
from rl_control.transport.outboxes import SPILL

SHARE = 0.002  # of a recording that may be lost


def kill_collectors(watcher: Watcher, kills: int, out: Path, rng: random.Random) -> int:
    """Kill collectors, each after its predecessor's rows are delivered; return the kills."""
    for number in range(kills):
        name = f'collector_{rng.randrange(2)}'
        if not watcher.until(lambda name=name: name in watcher.supervisor.pids):
            return number
        pid = watcher.supervisor.pids[name]

        def acting(name: str = name, pid: int = pid) -> bool:
            # One file is left: those of its predecessors are delivered.
            return (watcher.supervisor.pids.get(name) == pid
                    and len(list((out / SPILL).glob(f'{name}-*.rows'))) == 1)

        if not watcher.until(acting):
            return number
        watcher.until(lambda: False, rng.uniform(0.5, 2.5))
        os.kill(pid, signal.SIGKILL)
        print(f'kill {number + 1} of {kills}: {name}', flush=True)
        watcher.until(lambda name=name, pid=pid: watcher.supervisor.pids.get(name) != pid)
    watcher.until(lambda: False, 2.0)
    return kills


def falsely_terminated(out: Path) -> int:
    """Return how many runs end as terminated, though the task never terminates."""
    last: dict[str, float] = {}
    for topic, _, _, data in read_journal(out / 'journal'):
        if topic.endswith('/transitions'):
            table = codec.decode_table_cdr(data)
            if len(table.rows):
                run = codec.Origin.from_header(table.header).run
                last[run] = table.rows[-1, table.columns.index('terminated')]
    return sum(bool(value) for value in last.values())


def main() -> int:
    """Run a training with kills, print the figures, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--robot', default='gymnasium:Pendulum-v1')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    out = Path(tempfile.mkdtemp(prefix='collector_kill_'))
    environment = graph_environment()
    os.environ.update(environment)
    processes = busy_graph(out, options.robot, 2, options.seed)
    supervisor.LONGEST_WAIT = supervisor.FIRST_WAIT  # kills that are meant are no reason to wait
    rclpy.init(args=[])
    running = Supervisor(processes, environment, out / 'logs', deaths_limit=10**6)
    watcher = Watcher(running)
    try:
        watcher.until(lambda: watcher.updates > 0)
        kills = kill_collectors(watcher, options.kills, out, random.Random(options.seed))
        for pid in running.pids.values():
            os.kill(pid, signal.SIGKILL)
    finally:
        running.stop()
        rclpy.try_shutdown()
    found, made, safe = account(out), produced(out), journaled(out)
    with AnyReader([out / 'journal']) as reader:
        opened = sum(1 for _ in reader.messages())
    figures = {
        'kills': kills, 'messages_in_the_bag': opened,
        'runs': len(made),
        'runs_whole_in_the_bag': sum(safe.get(run, 0) == count for run, count in made.items()),
        'produced': found.produced, 'in_the_bag': found.journaled,
        'waiting_for_the_next_start': found.waiting, 'lost': found.lost,
        'lost_percent': round(100.0 * found.lost / max(1, found.produced), 4),
        'falsely_terminated': falsely_terminated(out),
    }
    print(json.dumps(figures, indent=2))
    shutil.rmtree(out)
    return int(kills < options.kills or found.lost > SHARE * found.produced
               or bool(figures['falsely_terminated']))


if __name__ == '__main__':
    sys.exit(main())
