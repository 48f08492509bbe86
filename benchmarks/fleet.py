# SPDX-License-Identifier: Apache-2.0
"""
Fleet of many light collectors and one learner: delivered rows, memory, backlog.

Each collector numbers its rows, stores them until they are acknowledged and sends again, as every
collector does, at an arm's fixed rate. 25 of them share a process and publish one recorded episode
repeatedly. Printed are lost rows, the learner's memory (medians of the second and last quarter),
and the longest backlog of a collector in s of its rate; a fleet is too large when the backlog
keeps growing. `--collectors` takes several numbers. Exits with 1 if anything was lost.
"""

import argparse
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import numpy as np

from rl_control.bringup.processes import NodeProcess
from rl_control.common.files import write_json

RATE = 20.0  # Hz of each collector
SHARED = 25  # collectors in a process
FLUSH_PERIOD = 0.1  # s, as collectors have
WORLD = 'Pendulum-v1'
TIMEOUT = 20.0  # s for the last acknowledgements


def episode() -> tuple[np.ndarray, tuple[str, ...], str]:
    """Return the rows of one episode, their columns, and the hash of their contract."""
    from rl_control.collection.collector import Collector
    from rl_control.config.nodes import CollectorSettings
    from rl_control.environments.gymnasium import GymnasiumEnvironment
    from rl_control.ros import codec

    world, transitions = GymnasiumEnvironment(WORLD), []
    collector = Collector(world, CollectorSettings(), SimpleNamespace(
        send=transitions.append, send_episode=lambda end: collector.stopped.set()))
    collector.run()
    world.close()
    return (np.array([codec.transition_row(one) for one in transitions]),
            codec.transition_columns(world.contract), world.contract.hash)


def feed(index: int, count: int, seconds: float, out: Path) -> None:
    """Act as `count` collectors for `seconds`; write their accounts."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from rl_control.ros import codec, qos
    from rl_control.transport.outbox import Outbox
    from rl_control.transport.outboxes import SPILL
    from rl_control.transport.spill_file import SUFFIX, Identity, SpillFile

    rows, columns, contract_hash = episode()
    at = columns.index('episode')
    names = [f'light_{index}_{number}' for number in range(count)]
    boxes = {run: Outbox(len(columns), file=SpillFile.create(
        out / SPILL / f'{run}{SUFFIX}', Identity(name, run, contract_hash), len(columns)))
        for name in names for run in [f'{name}-0']}
    rclpy.init()
    node = rclpy.create_node(f'light_{index}')
    publisher = node.create_publisher(codec.Transitions, 'transitions', qos.TRANSITIONS)

    def on_acknowledge(message: codec.Acknowledge) -> None:
        _, told = codec.read_acknowledge(codec.decode_table(message))
        for run in told.keys() & boxes.keys():
            boxes[run].acknowledge(*told[run], time.monotonic())

    node.create_subscription(
        codec.Acknowledge, 'transitions/ack', on_acknowledge, qos.ACKNOWLEDGE_INPUT)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def send() -> None:
        for name, (run, box) in zip(names, boxes.items(), strict=True):
            while (batch := box.pending(time.monotonic())) is not None:
                origin = codec.Origin(name, run, contract_hash, batch[0], box.oldest)
                publisher.publish(codec.encode_table(
                    codec.Table(columns, batch[1], origin.to_header())))

    began = time.monotonic()
    made = worst = late = 0
    flushed = began
    while (now := time.monotonic()) < began + seconds:
        due = int((now - began) * RATE)
        late = max(late, due - made)
        while made < due:
            row = rows[made % len(rows)].copy()
            row[at] = made // len(rows)
            for box in boxes.values():
                if box.room:
                    box.append(row)
            made += 1
        if now - flushed >= FLUSH_PERIOD:
            flushed = now
            worst = max(worst, *(box.backlog for box in boxes.values()))
            send()
        executor.spin_once(timeout_sec=0.005)
    left = [box.backlog for box in boxes.values()]
    while any(box.backlog for box in boxes.values()) and (
            time.monotonic() < began + seconds + TIMEOUT):
        send()
        executor.spin_once(timeout_sec=0.02)
    for name, (run, box) in zip(names, boxes.items(), strict=True):
        write_json(out / 'collectors' / f'{run}.json', {
            'collector': name, 'run': run, 'produced': box.produced, 'resends': box.resends})
        box.close()
    write_json(out / f'feeder_{index}.json', {
        'worst_backlog_s': worst / RATE, 'last_backlog_s': max(left) / RATE,
        'late_s': late / RATE, 'not_made': made * count - sum(
            box.produced for box in boxes.values()),
        'resends': sum(box.resends for box in boxes.values())})
    rclpy.try_shutdown()


def fleet(collectors: int, seconds: float) -> dict[str, object]:
    """Run one fleet; return its figures."""
    from soak import measure

    from rl_control.bringup.run_graph import graph_environment
    from rl_control.bringup.supervisor import Supervisor
    from rl_control.report.delivery_accounting import account

    out = Path(tempfile.mkdtemp(prefix='fleet_'))
    environment = graph_environment()
    learner = NodeProcess('learner', 'learner', (), {
        'learner.environment': WORLD, 'learner.out': str(out), 'learner.threads': 1,
        'learner.headroom': 1_000_000, 'algorithm.hidden_sizes': [64, 64],
        'algorithm.updates_per_transition': 0.01, 'algorithm.learning_starts': 1000,
        'algorithm.replay_capacity': 50_000})
    supervisor = Supervisor([learner], environment, out / 'logs')
    sizes = [min(SHARED, collectors - first) for first in range(0, collectors, SHARED)]
    feeders: list[subprocess.Popen[bytes]] = []
    memory: list[tuple[float, float, float]] = []  # s, own MiB, resident MiB
    try:
        while not list(out.glob('journal/*.mcap')):
            time.sleep(0.1)
        feeders = [subprocess.Popen(
            [sys.executable, __file__, '--feed', str(index), str(size), str(seconds), str(out)],
            env=environment) for index, size in enumerate(sizes)]
        began = time.monotonic()
        while any(feeder.poll() is None for feeder in feeders):
            if supervisor.poll() is not None:
                raise RuntimeError(f'the learner ended; see {out}')
            own, resident, _ = measure(supervisor.pids['learner'])
            memory.append((time.monotonic() - began, own / 1024, resident / 1024))
            print(f'\r{collectors} collectors, {memory[-1][0]:.0f} s, learner '
                  f'{memory[-1][1]:.0f} MiB ', end='', file=sys.stderr, flush=True)
            time.sleep(1.0)
    finally:
        for feeder in feeders:
            feeder.terminate()
            feeder.wait()
        supervisor.stop()
    print(file=sys.stderr)
    found = account(out)
    told = [json.loads(path.read_text()) for path in out.glob('feeder_*.json')]
    quarter = [one for one in memory if seconds / 4 <= one[0] < seconds / 2]
    last = [one for one in memory if 0.75 * seconds <= one[0] < seconds]
    figures = {
        'collectors': collectors,
        'seconds': seconds,
        'produced': found.produced,
        'per_second': round(found.produced / seconds, 1),
        'lost': found.lost,
        'waiting_at_the_end': found.waiting,
        **{name: round(max(one[name] for one in told), 2) for name in (
            'worst_backlog_s', 'last_backlog_s', 'late_s', 'not_made')},
        'resends': sum(one['resends'] for one in told),
        **{f'learner_{what}_mib': [
            round(float(np.median([one[at] for one in part])), 1) for part in (quarter, last)
            if part] for at, what in ((1, 'own'), (2, 'resident'))},
    }
    shutil.rmtree(out)
    return figures


def main() -> int:
    """Run the fleets, print the figures, return the exit status."""
    if sys.argv[1:2] == ['--feed']:
        index, count, seconds, out = sys.argv[2:]
        feed(int(index), int(count), float(seconds), Path(out))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--collectors', type=int, nargs='+', default=[100])
    parser.add_argument('--minutes', type=float, default=10.0)
    options = parser.parse_args()
    lost = 0
    for collectors in options.collectors:
        figures = fleet(collectors, 60.0 * options.minutes)
        print(json.dumps(figures), flush=True)
        lost += figures['lost']
    return int(bool(lost))


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.exit(main())
