# SPDX-License-Identifier: Apache-2.0
"""
Offline training from a medium recording, against its behaviour policy and behaviour cloning.

Makes the recording of `medium.py` and two datasets of it, `own` from the recorded transitions and
`raw` from the arm's topics alone with recomputed rewards, and trains each algorithm on each, by
the commands' own code, with `--seeds` seeds. Each policy runs the same `--episodes` episodes.
Results of earlier calls are not made again, and concurrent calls share the work: each training is
locked by the process that makes it.

Three claims for each algorithm above cloning: its success is at least 1.5 times the behaviour's;
it is above cloning's, by the 95 % interval of the difference over seeds (Student's); and from raw
topics it is not below that from the recorded transitions, by their intervals over all episodes
(Wilson's). The status is 1 if one fails, or cannot be decided yet.
"""

import argparse
from collections.abc import Iterator
from itertools import product
import json
from pathlib import Path
import statistics
import subprocess
import sys

import medium

from benchmarks.sharing import locked
from rl_control.common.files import write_json
from rl_control.common.statistics import student_95, wilson_interval
from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import load_arm, simulate
from rl_control.offline.run import train
from rl_control.policies.evaluate import evaluate
from rl_control.policies.onnx_policy import load

FLOOR = 'bc'
ALGORITHMS = (FLOOR, 'td3_bc', 'iql')
DATA = {'own': (), 'raw': ('--raw',)}
FACTOR = 1.5  # of the behaviour's success, at least
MIN_SEEDS = 4  # for an interval over seeds
Scores = dict[tuple[str, str], list[dict[str, float]]]


def dataset(out: Path, robot: str, kind: str) -> Path:
    """Return the dataset of the medium recording, made if it is missing."""
    path = out / f'{kind}.dataset'
    if not path.exists():
        subprocess.run(
            [sys.executable, '-m', 'rl_control', 'bag', 'transitions', str(out / 'medium'),
             '--robot', robot, '--task', 'reach', '-o', str(path), *DATA[kind]], check=True)
    return path


def learn(data: Path, out: Path, algorithm: str, updates: int, seed: int) -> Path:
    """Return the policy of one offline training, made if it is missing."""
    if not (out / 'policy.onnx').is_file():
        train(OfflineSettings(
            data=str(data), algorithm=algorithm, updates=updates, out=str(out),
            evaluation_updates=0), {'seed': seed}, SamplingSettings(),
            lambda *_: None, lambda: False)
    return out / 'policy.onnx'


def score(policy: Path, robot: str, episodes: int) -> dict[str, float]:
    """Return successes and mean return of episodes that are equal for every policy."""
    file = policy.with_name(f'{policy.stem}_{episodes}.json')
    if not file.is_file():
        world = simulate(load_arm(robot, 'reach'))
        results = evaluate(load(policy), world, episodes, 424242)
        world.close()
        write_json(file, {
            'episodes': episodes, 'successes': sum(result.success for result in results),
            'mean_return': statistics.mean(result.episode_return for result in results)})
    return json.loads(file.read_text())


def all_scores(out: Path, seeds: int, episodes: int) -> Scores:
    """Return the finished scores by data and algorithm."""
    return {
        cell: [json.loads(file.read_text()) for seed in range(seeds) if (
            file := out / cell[0] / f'{cell[1]}_{seed}' / f'policy_{episodes}.json').is_file()]
        for cell in product(DATA, ALGORITHMS)}


def rates(scores: list[dict[str, float]]) -> list[float]:
    """Return the success rate of each seed."""
    return [score['successes'] / score['episodes'] for score in scores]


def interval(scores: list[dict[str, float]]) -> tuple[float, float]:
    """Return the 95 % interval of the success rate over all episodes."""
    return wilson_interval(*(
        sum(score[name] for score in scores) for name in ('successes', 'episodes')))


def table(found: Scores, behaviour: float) -> list[str]:
    """Return the lines of the table."""
    lines = ['| data | algorithm | success, by seed | all | of the behaviour | return |',
             '|---|---|---|---|---|---|']
    for (kind, algorithm), scores in found.items():
        if not scores:
            continue
        low, high = interval(scores)
        mean = statistics.mean(rates(scores))
        lines.append(
            f'| {kind} | {algorithm} | {", ".join(f"{rate:.2f}" for rate in rates(scores))} | '
            f'{mean:.3f} ({low:.3f} to {high:.3f}) | {mean / behaviour:.2f} | '
            f'{statistics.mean(score["mean_return"] for score in scores):.2f} |')
    return lines


def claims(found: Scores, behaviour: float, seeds: int) -> Iterator[tuple[str, bool]]:
    """Yield each claim, and whether it holds with all seeds."""
    for kind, algorithm in found:
        if algorithm == FLOOR:
            continue
        mine, floor, own = (rates(found[cell]) for cell in (
            (kind, algorithm), (kind, FLOOR), ('own', algorithm)))
        enough = len(mine) == len(floor) == seeds >= MIN_SEEDS
        yield (f'{kind} {algorithm}: at least {FACTOR} times the behaviour',
               enough and statistics.mean(mine) >= FACTOR * behaviour)
        better = [one - other for one, other in zip(mine, floor, strict=False)]
        yield (f'{kind} {algorithm}: beats cloning', enough and statistics.mean(better) > (
            student_95(seeds - 1) * statistics.stdev(better) / seeds**0.5))
        if kind != 'own':
            yield (f'{kind} {algorithm}: not below own', enough and len(own) == seeds and (
                interval(found[kind, algorithm])[1] >= interval(found['own', algorithm])[0]))


def main() -> int:
    """Make missing results and print the table; return 1 if a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    medium.add_arguments(parser)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--algorithms', nargs='+', choices=ALGORITHMS, default=list(ALGORITHMS))
    parser.add_argument('--data', nargs='+', choices=DATA, default=list(DATA))
    parser.add_argument('--updates', type=int, default=10_000)
    parser.add_argument('--episodes', type=int, default=200)
    options = parser.parse_args()
    out, robot = options.out, options.robot
    with locked(out / 'medium', wait=True):
        told = medium.make(
            out, robot, options.seed, options.seconds, options.success, options.transitions)
        calm = score(out / 'medium.onnx', robot, options.episodes)
    for seed, kind, algorithm in product(
            range(options.seeds), options.data, options.algorithms):
        with locked(out / f'{kind}.dataset', wait=True):
            data = dataset(out, robot, kind)
        cell = out / kind / f'{algorithm}_{seed}'
        with locked(cell, wait=False) as mine:
            if not mine:
                print(f'{kind} {algorithm} seed {seed}: made by another call', flush=True)
                continue
            policy = learn(data, cell, algorithm, options.updates, seed)
            figures = score(policy, robot, options.episodes)
        print(f'{kind} {algorithm} seed {seed}: {figures["successes"]} of {options.episodes}, '
              f'return {figures["mean_return"]:.2f}', flush=True)
    print(f'behaviour: {told["successes"]} of {told["episodes"]} exploring episodes; without '
          f'noise {calm["successes"]} of {calm["episodes"]}, return {calm["mean_return"]:.2f}')
    found = all_scores(out, options.seeds, options.episodes)
    print('\n'.join(table(found, told['success_rate'])))
    held = list(claims(found, told['success_rate'], options.seeds))
    print('\n'.join(f'{words}: {"holds" if holds else "NOT SHOWN"}' for words, holds in held))
    return 0 if all(holds for _, holds in held) else 1


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print('interrupted; the same command resumes', file=sys.stderr)
        sys.exit(130)
