# SPDX-License-Identifier: Apache-2.0
"""
From a medium recording to a skill: offline training against the behaviour and against cloning.

Makes the recording of `medium.py`, two datasets of it, `own` from the recorded transitions and
`raw` from the arm's topics alone with rewards recomputed, and trains each algorithm on each, by
the commands' own code, with `--seeds` seeds. Each policy runs the same `--episodes` episodes.
Whatever is there from an earlier call is not made again.
"""

import argparse
from itertools import product
import json
from pathlib import Path
import statistics
import subprocess
import sys

import medium

from rl_control.algorithms import settings_of
from rl_control.bags.settings import SamplingSettings
from rl_control.config.files import named, read_parameter_file
from rl_control.config.offline import OfflineSettings
from rl_control.environments.make import load_arm, simulate
from rl_control.evaluation import evaluate
from rl_control.files import write_json
from rl_control.offline.run import train
from rl_control.policy import load
from rl_control.statistics import wilson_interval

ALGORITHMS = ('bc', 'td3_bc', 'iql')
DATA = {'own': (), 'raw': ('--raw',)}


def dataset(out: Path, robot: str, kind: str) -> Path:
    """Return the dataset of the medium recording, made if need be."""
    path = out / f'{kind}.dataset'
    if not path.exists():
        subprocess.run(
            [sys.executable, '-m', 'rl_control', 'bag', 'transitions', str(out / 'medium'),
             '--robot', robot, '--task', 'reach', '-o', str(path), *DATA[kind]], check=True)
    return path


def learn(data: Path, out: Path, algorithm: str, updates: int, seed: int) -> Path:
    """Return the policy of one offline training, made if need be."""
    if not (out / 'policy.onnx').is_file():
        settings = settings_of(algorithm).from_mapping({
            **read_parameter_file(named('algorithms', algorithm), 'algorithm'), 'seed': seed})
        train(OfflineSettings(
            data=str(data), algorithm=algorithm, updates=updates, out=str(out),
            evaluation_updates=0), settings, SamplingSettings(), lambda *_: None, lambda: False)
    return out / 'policy.onnx'


def score(policy: Path, robot: str, episodes: int) -> dict[str, float]:
    """Return successes and mean return of the same episodes for every policy."""
    file = policy.with_name(f'{policy.stem}_{episodes}.json')
    if not file.is_file():
        world = simulate(load_arm(robot, 'reach'))
        results = evaluate(load(policy), world, episodes, 424242)
        world.close()
        write_json(file, {
            'episodes': episodes, 'successes': sum(result.success for result in results),
            'mean_return': statistics.mean(result.episode_return for result in results)})
    return json.loads(file.read_text())


def table(out: Path, options: argparse.Namespace, behaviour: float) -> list[str]:
    """Return the lines of the table of what has been scored."""
    lines = ['| data | algorithm | success, by seed | all | of the behaviour | return |',
             '|---|---|---|---|---|---|']
    for kind, algorithm in product(DATA, ALGORITHMS):
        scores = [json.loads(file.read_text()) for seed in range(options.seeds) if (
            file := out / kind / f'{algorithm}_{seed}' / f'policy_{options.episodes}.json'
        ).is_file()]
        if not scores:
            continue
        rates = [score['successes'] / score['episodes'] for score in scores]
        count = sum(score['episodes'] for score in scores)
        low, high = wilson_interval(sum(score['successes'] for score in scores), count)
        mean = statistics.mean(rates)
        lines.append(
            f'| {kind} | {algorithm} | {", ".join(f"{rate:.2f}" for rate in rates)} | '
            f'{mean:.3f} ({low:.3f} to {high:.3f}) | {mean / behaviour:.2f} | '
            f'{statistics.mean(score["mean_return"] for score in scores):.2f} |')
    return lines


def main() -> int:
    """Make what is missing and print the table; 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    medium.add_arguments(parser)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--first-seed', type=int, default=0, help='to share the work')
    parser.add_argument('--data', nargs='+', choices=DATA, default=list(DATA))
    parser.add_argument('--updates', type=int, default=10_000)
    parser.add_argument('--episodes', type=int, default=200)
    options = parser.parse_args()
    out, robot = options.out, options.robot
    told = medium.make(
        out, robot, options.seed, options.seconds, options.success, options.transitions)
    behaviour = told['success_rate']
    calm = score(out / 'medium.onnx', robot, options.episodes)
    seeds = range(options.first_seed, options.seeds)
    for seed, kind, algorithm in product(seeds, options.data, ALGORITHMS):
        policy = learn(dataset(out, robot, kind), out / kind / f'{algorithm}_{seed}', algorithm,
                       options.updates, seed)
        figures = score(policy, robot, options.episodes)
        print(f'{kind} {algorithm} seed {seed}: {figures["successes"]} of {options.episodes}, '
              f'return {figures["mean_return"]:.2f}', flush=True)
    print(f'behaviour: {told["successes"]} of {told["episodes"]} exploring episodes; without '
          f'noise {calm["successes"]} of {calm["episodes"]}, return {calm["mean_return"]:.2f}')
    print('\n'.join(table(out, options, behaviour)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
