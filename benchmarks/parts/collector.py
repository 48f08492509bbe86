# SPDX-License-Identifier: Apache-2.0
"""
Rate of the collector node, with policy and publishing, beside bare loops of the engines.

A stand-in for learner and broadcaster sends the node a policy and acknowledges its transitions.
A control period is 12 substeps at 240 Hz.
"""

from collections.abc import Callable, Iterator
from functools import partial
import importlib
import json
import os
from pathlib import Path
import sys
import tempfile
import time

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.fixtures import policy_file
from benchmarks.parts.simulator import NAMES, bare_step, rates
from benchmarks.parts.subprocesses import processor_time, run_module
from rl_control.environments.make import load_arm, simulate

HIDDEN = (128, 128)  # as in config/tasks/reach.yaml
AHEAD = 4096  # transitions of credit for the collector
TIMEOUT = 60.0  # s until the first transition
MUJOCO = f'{OURS}, MuJoCo'
BARE = {engine: f'limit: bare {name}, 12 substeps' for engine, name in NAMES.items()}


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield steps/s of both arms."""
    seconds, rounds = scale.size(4, 1), min(scale.rounds, 5)
    goals = [Goal(figure, at_least=0.8, of=BARE['pybullet'])
             for figure in ('rate', 'rate of a whole core')]
    goals.append(Goal('rate of a whole core', at_least=2.0, of=OURS, by=MUJOCO))
    for robot in ('iiwa', 'panda'):
        contenders = [
            Contender(name, partial(_with_policy, role, robot, seconds, engine))
            for name, role, engine in (
                (OURS, 'node', 'pybullet'), (MUJOCO, 'node', 'mujoco'),
                (BARE['pybullet'], 'bare', 'pybullet'), (BARE['mujoco'], 'bare', 'mujoco'))]
        if robot == 'panda':
            contenders.append(Contender(
                'panda-gym PandaReach, 20 substeps', lambda: _panda_gym(seconds)))
        yield compare(f'collector: {robot}', 'steps/s', contenders, rounds, goals, more=True)


def _with_policy(
    role: str, robot: str, seconds: float, engine: str,
) -> Callable[[], Figures]:
    """Return a function that runs `role` with a policy for the arm; fail without the engine."""
    importlib.import_module(engine)
    data = policy_file(HIDDEN, made=load_arm(robot, 'reach').contract())

    def run() -> Figures:
        with tempfile.TemporaryDirectory(prefix='rl_control_bench_') as folder:
            path = Path(folder) / 'policy.onnx'
            path.write_bytes(data)
            return run_module(__name__, role, robot, seconds, str(path), engine)

    return run


def node(robot: str, seconds: float, path: str, engine: str) -> Figures:
    """Stand in for learner and broadcaster, and count the transitions of a collector node."""
    import numpy as np
    import rclpy

    from rl_control.bringup.processes import NodeProcess
    from rl_control.bringup.supervisor import Supervisor
    from rl_control.config.files import parameter_file
    from rl_control.ros import codec, qos
    from rl_control.ros.drained_subscription import DrainedSubscription

    rclpy.init(args=[])
    watcher = rclpy.create_node('watcher')
    intake = DrainedSubscription(watcher, codec.Transitions, 'transitions', qos.TRANSITIONS)
    acknowledge = watcher.create_publisher(codec.Acknowledge, 'transitions/ack', qos.ACKNOWLEDGE)
    latest = watcher.create_publisher(codec.Policy, 'policy/latest', qos.POLICY)
    latest.publish(codec.encode_policy(Path(path).read_bytes(), 'bench', 1))
    files = (parameter_file('robots', robot), parameter_file('tasks', 'reach'))
    supervisor = Supervisor([NodeProcess(
        'collector', 'collector', files, {'collector.simulator': engine})], dict(os.environ))
    (pid,) = supervisor.pids.values()
    marks: list[tuple[float, int, float]] = []  # time s, transitions, processor time s
    deadline = time.monotonic() + TIMEOUT
    try:
        while len(marks) < 2 or marks[-1][0] - marks[0][0] < seconds:
            if time.monotonic() > deadline + seconds:
                raise RuntimeError(f'no transition within {TIMEOUT} s')
            time.sleep(0.02)
            for message, _ in intake.take():
                table = codec.decode_table(message)
                origin = codec.Origin.from_header(table.header)
                end = origin.first_sequence + len(table.rows)
                acknowledge.publish(codec.encode_table(codec.acknowledge_table(
                    [origin.run], np.array([[end, end + AHEAD]]), 'bench')))
                if len(table.rows) and table.rows[-1, 3] == 1:  # by the policy
                    marks.append((time.monotonic(), end, processor_time(pid)))
    finally:
        supervisor.stop()
        rclpy.shutdown()
    wall, steps, spent = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    return {'rate': steps / wall, 'rate of a whole core': steps / spent}


def bare(robot: str, seconds: float, path: str, engine: str) -> Figures:
    """Replay 500 control periods of the policy's motion by the engine's calls alone."""
    import numpy as np

    from rl_control.policies.onnx_policy import OnnxPolicy

    world = simulate(load_arm(robot, 'reach'), engine=engine)
    policy = OnnxPolicy(Path(path).read_bytes())
    arm, rng, periods = world._robot, np.random.default_rng(0), []
    step = arm._step

    def note(aimed: np.ndarray) -> None:
        periods.append(aimed)
        step(aimed)

    arm._step = note
    observation = world.reset(rng)
    for _ in range(500):
        action, _ = policy.act(observation, rng.standard_normal(policy.noise_size))
        outcome = world.step(action)
        observation = world.reset(rng) if outcome.truncated else outcome.observation
    found = rates(bare_step(arm, periods), seconds)
    world.close()
    return found


def _panda_gym(seconds: float):
    """Return a function that steps panda-gym's reach; fail here where it is not installed."""
    import gymnasium
    import panda_gym  # noqa: F401

    gymnasium.logger.min_level = gymnasium.logger.ERROR
    return partial(run_module, __name__, 'panda_gym', seconds)


def panda_gym(seconds: float) -> Figures:
    """Step PandaReach with one random action; resets count, as ours do."""
    import gymnasium
    importlib.import_module('panda_gym')  # registers it

    world = gymnasium.make('PandaReach-v3')
    world.reset(seed=0)
    action = world.action_space.sample()

    def step() -> None:
        *_, terminated, truncated, _ = world.step(action)
        if terminated or truncated:
            world.reset()

    return rates(step, seconds)


ROLES = {'node': node, 'bare': bare, 'panda_gym': panda_gym}

if __name__ == '__main__':
    role, *arguments = json.loads(sys.argv[1])
    print(json.dumps(ROLES[role](*arguments)))
