# SPDX-License-Identifier: Apache-2.0
"""
Lateness of the control loop beside a bare loop of absolute sleeps and an rclpy timer.

Each contender runs in a separate process with its own priority and locked memory. `drive` is the
loop with the policy node's whole tick except the topics; the other loops are empty.
"""

from collections.abc import Callable, Iterator
import json
import os
import sys
import time

import numpy as np

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.fixtures import arm_at
from benchmarks.parts.subprocesses import run_module, start

RATE = 500.0  # Hz
BESIDE_RATE = 100.0  # Hz of the loop that has a learner beside it
LEARNER = ('plain', 'sac', 256, 256, 2)  # two layers of 256, batch 256, 2 threads
TURNS = 2000  # of the learner: longer than any measurement
CONTENDERS = ('bare', 'bare_fifo', 'timer', 'loop', 'drive')
NAMES = {'bare': 'bare sleeps', 'bare_fifo': 'limit: bare sleeps, real time',
         'timer': 'rclpy timer', 'drive': 'rl_control, whole tick'}
SHARES = {'p50': 50.0, 'p99': 99.0, 'p99.9': 99.9, 'max': 100.0}


def bare(period: float, seconds: float, fifo: bool = False) -> list[float]:
    """Sleep until each due time and do nothing else."""
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
    """Run a node's timer, spun by the default executor."""
    import rclpy

    rclpy.init()
    node = rclpy.create_node('timer')
    called: list[float] = []
    node.create_timer(period, lambda: called.append(time.monotonic()))
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()
    # The timer's phase is unknown: estimate it by the earliest calls, around the circular mean.
    starts = np.array(called)
    turns = np.exp(2j * np.pi * starts / period)
    grid = np.angle(turns / np.mean(turns)) * period / (2.0 * np.pi)
    return list(grid - np.percentile(grid, 1.0))


def loop(period: float, seconds: float, driving: bool = False) -> list[float]:
    """Run the package's loop, empty or with the policy node's tick."""
    from rl_control.control.realtime_loop import RealtimeLoop

    lateness: list[float] = []
    work = _drive(period) if driving else lambda due: None

    def tick(due: float) -> None:
        lateness.append(time.monotonic() - due)
        work(due)

    running = RealtimeLoop(
        period, tick, real_time=True, log_warning=lambda line: print(line, file=sys.stderr)
    )
    running.start()
    time.sleep(seconds)
    running.stop()
    running.check()
    return lateness


def _drive(period: float) -> Callable[[float], None]:
    """Return a tick that answers joint states with a policy of two layers of 64."""
    from rl_control.common import poses
    from rl_control.control.policy_controller import Margins, PolicyController

    arm = arm_at('iiwa', 1.0 / period)
    driving = PolicyController(arm, Margins())
    driving.policy = _policy(arm)
    driving.goal = poses.from_position(arm.kinematics.position(arm.home) + 0.1)

    def tick(due: float) -> None:
        now = time.monotonic()
        q, dq = (arm.home, np.zeros(7)) if driving.command is None else (
            driving.command.q, driving.command.dq)
        driving.receive(now, now, q, dq)
        driving.tick(now, due)

    return tick


def _policy(arm):
    from rl_control.learning.algorithms import make_agent, settings_of
    from rl_control.learning.export import Exporter
    from rl_control.policies.onnx_policy import OnnxPolicy

    agent = make_agent('sac', arm.contract(), settings_of('sac')(hidden_sizes=(64, 64)))
    return OnnxPolicy(Exporter(agent.policy, arm.contract(), 'sac', 'bench').export(0, 0))


def run(name: str, period: float, seconds: float) -> list[float]:
    """Return the lateness in s of each tick of one contender, without the first ten."""
    if name == 'timer':
        return timer(period, seconds)[10:]
    if name in ('loop', 'drive'):
        return loop(period, seconds, name == 'drive')[10:]
    return bare(period, seconds, name == 'bare_fifo')[10:]


def latency(rate: float, seconds: float) -> dict[str, float]:
    """Return a policy node's reported latency from joint state to command, over topics."""
    from pathlib import Path
    import subprocess
    import tempfile

    import rclpy

    from rl_control.bringup.graphs import graph
    from rl_control.bringup.processes import NodeProcess
    from rl_control.bringup.supervisor import command_line
    from rl_control.ros import codec, qos

    told: dict[str, float] = {}

    def hear(message: codec.Diagnostics) -> None:
        for name, values in codec.read_diagnostics(message):
            if name.endswith(': driving'):
                told.update({key.removeprefix('latency_').removesuffix('_ms'): float(value)
                             for key, value in values.items()
                             if key.startswith('latency_') and key.endswith('_ms')})

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / 'policy.onnx'
        _policy(arm_at('iiwa', rate)).save(path)
        rclpy.init()
        node = rclpy.create_node('bench')
        node.create_subscription(codec.Diagnostics, '/diagnostics', hear, qos.DIAGNOSTICS)
        rates = {'robot.control_rate': rate, 'simulator.state_rate': rate}
        children = [
            subprocess.Popen(command_line(NodeProcess(
                process.executable, process.name, process.parameter_files,
                {**process.parameters, **{name: value for name, value in rates.items()
                                          if not name.startswith('simulator')
                                          or process.name == 'simulator'}})),
                stdout=subprocess.DEVNULL)
            for process in graph('deploy').processes({'policy': str(path), 'goals': '1000'})]
        try:
            deadline = time.monotonic() + 30.0
            while 'p50' not in told and time.monotonic() < deadline:
                rclpy.spin_once(node, timeout_sec=0.1)
            began = time.monotonic()
            while time.monotonic() < began + seconds:
                rclpy.spin_once(node, timeout_sec=0.1)
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait()
            node.destroy_node()
            rclpy.shutdown()
    return told


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield the lateness of each contender's ticks, then the latency of an answer."""
    seconds = scale.size(5, 1)
    yield compare(f'loop: lateness at {RATE:g} Hz', 'ms', [
        Contender(OURS if name == 'loop' else NAMES.get(name, name),
                  lambda name=name: lambda: _figures(name, RATE, seconds))
        for name in CONTENDERS], scale.rounds, [
            Goal('p99', at_most=0.3), Goal('p99.9', at_most=1.5, of=NAMES['bare_fifo'])])
    yield _beside_learner(scale)
    yield compare(f'loop: joint state in to command out, over topics, {RATE:g} Hz', 'ms', [
        Contender(OURS, lambda: lambda: run_module(__name__, 'latency', RATE, scale.size(10, 2)))],
        min(3, scale.rounds), [Goal('p50', at_most=1.0), Goal('p99', at_most=3.0)])


def _beside_learner(scale: Scale) -> Comparison:
    """Compare lateness while a learner keeps both cores busy."""
    with start('benchmarks.parts.updating', *LEARNER, OMP_NUM_THREADS='2') as learner:
        try:
            learner.stdin.write('\n' * TURNS)
            learner.stdin.flush()
            if not learner.stdout.readline():  # from here on it trains
                raise RuntimeError(f'the learner ended with status {learner.wait()}')
            return compare(f'loop: lateness at {BESIDE_RATE:g} Hz beside a learner', 'ms', [
                Contender(who, lambda name=name: lambda: _figures(
                    name, BESIDE_RATE, scale.size(10, 1)))
                for who, name in ((OURS, 'drive'), *(
                    (NAMES[name], name) for name in ('bare', 'bare_fifo', 'timer')))],
                scale.rounds, [Goal('p99', at_most=1.0), Goal('overruns, %', at_most=0.1)])
        finally:
            learner.kill()


def _figures(name: str, rate: float, seconds: float) -> Figures:
    """Return quantiles in ms, and the share of ticks so late that the next one is skipped."""
    values = np.array(run_module(__name__, name, rate, seconds))
    return {**{label: 1e3 * float(np.percentile(values, share))
               for label, share in SHARES.items()},
            'overruns, %': 100.0 * float(np.mean(values > 0.5 / rate))}


if __name__ == '__main__':
    which, rate, seconds = json.loads(sys.argv[1])
    print(json.dumps(latency(rate, seconds) if which == 'latency'
                     else run(which, 1.0 / rate, seconds)))
