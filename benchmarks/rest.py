# SPDX-License-Identifier: Apache-2.0
"""
Time until the simulated arm is at rest after the policy node dies, hangs, or loses its input.

    python benchmarks/rest.py POLICY [--robot iiwa] [--trials 10]

Over real topics. `kill` and `stop` are SIGKILL and SIGSTOP of the policy node, for each kind of
controller: s from the last command until the fastest joint is below 1 % of its limit. `silence`
is SIGSTOP of the simulator node: s from the last joint state until the first command that brakes.
"""

import argparse
from itertools import pairwise
import os
from pathlib import Path
import signal
import subprocess
import time

import numpy as np
import rclpy

from rl_control.bringup.arguments import CONTROLLERS
from rl_control.bringup.graphs import graph
from rl_control.bringup.run_graph import graph_environment
from rl_control.bringup.supervisor import command_line
from rl_control.control.realtime_loop import RealtimeLoop
from rl_control.environments.make import load_arm
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription

MOVING, RESTING = 0.2, 0.01  # of the velocity limit


class Observer:
    """Publishes goals that keep the arm moving, and records states and commands."""

    def __init__(self, robot: str) -> None:
        self.arm = load_arm(robot, 'reach')
        self._names = self.arm.settings.joint_names
        self.node = rclpy.create_node('observer')
        self._states = DrainedSubscription(self.node, codec.JointState, 'joint_states', qos.SENSOR)
        self._sent = DrainedSubscription(
            self.node, codec.Trajectory, 'joint_trajectory', qos.COMMAND
        )
        self._goals = self.node.create_publisher(codec.Goal, 'goal', qos.GOAL)
        self._reader = codec.JointReader(self._names)
        self._rng = np.random.default_rng(0)
        self._goal_due = 0.0
        self.share, self.heard = 0.0, 0.0  # of the velocity limit; time of the last joint state
        self.commands: list[tuple[float, float]] = []  # receipt in s, largest speed in rad/s
        self._loop = RealtimeLoop(0.002, self._tick, real_time=True)
        self._loop.start()

    def close(self) -> None:
        self._loop.stop()
        self._loop.check()
        self.node.destroy_node()

    def _tick(self, due: float) -> None:
        for message, receipt in self._states.take():
            dq = self._reader.read(message)[2]
            self.share = float((np.abs(dq) / self.arm.limits.velocity).max())
            self.heard = receipt
        for message, receipt in self._sent.take():
            _, commands = codec.read_joint_trajectory(message, self._names)
            self.commands.append((receipt, float(np.abs(commands[0].dq).max())))
        if due > self._goal_due:
            self._goal_due = due + 0.8
            self._goals.publish(codec.goal_message(self.arm.draw_goal(self._rng), 'world'))


def trial(policy: str, robot: str, controller: str, fault: str) -> float:
    """Return the figure of one trial in s."""
    simulator, driver, *gates, _ = graph('deploy').processes({
        'policy': policy, 'robot': robot, 'controller': controller})
    environment = graph_environment()
    os.environ.update(environment)
    rclpy.init()
    observer = Observer(robot)
    children = {
        process.name: subprocess.Popen(
            command_line(process), env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        for process in (simulator, driver, *gates)
    }
    try:
        deadline = time.monotonic() + 20.0
        while observer.share < MOVING or time.monotonic() > observer.heard + 0.02:
            if time.monotonic() > deadline:
                return np.nan
            time.sleep(0.001)
        if fault == 'silence':
            children['simulator'].send_signal(signal.SIGSTOP)
            time.sleep(1.0)
            after = [command for command in observer.commands if command[0] > observer.heard]
            braking = [when for (_, before), (when, speed) in pairwise(after)
                       if speed < before - 1e-6]
            return (braking[0] if braking else np.nan) - observer.heard
        children['policy'].send_signal(signal.SIGKILL if fault == 'kill' else signal.SIGSTOP)
        began = time.monotonic()
        while observer.share > RESTING and time.monotonic() < began + 3.0:
            time.sleep(0.001)
        return observer.heard - observer.commands[-1][0]
    finally:
        for child in children.values():
            child.kill()
            child.wait()
        observer.close()
        rclpy.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('policy', type=Path)
    parser.add_argument('--robot', default='iiwa')
    parser.add_argument('--trials', type=int, default=10)
    options = parser.parse_args()
    cases = [('trajectory', 'silence')]
    cases += [(controller, fault) for controller in CONTROLLERS for fault in ('kill', 'stop')]
    for controller, fault in cases:
        found = np.array([trial(str(options.policy), options.robot, controller, fault)
                          for _ in range(options.trials)])
        print(f'{controller:17} {fault:8} median {np.nanmedian(found):.3f} s, longest '
              f'{np.nanmax(found):.3f} s, of {np.isfinite(found).sum()} trials', flush=True)


if __name__ == '__main__':
    main()
