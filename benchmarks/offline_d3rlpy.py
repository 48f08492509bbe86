# SPDX-License-Identifier: Apache-2.0
"""
TD3+BC and implicit Q-learning beside d3rlpy: equal data, updates, networks and learning rates.

Both train in turns of a few hundred updates on one thread, so that other load on the machine
affects both. Every policy is then evaluated in simulation on the same starts and goals.
Resumable: results in `--out` are not measured again.
Usage: python benchmarks/offline_d3rlpy.py --data DATASET [--seeds 5] [--updates 10000]
       (pip install d3rlpy==2.8.1; the dataset is what `rl-control bag transitions` makes)
"""

import argparse
from collections.abc import Callable
import json
import logging
from pathlib import Path
import statistics
import time

import d3rlpy
import numpy as np
import structlog
import torch

from rl_control.bags.dataset import Dataset, pieces
from rl_control.common.files import write_json
from rl_control.common.statistics import student_95, wilson_interval
from rl_control.environments.make import make_environment
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.learning.batch_sampler import make_sampler
from rl_control.learning.replay import ReplayBuffer

TURN = 250  # updates
NETWORK = (128, 128)
SHARED = {'gamma': 0.9, 'batch_size': 256, 'tau': 0.005}
RATE = 1e-3
EXPECTILE, TEMPERATURE, WEIGHT = 0.8, 10.0, 2.5
Act = Callable[[np.ndarray], np.ndarray]


class Ours:
    """An agent of rl_control and its sampler."""

    def __init__(self, algorithm: str, dataset: Dataset, seed: int) -> None:
        kind = settings_of(algorithm)
        rates = {name: RATE for name in kind().to_mapping() if name.endswith('learning_rate')}
        own = {'iql': {'expectile': EXPECTILE, 'inverse_temperature': TEMPERATURE},
               'td3_bc': {'value_weight': WEIGHT}}[algorithm]
        self._agent = make_agent(algorithm, dataset.contract, kind(
            hidden_sizes=NETWORK, observation_normalisation='fixed', seed=seed,
            **SHARED, **rates, **own))
        steps = dataset.rows.steps(dataset.streams, dataset.stream)
        replay = ReplayBuffer(
            len(dataset.contract.observation), len(dataset.contract.action), len(steps), seed
        )
        replay.extend_mixed(steps)
        self._agent.observe(steps.observation)
        self._sampler = make_sampler(self._agent, replay)

    def update(self) -> None:
        """Make one update."""
        self._agent.update(*self._sampler.sample(SHARED['batch_size']))

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return the action (a,) in SI units."""
        return self._agent.act(observation.astype(np.float32)[None])[0]


class Theirs:
    """A d3rlpy algorithm with scaled observations and actions within [-1, 1]."""

    def __init__(self, algorithm: str, dataset: Dataset, seed: int) -> None:
        d3rlpy.seed(seed)
        contract = dataset.contract
        self._low, self._high = np.array(contract.action_low), np.array(contract.action_high)
        self._data = self._episodes(dataset)
        scaler = d3rlpy.preprocessing.StandardObservationScaler()
        scaler.fit_with_transition_picker(self._data.episodes, self._data.transition_picker)
        encoder = d3rlpy.models.VectorEncoderFactory(hidden_units=list(NETWORK))
        shared = {
            **SHARED, 'actor_learning_rate': RATE, 'critic_learning_rate': RATE,
            'actor_encoder_factory': encoder, 'critic_encoder_factory': encoder,
            'observation_scaler': scaler}
        if algorithm == 'iql':
            config = d3rlpy.algos.IQLConfig(
                **shared, value_encoder_factory=encoder, expectile=EXPECTILE,
                weight_temp=TEMPERATURE)
        else:
            config = d3rlpy.algos.TD3PlusBCConfig(**shared, alpha=WEIGHT)
        self._algorithm = config.create(device='cpu:0')
        self._algorithm.build_with_dataset(self._data)

    def update(self) -> None:
        """Make one update as their `fit` does, without its log."""
        self._algorithm.update(self._data.sample_transition_batch(SHARED['batch_size']))

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return the action (a,) in SI units."""
        action = np.clip(
            self._algorithm.predict(observation.astype(np.float32)[None])[0], -1.0, 1.0)
        return self._low + (self._high - self._low) * (action + 1.0) / 2.0

    def _episodes(self, dataset: Dataset) -> d3rlpy.dataset.MDPDataset:
        """Return the same transitions: an episode ends with one more row, for its last state."""
        rows, parts = dataset.rows, []
        action = 2.0 * (rows.action - self._low) / (self._high - self._low) - 1.0
        for mine in pieces(dataset):
            assert not rows.terminated[mine].any(), 'reach ends by time-out only'
            ends = np.zeros(len(mine) + 1)
            ends[-1] = 1.0
            parts.append((
                np.vstack((rows.observation[mine], rows.next_observation[mine[-1:]])),
                np.vstack((action[mine], np.zeros_like(action[:1]))),
                np.append(rows.reward[mine], 0.0), ends))
        observation, action, reward, ends = (
            np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True))
        made = d3rlpy.dataset.MDPDataset(
            observation, action, reward, np.zeros_like(ends), timeouts=ends)
        assert made.transition_count == len(rows)
        return made


def evaluate(act: Act, environment, episodes: int) -> tuple[int, list[float]]:
    """Return successes and returns of episodes that are equal for all policies."""
    rng, successes, returns = np.random.default_rng(7), 0, []
    environment.restart(rng)
    for _ in range(episodes):
        observation, done, total = environment.reset(rng), False, 0.0
        while not done:
            outcome = environment.step(act(observation))
            observation, total = outcome.observation, total + outcome.reward
            done = outcome.terminated or outcome.truncated
        successes += outcome.success
        returns.append(total)
    return successes, returns


def cell(algorithm: str, dataset: Dataset, seed: int, updates: int, episodes: int) -> dict:
    """Return the figures of one seed of both."""
    learners = {'rl_control': Ours(algorithm, dataset, seed),
                'd3rlpy': Theirs(algorithm, dataset, seed)}
    spent = {name: [0.0, 0.0] for name in learners}
    environment = make_environment(dataset.contract.robot, dataset.contract.task)
    for learner in learners.values():  # the first updates allocate
        for _ in range(10):
            learner.update()
    for done in range(10, updates, TURN):
        for name, learner in learners.items():
            wall, cpu = time.monotonic(), time.process_time()
            for _ in range(min(TURN, updates - done)):
                learner.update()
            spent[name][0] += time.monotonic() - wall
            spent[name][1] += time.process_time() - cpu
        print(f'{algorithm} seed {seed}: {min(done + TURN, updates)} of {updates} updates',
              flush=True)
    figures = {}
    for name, learner in learners.items():
        successes, returns = evaluate(learner.act, environment, episodes)
        figures[name] = {
            'successes': successes, 'episodes': episodes,
            'mean_return': statistics.mean(returns),
            'updates_per_second': (updates - 10) / spent[name][0],
            'updates_per_cpu_second': (updates - 10) / spent[name][1]}
        print(f'{algorithm} seed {seed} {name}: {figures[name]}', flush=True)
    environment.close()
    return figures


def table(found: dict[str, dict]) -> None:
    """Print a table in Markdown."""
    print('\n| algorithm | | success | by seed | mean return, 95 % interval over seeds '
          '| updates/s | of CPU time | ratio |\n|---|---|---|---|---|---|---|---|')
    for algorithm in dict.fromkeys(name.partition(' ')[0] for name in found):
        cells = [one for name, one in found.items() if name.startswith(f'{algorithm} ')]
        ratio = statistics.median(
            one['rl_control']['updates_per_cpu_second'] / one['d3rlpy']['updates_per_cpu_second']
            for one in cells)
        for library in ('rl_control', 'd3rlpy'):
            rows = [one[library] for one in cells]
            successes = sum(row['successes'] for row in rows)
            episodes = sum(row['episodes'] for row in rows)
            low, high = wilson_interval(successes, episodes)
            returns = [row['mean_return'] for row in rows]
            half = (student_95(len(returns) - 1) * statistics.stdev(returns) / len(returns)**0.5
                    if len(returns) > 3 else float('nan'))
            speeds = [statistics.median(row[f'updates_per_{of}second'] for row in rows)
                      for of in ('', 'cpu_')]
            by_seed = ', '.join(f'{row["successes"] / row["episodes"]:.2f}' for row in rows)
            print(f'| {algorithm} | {library} | {successes / episodes:.3f} ({low:.3f} to '
                  f'{high:.3f}) | {by_seed} | {statistics.mean(returns):.2f} ± {half:.2f} '
                  f'| {speeds[0]:.0f} | {speeds[1]:.0f} '
                  f'| {f"{ratio:.2f}" if library == "rl_control" else "1"} |')


def main() -> None:
    """Measure missing cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', required=True)
    parser.add_argument('--algorithms', nargs='+', default=['td3_bc', 'iql'])
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--updates', type=int, default=10_000)
    parser.add_argument('--episodes', type=int, default=100)
    parser.add_argument('--out', type=Path, default=Path('benchmarks/out/offline_d3rlpy.json'))
    options = parser.parse_args()
    torch.set_num_threads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    dataset = Dataset.load(options.data)
    found = json.loads(options.out.read_text()) if options.out.is_file() else {}
    for seed in range(options.seeds):
        for algorithm in options.algorithms:
            name = f'{algorithm} {seed} {options.updates} {dataset.digest[:12]}'
            if name not in found:
                found[name] = cell(
                    algorithm, dataset, seed, options.updates, options.episodes)
                write_json(options.out, found)
    table(found)


if __name__ == '__main__':
    main()
