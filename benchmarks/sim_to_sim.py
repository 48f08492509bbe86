# SPDX-License-Identifier: Apache-2.0
"""
Sim-to-sim transfer: a policy trained in one physics engine and evaluated in each.

    python benchmarks/sim_to_sim.py --robot two_joint --task reach --seeds 1

Trains SAC in each engine for the same number of steps, without and with `--randomization`, and
prints the success rate in both engines on the same starts and goals.
"""

import argparse

import numpy as np
import torch

from benchmarks.learning.ours import learn
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.environments.make import load_arm, load_randomization, simulate
from rl_control.learning.algorithms import make_agent, settings_of, values_of
from rl_control.policies.evaluate import evaluate
from rl_control.robots.engines import installed


def measure(
    robot: str, task: str, steps: int, episodes: int, randomization: str, seed: int,
) -> np.ndarray:
    """Return the success rates (engines to train in, engines to evaluate in) of one seed."""
    engines, found = installed(), []
    values = values_of('sac', read_parameter_file(parameter_file('tasks', task), 'algorithm'))
    settings = settings_of('sac').from_mapping({**values, 'seed': seed})
    for trained in engines:
        world = simulate(
            load_arm(robot, task), load_randomization(randomization), seed, engine=trained)
        policy = learn(world, make_agent('sac', world.contract, settings), steps, seed)
        world.close()
        found.append([])
        for tried in engines:
            world = simulate(load_arm(robot, task, {'reset_interval': 1}), engine=tried)
            results = evaluate(policy, world, episodes, 1000 + seed)
            world.close()
            found[-1].append(np.mean([result.success for result in results]))
    return np.array(found)


def main() -> None:
    """Print the success rates by seed, and a table over all seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--robot', default='two_joint')
    parser.add_argument('--task', default='reach')
    parser.add_argument('--randomization', default='', help='of the training; none')
    parser.add_argument('--steps', type=int, default=20_000)
    parser.add_argument('--episodes', type=int, default=100)
    parser.add_argument('--seeds', type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for seed in range(options.seeds):
        found.append(measure(options.robot, options.task, options.steps, options.episodes,
                             options.randomization, seed))
        print(f'seed {seed}:', found[-1].tolist(), flush=True)
    engines = installed()
    print(f'| trained in | {" | ".join(f"run in {engine}" for engine in engines)} |')
    print('|---' * (len(engines) + 1) + '|')
    for row, trained in enumerate(engines):
        cells = ' | '.join(f'{np.mean(values):.2f} ({np.min(values):.2f} to {np.max(values):.2f})'
                           for values in np.array(found)[:, row].T)
        print(f'| {trained} | {cells} |')


if __name__ == '__main__':
    main()
