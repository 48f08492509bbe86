# SPDX-License-Identifier: Apache-2.0
"""
Domain randomization: success on randomized arms and on the nominal arm, with and without it.

    python benchmarks/randomized.py --seeds 5

Trains SAC to reach with the two-joint arm, with and without `randomization:=rough`, for the same
number of steps, and evaluates both on the nominal arm and on randomized arms.
"""

import argparse

import numpy as np
import torch

from benchmarks.learning.ours import learn
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.config.randomization import RandomizationSettings
from rl_control.environments.arm_model import Arm
from rl_control.environments.make import load_arm, load_randomization, simulate
from rl_control.learning.agent_policy import AgentPolicy
from rl_control.learning.algorithms import make_agent, settings_of, values_of
from rl_control.policies.evaluate import evaluate

STEPS = 20_000
WORLDS = ('', 'rough')


def train(
    arm: Arm, randomization: RandomizationSettings, settings: AlgorithmSettings, steps: int
) -> AgentPolicy:
    """Return a SAC policy, trained on arms randomized around `arm`."""
    world = simulate(arm, randomization, settings.seed)
    actor = learn(world, make_agent('sac', world.contract, settings), steps, settings.seed)
    world.close()
    return actor


def success(
    policy: AgentPolicy, arm: Arm, randomization: RandomizationSettings, episodes: int, seed: int
) -> float:
    """Return the success rate of `policy`."""
    world = simulate(arm, randomization, seed)
    results = evaluate(policy, world, episodes, seed)
    world.close()
    return float(np.mean([result.success for result in results]))


def main() -> None:
    """Print the success rates by seed and over all seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--episodes', type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    arm = load_arm('two_joint', 'reach')
    another_each_time = load_arm('two_joint', 'reach', {'reset_interval': 1})
    shipped = values_of('sac', read_parameter_file(parameter_file('tasks', 'reach'), 'algorithm'))
    worlds = [load_randomization(name) for name in WORLDS]
    found = np.zeros((options.seeds, 2, 2))
    for seed in range(options.seeds):
        settings = settings_of('sac').from_mapping({**shipped, 'seed': seed})
        for row, trained in enumerate(worlds):
            policy = train(arm, trained, settings, STEPS)
            for column, tried in enumerate(worlds):
                found[seed, row, column] = success(
                    policy, another_each_time, tried, options.episodes, 1000 + seed)
        print(f'seed {seed}:', found[seed].tolist(), flush=True)
    print('| trained on | as modelled | rough |\n|---|---|---|')
    for row, trained in enumerate(WORLDS):
        cells = ' | '.join(
            f'{np.mean(values):.2f} ({np.min(values):.2f} to {np.max(values):.2f})'
            for values in found[:, row].T)
        print(f'| {trained or "as modelled"} | {cells} |')


if __name__ == '__main__':
    main()
