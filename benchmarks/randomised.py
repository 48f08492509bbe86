# SPDX-License-Identifier: Apache-2.0
"""
Does a policy that was trained on arms that differ bear them, and what does it cost on the model?

    python benchmarks/randomised.py --seeds 5

Trains SAC to reach with the arm of two joints, with and without `randomisation:=rough`, for the
same steps, and runs both on the arm as modelled and on arms that differ.
"""

import argparse

import numpy as np
import torch

from benchmarks.learning.ours import Actor, learn
from rl_control.algorithms import make_agent, settings_of
from rl_control.config.files import named, read_parameter_file
from rl_control.environments.make import load_arm, load_randomisation, simulate
from rl_control.evaluation import evaluate

STEPS = 20_000
WORLDS = ('', 'rough')


def train(randomisation: str, seed: int, steps: int = STEPS) -> Actor:
    """Return a policy that was trained on arms that differ by the file `randomisation`."""
    world = simulate(load_arm('two_joint', 'reach'), load_randomisation(randomisation), seed)
    settings = settings_of('sac').from_mapping({
        **read_parameter_file(named('algorithms', 'sac'), 'algorithm'), 'seed': seed})
    agent = make_agent('sac', world.contract, settings)
    actor = learn(world, agent, steps, seed)
    world.close()
    return actor


def success(policy: Actor, randomisation: str, episodes: int, seed: int) -> float:
    """Return the share of episodes that `policy` ends at the goal."""
    world = simulate(
        load_arm('two_joint', 'reach', {'reset_interval': 1}),
        load_randomisation(randomisation), seed)
    results = evaluate(policy, world, episodes, seed)
    world.close()
    return float(np.mean([result.success for result in results]))


def main() -> None:
    """Print the shares of success, seed by seed and in all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--episodes', type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = np.zeros((options.seeds, 2, 2))
    for seed in range(options.seeds):
        for row, trained in enumerate(WORLDS):
            policy = train(trained, seed)
            for column, tried in enumerate(WORLDS):
                found[seed, row, column] = success(policy, tried, options.episodes, 1000 + seed)
        print(f'seed {seed}:', found[seed].tolist(), flush=True)
    print('| trained on | as modelled | rough |\n|---|---|---|')
    for row, trained in enumerate(WORLDS):
        cells = ' | '.join(
            f'{np.mean(values):.2f} ({np.min(values):.2f} to {np.max(values):.2f})'
            for values in found[:, row].T)
        print(f'| {trained or "as modelled"} | {cells} |')


if __name__ == '__main__':
    main()
