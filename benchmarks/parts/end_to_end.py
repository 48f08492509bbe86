# SPDX-License-Identifier: Apache-2.0
"""
End-to-end wall-clock time until reach succeeds in 95 %: a graph of nodes beside SB3's SAC.

Ours is `rl-control launch train_sim` as it is: a learner, two collectors, a broadcaster and a
monitor, over topics. SB3 trains in one process on the same environment, with as many threads as
there are cores; `same` has our networks and hyper-parameters, `small` its own updates for each
step of networks 64 x 64. Both evaluate 50 episodes every 15 s, which is part of the time, as are
imports and start-up. A peer that is far enough behind is stopped (`reached` 0). Finished runs are
kept, so that Ctrl-C loses one at most.
"""

from collections.abc import Iterator
from itertools import count
import json
import os
from pathlib import Path
import resource
import sys
import tempfile
import time

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.subprocesses import run_module

ROBOT = 'iiwa'
EPISODES, PERIOD = 50, 15.0  # episodes of an evaluation, s between two evaluations
TARGET = 0.95
LONGEST = 900.0  # s; a run that takes longer counts as this
OF_SAME, OF_SMALL = 0.5, 1.0 / 3.0  # goals, as shares of a peer's time
# A peer is stopped at this multiple of the time that would just meet the goal, and counts as that:
# it would have taken at least as long, so that the reported share is an upper bound.
BEYOND = 1.15
SAME = {'net_arch': [128, 128], 'batch_size': 256, 'train_freq': 4, 'gradient_steps': 1}
SMALL = {'net_arch': [64, 64], 'batch_size': 64, 'train_freq': 1, 'gradient_steps': 1}
SB3 = 'stable-baselines3'


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield the time of each, one seed a round."""
    most = scale.size(round(LONGEST), 8)
    walls: list[float] = []  # ours, by seed

    def contender(name: str, role: str, goal: float | None, *options: object) -> Contender:
        seeds = count()

        def run() -> Figures:
            seed = next(seeds)
            longest = most if goal is None else min(most, BEYOND * walls[seed] / goal)
            found = _run(scale, role, name, seed, longest, *options)
            if role == 'ours':
                walls.append(found['wall'])
            return found

        return Contender(name, lambda: run)

    same, small = f'{SB3}, same', f'{SB3}, small'
    yield compare(
        f'end to end: {TARGET:.0%} of reach with {ROBOT}', 's', [
            contender(OURS, 'ours', None), contender(same, 'sb3', OF_SAME, SAME),
            contender(small, 'sb3', OF_SMALL, SMALL)],
        1 if scale.quick else scale.seeds,
        [Goal('wall', at_most=OF_SAME, of=same), Goal('wall', at_most=OF_SMALL, of=small)])


def _run(
    scale: Scale, role: str, name: str, seed: int, longest: float, *options: object,
) -> Figures:
    """Return one run's figures, from `scale.keep` where the run is finished."""
    kept = scale.keep and scale.keep / f'end_to_end_{name.replace(", ", "_")}_{seed}.json'
    if kept and kept.is_file():
        return json.loads(kept.read_text())
    found = run_module(__name__, role, time.monotonic(), longest, seed, *options)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    return found


def ours(began: float, longest: float, seed: int) -> Figures:
    """Run the graph until an evaluation reaches the target, or for `longest` s."""
    import rclpy

    from rl_control.bringup.graphs import graph
    from rl_control.bringup.supervisor import Supervisor
    from rl_control.policies.evaluation_log import EvaluationLog
    from rl_control.ros import codec, qos
    from rl_control.ros.drained_subscription import DrainedSubscription

    with tempfile.TemporaryDirectory(prefix='rl_control_bench_') as folder:
        processes = graph('train_sim').processes({
            'robot': ROBOT, 'out': folder, 'seed': str(seed), 'time_limit': '0.0'})
        supervisor = Supervisor(processes, dict(os.environ), Path(folder) / 'logs')
        rclpy.init(args=[])
        intake = DrainedSubscription(
            rclpy.create_node('watcher'), codec.Episodes, 'episodes', qos.EPISODES)
        training, reached = EvaluationLog(EPISODES, 1), False
        try:
            while not reached and time.monotonic() < began + longest:
                time.sleep(0.05)
                for message, _ in intake.take():
                    for row in map(codec.EpisodeRow.from_row, codec.decode_table(message).rows):
                        if row.phase == codec.EVALUATION:
                            training.add_evaluation(
                                row.version, row.succeeded, row.episode_return, 0.0, 0,
                                confirmation=False)
                reached = any(one.successes >= TARGET * EPISODES for one in training.finished)
            wall = time.monotonic() - began
        finally:
            supervisor.stop()
            rclpy.shutdown()
        learner = Path(folder) / 'learner.json'
        made = json.loads(learner.read_text())['transitions'] if learner.is_file() else 0
    return {'wall': wall, 'processor': _processor(), 'transitions': made, 'reached': reached}


def sb3(began: float, longest: float, seed: int, options: dict) -> Figures:
    """Train SB3's SAC until an evaluation reaches the target, or for `longest` s."""
    from stable_baselines3 import SAC
    from stable_baselines3.common.callbacks import BaseCallback
    import torch

    from rl_control.environments.registration import ArmEnv

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    exam = ArmEnv(ROBOT)
    exam.reset(seed=1000 + seed)
    found = {'reached': False}

    class Exam(BaseCallback):
        """Evaluate every PERIOD seconds, and stop the training at the target."""

        due = time.monotonic() + PERIOD

        def _on_step(self) -> bool:
            if time.monotonic() > began + longest:
                return False
            if time.monotonic() < self.due:
                return True
            successes = sum(_episode(self.model, exam) for _ in range(EPISODES))
            self.due = time.monotonic() + PERIOD
            found['reached'] = bool(successes >= TARGET * EPISODES)
            return not found['reached']

    options = dict(options)
    model = SAC(
        'MlpPolicy', ArmEnv(ROBOT), learning_rate=1e-3, gamma=0.85, buffer_size=200_000,
        learning_starts=1000, ent_coef='auto_0.2', target_entropy=-2.0, seed=seed, device='cpu',
        policy_kwargs={'net_arch': options.pop('net_arch')}, **options)
    model.learn(10**9, callback=Exam())
    return {'wall': time.monotonic() - began, 'processor': _processor(),
            'transitions': model.num_timesteps, **found}


def _episode(model, world) -> bool:
    """Return whether one deterministic episode succeeds."""
    observation, _ = world.reset()
    over = False
    while not over:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, terminated, truncated, info = world.step(action)
        over = terminated or truncated
    return info['is_success']


def _processor() -> float:
    """Return the processor time in s of this process and of its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


ROLES = {'ours': ours, 'sb3': sb3}

if __name__ == '__main__':
    role, *arguments = json.loads(sys.argv[1])
    print(json.dumps(ROLES[role](*arguments)))
