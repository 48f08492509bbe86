# SPDX-License-Identifier: Apache-2.0
"""
Soak test of a whole graph: collectors, learner, broadcaster, policy node, simulator node.

In the first half of `--minutes` processes are killed with SIGKILL at random times (except the
simulator, which stands in for an arm). In the second half none is, and the growth of memory and
descriptors of every process is measured. The policy node follows policy/best and moves a simulated
arm to goals all the time. Exits with 1 if a process grew by 5 % or more, if descriptors grew, if a
transition was lost or doubled, or if a log has a traceback.
"""

import argparse
from collections import Counter, defaultdict
from dataclasses import replace
import json
import os
from pathlib import Path
import random
import shutil
import signal
import sys
import tempfile
import time

from faults_learner_kill import Watcher, account
import numpy as np
import rclpy

from rl_control.bringup import supervisor
from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.run_graph import graph_environment
from rl_control.bringup.supervisor import Supervisor
from rl_control.ros import codec, qos

GROWTH = 0.05
SAMPLE_PERIOD = 5.0  # s
GOAL_PERIOD = 3.0  # s
SETTLING = 60.0  # s after the last kill, in which processes fill their buffers
CAPACITY = 20_000  # transitions in the replay, so that it is full before the second half
GOALS = ((0.5, 0.2, 0.6), (0.5, -0.2, 0.5), (0.6, 0.0, 0.7))


def processes(robot: str, out: Path, collectors: int) -> list[NodeProcess]:
    """Return the processes of a training and of a deployment that follows it."""
    training = graph('train_sim').processes({
        'robot': robot, 'collectors': str(collectors), 'out': str(out), 'time_limit': '0'})
    deployment = graph('deploy').processes({'robot': robot, 'policy': 'best.onnx'})
    more = {
        'learner': {'algorithm.replay_capacity': CAPACITY},
        'policy': {'policy.policy': ''},  # the topic policy/best
    }
    return [
        replace(process, respawn=True, ends_graph=False, parameters={
            **process.parameters, **more.get(process.name, {})})
        for process in (*training, *deployment) if process.name not in ('monitor', 'evaluator')]


def measure(pid: int) -> tuple[int, int, int] | None:
    """
    Return a process's anonymous and resident memory in KiB, and its open descriptors.

    Return None where it has ended. Pages of files come and go with the machine's load: only
    anonymous memory shows a process's growth.
    """
    try:
        status = Path(f'/proc/{pid}/status').read_text()
        own, resident = (
            int(status.split(f'{field}:')[1].split()[0]) for field in ('RssAnon', 'VmRSS'))
        return own, resident, len(os.listdir(f'/proc/{pid}/fd'))
    except (OSError, IndexError):
        return None


class Soak:
    """Kills processes, publishes goals and measures memory, while the supervisor runs."""

    def __init__(self, watcher: Watcher, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.samples: dict[str, list[tuple[float, int, int, int, int]]] = defaultdict(list)
        self._watcher = watcher
        self._rng = random.Random(seed)
        self._goals = watcher.create_publisher(codec.Goal, 'goal', qos.GOAL)
        self._began = time.monotonic()
        self._goal_due = self._sample_due = 0.0

    def run(self, seconds: float, kill_period: float) -> None:
        """Run for `seconds`, with a kill about every `kill_period` s; 0 for none."""
        end = time.monotonic() + seconds
        kill_due = time.monotonic() + self._rng.uniform(0.5, 1.5) * kill_period
        while (now := time.monotonic()) < end:
            self._watcher.until(lambda: False, 0.2)
            if kill_period and now >= kill_due:
                kill_due = now + self._rng.uniform(0.5, 1.5) * kill_period
                pids = self._watcher.supervisor.pids
                name = self._rng.choice([one for one in sorted(pids) if one != 'simulator'])
                os.kill(pids[name], signal.SIGKILL)
                self.kills[name] += 1
                print(f'{now - self._began:.0f} s: {name} is killed', flush=True)
            if now >= self._goal_due:
                self._goal_due = now + GOAL_PERIOD
                goal = np.array([*GOALS[self._rng.randrange(len(GOALS))], 0.0, 0.0, 0.0, 1.0])
                self._goals.publish(codec.goal_message(goal, 'world'))
            if now >= self._sample_due:
                self._sample_due = now + SAMPLE_PERIOD
                for name, pid in self._watcher.supervisor.pids.items():
                    if (found := measure(pid)) is not None:
                        self.samples[name].append((now - self._began, pid, *found))


def growth(samples: list[tuple[float, int, int, int, int]], since: float) -> dict[str, float]:
    """Return a process's growth from `since` s on, by medians of the first and last tenth."""
    mine = [sample for sample in samples if sample[0] >= since]
    tenth = max(1, len(mine) // 10)
    first, last = np.median(mine[:tenth], axis=0), np.median(mine[-tenth:], axis=0)
    return {
        'own_mib': round(float(last[2]) / 1024, 1),
        'own_growth_percent': round(100.0 * float(last[2] / first[2] - 1.0), 2),
        'resident_mib': [round(float(part[3]) / 1024, 1) for part in (first, last)],
        'descriptors': int(last[4]), 'descriptor_growth': int(last[4] - first[4]),
        'lives_in_this_half': len({sample[1] for sample in mine}),
    }


def main() -> int:
    """Run the soak test, print the figures, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--minutes', type=float, default=60.0)
    parser.add_argument('--robot', default='iiwa')
    parser.add_argument('--collectors', type=int, default=2)
    parser.add_argument('--kill-period', type=float, default=20.0, help='s, on average')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    out = Path(tempfile.mkdtemp(prefix='soak_'))
    environment = graph_environment()
    os.environ.update(environment)
    supervisor.LONGEST_WAIT = supervisor.FIRST_WAIT  # kills that are meant are no reason to wait
    rclpy.init(args=[])
    running = Supervisor(
        processes(options.robot, out, options.collectors), environment, out / 'logs',
        deaths_limit=10**6)
    watcher = Watcher(running)
    soak = Soak(watcher, options.seed)
    half = 30.0 * options.minutes
    try:
        soak.run(half, options.kill_period)
        soak.run(min(SETTLING, half / 2), 0.0)
        quiet = time.monotonic() - soak._began
        soak.run(half - min(SETTLING, half / 2), 0.0)
    finally:
        running.stop()
        rclpy.try_shutdown()
    figures: dict[str, object] = {
        'kills': dict(soak.kills),
        **{name: growth(samples, quiet) for name, samples in sorted(soak.samples.items())},
        **account(out),
        'versions': len(watcher.versions),
        'tracebacks': sum(log.read_text(errors='replace').count('Traceback')
                          for log in (out / 'logs').glob('*.log')),
    }
    print(json.dumps(figures, indent=2))
    grown = [name for name in soak.samples if (found := figures[name])['own_growth_percent']
             >= 100 * GROWTH or found['descriptor_growth'] > 0 or found['lives_in_this_half'] > 1]
    good = not (grown or figures['lost'] or figures['doubled'] or figures['tracebacks'])
    if good:
        shutil.rmtree(out)
    else:
        print(f'failed: {grown}; see {out}')
    return int(not good)


if __name__ == '__main__':
    sys.exit(main())
