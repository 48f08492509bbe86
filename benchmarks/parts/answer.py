# SPDX-License-Identifier: Apache-2.0
"""
Latency from joint states to a trajectory over topics, without the wait for the next tick.

The work of the policy node's tick is done here as soon as joint states arrive: take, read, check,
act, limit, plan, publish. The limit does everything except the tick. The bare answer is a
prepared message of the same type, published by a callback of rclpy's default executor.
"""

from collections.abc import Iterator
from functools import partial
import json
import sys
import tempfile
import time

import numpy as np

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.fixtures import arm_at, policy_file
from benchmarks.parts.subprocesses import run_module, start

ROBOT = 'iiwa'
RATES = (20.0, 200.0)  # Hz
BARE_ROUND = 'bare messages, default executor'
LIMIT_ROUND = 'limit: without the tick'


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield the round-trip time by rate; at low rates the caches go cold between rounds."""
    number = scale.size(100, 10)
    for rate in RATES[:scale.size(len(RATES), 1)]:
        yield compare(f'answer: joint states in, trajectory out, and back, at {rate:g} Hz', 'ms', [
            Contender(OURS, partial(_round, 'drive', rate, number)),
            Contender(BARE_ROUND, partial(_round, 'bare', rate, number)),
            Contender(LIMIT_ROUND, partial(_round, 'echo', rate, number)),
        ], min(scale.rounds, 5), [Goal('p50', at_most=0.8)])


def _round(role: str, rate: float, number: int):
    """Return a function that measures the round trip to a process of this `role`."""
    data = policy_file((128, 128), made=arm_at(ROBOT, rate).contract())

    def run() -> Figures:
        with tempfile.NamedTemporaryFile(suffix='.onnx') as file:
            file.write(data)
            file.flush()
            with start(__name__, role, rate, file.name) as answering:
                try:
                    return run_module(__name__, 'ask', rate, number)
                finally:
                    answering.kill()  # it has no other end

    return run


def ask(rate: float, number: int) -> Figures:
    """Publish the states of a perfect arm at `rate` Hz and wait for each answer."""
    import rclpy

    from rl_control.ros import codec, qos
    from rl_control.ros.drained_subscription import DrainedSubscription

    arm = arm_at(ROBOT, rate)
    names = list(arm.settings.joint_names)
    rclpy.init(args=[])
    node = rclpy.create_node('arm')
    states = node.create_publisher(codec.JointState, 'joint_states', qos.SENSOR)
    intake = DrainedSubscription(node, codec.Trajectory, 'joint_trajectory', qos.COMMAND, raw=True)
    reader = codec.TrajectoryReader(names)
    q, dq, took = arm.home, np.zeros(len(names)), []
    due = time.monotonic() + arm.control_period
    deadline = due + 30.0 + number * arm.control_period
    while len(took) < number and time.monotonic() < deadline:
        time.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        states.publish(codec.joint_state(names, time.time(), q, dq))
        intake.wait(0.8 * arm.control_period)
        if answers := intake.take():
            _, (command, *_) = reader.read(answers[-1][0])
            took.append(time.monotonic() - began)
            q, dq = command.q, command.dq
        due += arm.control_period
    p50, p99 = np.percentile(took[5:], (50.0, 99.0))
    return {'p50': 1e3 * p50, 'p99': 1e3 * p99}


def drive(rate: float, path: str) -> None:
    """Answer with the policy node's whole tick."""
    from pathlib import Path

    from rl_control.control.policy_controller import Margins, PolicyController
    from rl_control.policies.onnx_policy import OnnxPolicy

    arm = arm_at(ROBOT, rate)
    controller = PolicyController(arm, Margins(stale_period=1.0))
    controller.policy = OnnxPolicy(Path(path).read_bytes())
    controller.goal = arm.kinematics.position(arm.home) + 0.1

    def answer(topics) -> None:
        before = controller.watchdog.fresh
        topics.update(controller)
        if controller.watchdog.fresh != before:
            now = time.monotonic()
            plan = controller.tick(now, now)
            if plan is not None:
                topics.send(plan)

    _spin(arm, answer)


def echo(rate: float, path: str) -> None:
    """Answer with a prepared plan."""
    from rl_control.control.policy_controller import Margins, PolicyController
    from rl_control.control.stop_trajectory import Plan

    arm = arm_at(ROBOT, rate)
    controller = PolicyController(arm, Margins(stale_period=1.0))
    plan = Plan.of(_moving(arm), arm.control_period, arm.limits)

    def answer(topics) -> None:
        before = controller.watchdog.fresh
        topics.update(controller)
        if controller.watchdog.fresh != before:
            topics.send(plan)

    _spin(arm, answer)


def bare(rate: float, path: str) -> None:
    """Answer with a prepared message from a plain rclpy callback."""
    import rclpy
    from rclpy.serialization import deserialize_message

    from rl_control.control.stop_trajectory import Plan
    from rl_control.ros import codec, qos

    arm = arm_at(ROBOT, rate)
    plan = Plan.of(_moving(arm), arm.control_period, arm.limits)
    message = deserialize_message(codec.TrajectoryWriter(arm.settings.joint_names).write(
        plan.times, plan.points), codec.Trajectory)
    rclpy.init(args=[])
    node = rclpy.create_node('policy')
    publisher = node.create_publisher(codec.Trajectory, 'joint_trajectory', qos.COMMAND)
    node.create_subscription(
        codec.JointState, 'joint_states', lambda _: publisher.publish(message), qos.SENSOR)
    rclpy.spin(node)


def _moving(arm):
    """Return a moving command, whose stop has as many points as the policy's."""
    from rl_control.common.types import Command

    return Command(arm.home, 0.1 * arm.limits.velocity, np.zeros_like(arm.home))


def _spin(arm, answer) -> None:
    import rclpy

    from rl_control.ros.arm_topics import ArmTopics

    rclpy.init(args=[])
    topics = ArmTopics(
        rclpy.create_node('policy'), arm.settings.joint_names, arm.control_period, ())
    while True:
        topics.wait(1.0)
        answer(topics)


ROLES = {'ask': ask, 'drive': drive, 'echo': echo, 'bare': bare}

if __name__ == '__main__':
    role, *arguments = json.loads(sys.argv[1])
    print(json.dumps(ROLES[role](*arguments)))
