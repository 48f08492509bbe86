# SPDX-License-Identifier: Apache-2.0
"""
Throughput of transitions over topics: learner and collector nodes, beside bare ROS messages.

`journaled` runs the package's own processes in an environment without cost. A transition counts
when the learner has acknowledged it, hence stored it in its journal; afterwards the journal is
read back and compared with the collectors' accounts.
"""

from collections.abc import Iterator
from functools import partial
import json
import os
from pathlib import Path
import sys
import tempfile
import time

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.free_environment import NAME
from benchmarks.parts.reception import compare_reception
from benchmarks.parts.subprocesses import processor_time, run_module
from rl_control.bringup.processes import NodeProcess

AHEAD = 8192  # transitions of credit for collectors
TIMEOUT = 180.0  # s until the first acknowledgement; a busy machine takes long to start


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield transitions/s journaled and acknowledged, and received without a journal."""
    seconds = scale.size(5, 1)
    rounds = min(scale.rounds, 5)
    yield compare(
        'transport: transitions journaled and acknowledged, 7 joints', 'transitions/s', [
            Contender(OURS, lambda: partial(journaled_rate, 2, seconds)),
        ], rounds, [Goal('rate', at_least=20_000.0), Goal('lost', at_most=0.0)], more=True)
    yield compare_reception(scale, rounds)


def journaled_rate(collectors: int, seconds: float) -> Figures:
    """Return the figures of `journaled`, run in a separate process."""
    return run_module(__name__, 'journaled', collectors, seconds)


def journaled(collectors: int, seconds: float) -> Figures:
    """Run a learner and collectors; return the acknowledged rate, and the loss."""
    from rl_control.bringup.supervisor import Supervisor
    from rl_control.report.delivery_accounting import account as account_of

    with tempfile.TemporaryDirectory(prefix='rl_control_bench_') as folder:
        out = Path(folder)
        supervisor = Supervisor(_processes(out, collectors), dict(os.environ), out / 'logs')
        try:
            times, counts, spent = _acknowledged(collectors, seconds, supervisor.pids)
        finally:
            supervisor.stop()
        accounts = [json.loads(path.read_text()) for path in (out / 'collectors').glob('*.json')]
        found = account_of(out)
        return {'rate': (counts[-1] - counts[0]) / (times[-1] - times[0]),
                'lost': found.lost,
                'waiting for the next start': found.waiting,
                'not ended well': abs(collectors - len(accounts)),
                'sent again': sum(account['resends'] for account in accounts),
                **{f'{name} us': 1e6 * cpu / (counts[-1] - counts[0])
                   for name, cpu in spent.items()}}


def _processes(out: Path, collectors: int) -> list[NodeProcess]:
    """Return a learner with few updates, so that it grants much credit, and collectors."""
    learner = NodeProcess('learner', 'learner', (), {
        'learner.environment': NAME, 'learner.out': str(out), 'learner.threads': 1,
        'learner.headroom': AHEAD, 'learner.checkpoint_period': 3600.0,
        'learner.publish_period': 3600.0, 'algorithm.updates_per_transition': 1.0 / AHEAD,
        'algorithm.hidden_sizes': [16], 'algorithm.batch_size': 16,
        'algorithm.replay_capacity': 200_000})
    return [learner, *(
        NodeProcess('collector', f'collector_{index}', (), {
            'collector.environment': NAME, 'collector.out': str(out), 'collector.seed': index})
        for index in range(collectors))]


def _acknowledged(
    collectors: int, seconds: float, pids: dict[str, int],
) -> tuple[list[float], list[int], dict[str, float]]:
    """
    Return times in s and acknowledged transitions, once all collectors are connected.

    The third value is the processor time in s of the learner and of the collectors meanwhile.
    """
    import rclpy

    from rl_control.ros import codec, qos
    from rl_control.ros.drained_subscription import DrainedSubscription

    rclpy.init(args=[])
    node = rclpy.create_node('watcher')
    intake = DrainedSubscription(node, codec.Acknowledge, 'transitions/ack', qos.LATCHED)
    times: list[float] = []
    counts: list[int] = []
    deadline = time.monotonic() + TIMEOUT
    while not times or times[-1] - times[0] < seconds:
        if time.monotonic() > deadline + seconds:
            raise RuntimeError(f'not all of {collectors} collectors came within {TIMEOUT} s')
        time.sleep(0.01)
        for message, receipt in intake.take():
            rows = codec.decode_table(message).rows
            # Begin after the first update has its transitions.
            if len(rows) == collectors and rows[:, 0].sum() > 4 * AHEAD:
                if not times:
                    before = _spent(pids)
                times.append(receipt)
                counts.append(int(rows[:, 0].sum()))
    after = _spent(pids)
    rclpy.shutdown()
    return times, counts, {name: after[name] - before[name] for name in after}


def _spent(pids: dict[str, int]) -> dict[str, float]:
    """Return the processor time in s of the learner and of all collectors so far."""
    found = {'learner': 0.0, 'collector': 0.0}
    for name, pid in pids.items():
        found[name.partition('_')[0]] += processor_time(pid)
    return found


ROLES = {'journaled': journaled}

if __name__ == '__main__':
    role, *arguments = json.loads(sys.argv[1])
    print(json.dumps(ROLES[role](*arguments)))
