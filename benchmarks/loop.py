# SPDX-License-Identifier: Apache-2.0
"""
Lateness of the control loop beside a bare loop of absolute sleeps and a timer of rclpy.

    python benchmarks/loop.py [--rate 500] [--seconds 5] [--rounds 4] [--json]

Each contender runs in a process of its own, in turn, round by round, so that what else the
machine does meets all of them. `drive` is the loop with the policy node's whole tick in it but
for the topics; the others do nothing in theirs.
"""

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import time

import numpy as np

CONTENDERS = ('bare', 'bare_fifo', 'timer', 'loop', 'drive')
SHARES = {'p50': 50.0, 'p99': 99.0, 'p99.9': 99.9, 'max': 100.0}


def bare(period: float, seconds: float, fifo: bool = False) -> list[float]:
    """Sleep until each due time, and no more."""
    if fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(80))
    lateness = []
    due = time.monotonic() + period
    end = due + seconds
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        lateness.append(now - due)
        due += period * max(1, round((now - due) / period) + 1)
    return lateness


def timer(period: float, seconds: float) -> list[float]:
    """Let a node's timer fire, spun by the default executor."""
    import rclpy

    rclpy.init()
    node = rclpy.create_node('timer')
    called: list[float] = []
    node.create_timer(period, lambda: called.append(time.monotonic()))
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()
    # Its grid is not told: it is taken from the earliest, about a middle that rounds away.
    starts = np.array(called)
    turns = np.exp(2j * np.pi * starts / period)
    grid = np.angle(turns / np.mean(turns)) * period / (2.0 * np.pi)
    return list(grid - np.percentile(grid, 1.0))


def loop(period: float, seconds: float, driving: bool = False) -> list[float]:
    """Run the package's loop, empty or with the tick of a policy node."""
    from rl_control.loop import Loop

    lateness: list[float] = []
    work = _drive(period) if driving else lambda due: None

    def tick(due: float) -> None:
        lateness.append(time.monotonic() - due)
        work(due)

    running = Loop(period, tick, real_time=True, notice=lambda line: print(line, file=sys.stderr))
    running.start()
    time.sleep(seconds)
    running.stop()
    running.check()
    return lateness


def _drive(period: float):
    """Return what takes joint states and answers them, with a policy of two layers of 64."""
    import dataclasses

    from rl_control.arm import Arm
    from rl_control.driving import Driving, Margins
    from rl_control.environments.make import load_arm

    found = load_arm('iiwa', 'reach')
    settings = dataclasses.replace(found.settings, control_rate=1.0 / period)
    arm = Arm(settings, found.task, found.kinematics, found.limits, found.home)
    driving = Driving(arm, Margins())
    driving.policy, driving.goal = _policy(arm), arm.kinematics.position(arm.home) + 0.1

    def tick(due: float) -> None:
        now = time.monotonic()
        q, dq = (arm.home, np.zeros(7)) if driving.command is None else (
            driving.command.q, driving.command.dq)
        driving.receive(now, now, q, dq)
        driving.tick(now, due)

    return tick


def _policy(arm):
    from rl_control.algorithms import make_agent, settings_of
    from rl_control.export import Exporter
    from rl_control.policy import OnnxPolicy

    agent = make_agent('sac', arm.contract(), settings_of('sac')(hidden_sizes=(64, 64)))
    return OnnxPolicy(Exporter(agent.policy, arm.contract(), 'sac', 'bench').export(0, 0))


def run(name: str, period: float, seconds: float) -> list[float]:
    """Return the lateness in s of each tick of one contender, without the first ten."""
    if name == 'timer':
        return timer(period, seconds)[10:]
    if name in ('loop', 'drive'):
        return loop(period, seconds, name == 'drive')[10:]
    return bare(period, seconds, name == 'bare_fifo')[10:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('--rate', type=float, default=500.0)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--rounds', type=int, default=4)
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--one', choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.one, 1.0 / options.rate, options.seconds)))
        return
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    root = Path(__file__).parents[1]
    environment = {**os.environ, 'PYTHONPATH': str(root)}
    for _ in range(options.rounds):
        for name in CONTENDERS:
            output = subprocess.run(
                [sys.executable, __file__, '--one', name, '--rate', str(options.rate),
                 '--seconds', str(options.seconds)],
                check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
            found[name] += json.loads(output.splitlines()[-1])
    figures = {
        name: {label: round(1e3 * float(np.percentile(values, share)), 4)
               for label, share in SHARES.items()} | {'ticks': len(values)}
        for name, values in found.items()
    }
    if options.json:
        print(json.dumps({'rate': options.rate, 'lateness_ms': figures}, indent=2))
        return
    print(f'lateness in ms at {options.rate:g} Hz')
    for name, row in figures.items():
        print(f'{name:10}', *(f'{label} {value:<9}' for label, value in row.items()))


if __name__ == '__main__':
    main()
