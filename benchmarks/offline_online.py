# SPDX-License-Identifier: Apache-2.0
"""
Offline-to-online training: its dip, and its time to success beside training from scratch.

    python benchmarks/offline_online.py --data DATASET --out DIR

Trains each algorithm offline from a dataset (what `rl-control bag transitions` makes, such as
those of `offline_proof.py`), or from its first `--rows` transitions, continues it online as
`start:=DIR` does, and trains from scratch beside it with the shipped settings. Everything runs in
one process, a transition at a time, so that the machine's load has no influence. After each
`--interval` transitions a policy runs the same `--episodes` deterministic episodes. Results in
`--out` are not made again, and concurrent calls share the work.

Claims, by the median over seeds: the mean return is back at the offline policy's within 2,000
transitions and then no worse on average, and success is then not lower by more than 0.02; and 95 %
of the episodes succeed, twice in a row, after at most half the transitions of the best training
from scratch, or of `--steps-from-nothing` where none succeeds. The status is 1 if a claim fails.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
import json
from pathlib import Path
import statistics
import sys

import numpy as np
import torch

from benchmarks.learning.ours import learn
from benchmarks.sharing import locked
from rl_control.bags.dataset import ROW_FIELDS, Dataset
from rl_control.common.files import write_json
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.environment import Environment
from rl_control.environments.make import load_arm, simulate
from rl_control.learning.agent_policy import AgentPolicy
from rl_control.learning.algorithms import make_agent, settings_of, values_of
from rl_control.offline.load_dataset import load_transitions
from rl_control.offline.run import train
from rl_control.offline.warm_start import start_from
from rl_control.policies.evaluate import evaluate
from rl_control.transport.transition_rows import TransitionRows

CLOCK_RESET, SUCCESS, LESS = 2_000, 0.95, 0.02
Curve = list[tuple[int, float, float]]  # transitions, success rate, mean return


def shipped(algorithm: str, seed: int) -> AlgorithmSettings:
    """Return the shipped settings for reach."""
    tuned = values_of(
        algorithm, read_parameter_file(parameter_file('tasks', 'reach'), 'algorithm'))
    return settings_of(algorithm).from_mapping({**tuned, 'seed': seed})


def first_rows(dataset: Dataset, path: Path, rows: int) -> Path:
    """Return a dataset of the first `rows` of another, made if it is missing."""
    with locked(path, wait=True):
        if not path.exists():
            Dataset(dataset.contract, TransitionRows(**{
                name: getattr(dataset.rows, name)[:rows] for name in ROW_FIELDS}),
                dataset.stream[:rows], dataset.streams).save(path)
    return path


def offline(data: Path, out: Path, algorithm: str, updates: int, seed: int) -> Path:
    """Return the directory of an offline training, made if it is missing."""
    if not (out / 'policy.onnx').is_file():
        train(OfflineSettings(
            data=str(data), algorithm=algorithm, updates=updates, out=str(out),
            evaluation_updates=0), {'seed': seed}, SamplingSettings(),
            lambda *_: None, lambda: False)
    return out


@dataclass(frozen=True)
class Budget:
    """Transitions in all and between two evaluations, of so many episodes."""

    steps: int
    interval: int
    episodes: int


def curve(
    worlds: tuple[Environment, Environment], algorithm: str, settings: AlgorithmSettings,
    begun: Path | None, budget: Budget,
) -> Curve:
    """
    Return the learning curve of an algorithm that starts from `begun`, None for scratch.

    It trains in the first environment and is evaluated in the second.
    """
    contract, old = worlds[0].contract, None
    if begun is not None:
        start = start_from(begun, algorithm, settings, contract)
        settings, old = start.settings, load_transitions(start.data, contract)
    agent = make_agent(algorithm, contract, settings)
    found: Curve = []

    def evaluate_at(step: int, actor: AgentPolicy) -> None:
        if step % budget.interval == 0:
            results = evaluate(actor, worlds[1], budget.episodes, 424242)
            found.append((step, float(np.mean([result.success for result in results])),
                          float(np.mean([result.episode_return for result in results]))))

    if begun is not None:
        agent.load(start.tensors)
        evaluate_at(0, AgentPolicy(agent))
    learn(worlds[0], agent, budget.steps, settings.seed, evaluate_at, offline=old)
    for world in worlds:
        world.close()
    return found


def back(found: Curve) -> float:
    """Return the transitions until the mean return is back at the offline policy's."""
    (_, _, score), *later = found
    lowest = min(range(len(later)), key=lambda k: later[k][2])
    if later[lowest][2] >= score:
        return 0.0
    return next((float(step) for step, _, mean in later[lowest:] if mean >= score), float('inf'))


def succeeds(found: Curve) -> float:
    """Return the transitions until 95 % succeed, in two consecutive evaluations."""
    return next((float(step) for (step, rate, _), (_, then, _) in pairwise(found)
                 if min(rate, then) >= SUCCESS), float('inf'))


def after(found: Curve) -> tuple[float, float]:
    """Return the gains in success and mean return over the offline policy, after recovery."""
    later = [row for row in found if row[0] >= CLOCK_RESET]
    return tuple(statistics.mean(row[k] for row in later) - found[0][k] for k in (1, 2))


def table(begun: dict[str, list[Curve]], nothing: dict[str, list[Curve]]) -> Iterator[str]:
    """Yield the lines of two tables."""
    def by_seed(of: Callable[[Curve], float], curves: list[Curve], form: str = '.0f') -> str:
        values = [of(one) for one in curves]
        return f'{statistics.median(values):{form}} ({", ".join(f"{v:{form}}" for v in values)})'

    yield ('| offline, then | success offline | lowest | from 2,000 on | return back after | '
           'return from 2,000 on | 95 % after |')
    yield '|---|---|---|---|---|---|---|'
    for name, curves in begun.items():
        yield (f'| {name} | {by_seed(lambda one: one[0][1], curves, ".2f")} | '
               f'{by_seed(lambda one: min(row[1] for row in one), curves, ".2f")} | '
               f'{by_seed(lambda one: after(one)[0], curves, "+.2f")} | '
               f'{by_seed(back, curves)} | {by_seed(lambda one: after(one)[1], curves, "+.2f")} | '
               f'{by_seed(succeeds, curves)} |')
    yield '\n| from nothing | last success | 95 % after |\n|---|---|---|'
    for name, curves in nothing.items():
        yield (f'| {name} | {by_seed(lambda one: one[-1][1], curves, ".2f")} | '
               f'{by_seed(succeeds, curves)} |')


def main() -> int:
    """Run missing trainings and print the tables; return 1 if a claim fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--algorithms', nargs='+', default=['td3_bc'])
    parser.add_argument('--online', help='go on as this algorithm, such as td3; else as itself')
    parser.add_argument('--nothing', nargs='*', default=['td3', 'sac'])
    parser.add_argument('--rows', type=int, default=0, help='of the dataset; 0: all')
    parser.add_argument('--updates', type=int, default=6_000, help='offline')
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=3_000, help='online, after offline')
    parser.add_argument('--steps-from-nothing', type=int, default=20_000)
    parser.add_argument('--interval', type=int, default=500)
    parser.add_argument('--episodes', type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset, out = Dataset.load(options.data), options.out
    rows = options.rows or len(dataset)
    data = first_rows(dataset, out / f'{rows}.dataset', rows)
    begun: dict[str, list[Curve]] = {}
    nothing: dict[str, list[Curve]] = {}

    def worlds() -> tuple[Environment, Environment]:
        arm = load_arm(dataset.contract.robot, 'reach')
        return simulate(arm), simulate(arm)

    def done(name: str, make: Callable[[], Curve]) -> list[Curve]:
        file = out / f'{name}.json'
        with locked(file, wait=False) as mine:
            if mine and not file.is_file():
                write_json(file, make())
        if not file.is_file():
            return []
        found = [tuple(row) for row in json.loads(file.read_text())]
        print(f'{name}: success {found[0][1]:.2f} at {found[0][0]}, {found[-1][1]:.2f} at '
              f'{found[-1][0]}', flush=True)
        return [found]

    for seed in range(options.seeds):
        for algorithm in options.algorithms:
            online = options.online or algorithm
            name = f'{algorithm}_{rows}_{seed}'

            def go_on(algorithm=algorithm, online=online, name=name, seed=seed) -> Curve:
                begun = offline(data, out / name, algorithm, options.updates, seed)
                return curve(worlds(), online, shipped(online, seed), begun, Budget(
                    options.steps, options.interval, options.episodes))

            begun.setdefault(f'{algorithm}, {online}', []).extend(
                done(f'{online}_after_{name}', go_on))
        for algorithm in options.nothing:
            nothing.setdefault(algorithm, []).extend(done(
                f'nothing_{algorithm}_{seed}', lambda algorithm=algorithm, seed=seed: curve(
                    worlds(), algorithm, shipped(algorithm, seed), None, Budget(
                        options.steps_from_nothing, 4 * options.interval, options.episodes))))
    print('\n'.join(table(begun, nothing)))
    # A training that did not succeed counts as its whole budget, a lower bound.
    soonest = min((min(statistics.median(map(succeeds, curves)), options.steps_from_nothing)
                   for curves in nothing.values()), default=options.steps_from_nothing)
    held = [
        statistics.median(map(back, curves)) <= CLOCK_RESET
        and statistics.median(after(one)[0] for one in curves) >= -LESS
        and statistics.median(after(one)[1] for one in curves) >= 0.0
        and statistics.median(map(succeeds, curves)) <= soonest / 2 for curves in begun.values()]
    print('holds' if all(held) else 'DOES NOT HOLD')
    return 0 if all(held) else 1


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print('interrupted; the same command resumes', file=sys.stderr)
        sys.exit(130)
