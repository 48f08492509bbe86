# SPDX-License-Identifier: Apache-2.0
"""
One contender of the learner's benchmark: print its updates/s for each line of input.

`python -m benchmarks.parts.updating [KIND, ALGORITHM, WIDTH, BATCH, THREADS]`
"""

from collections.abc import Callable
import json
import os
import sys
import time

from benchmarks.parts.fixtures import ACTION, OBSERVATION, contract, per_call, spaces
from benchmarks.parts.replay import filled, steps

ROWS = 20_000
SECONDS = 0.7  # approximate duration of a turn


def ours(name: str, width: int, batch: int, compiled: bool) -> Callable[[], object]:
    """Return a function that samples the replay buffer and updates, as the trainer does."""
    from rl_control.learning.algorithms import make_agent, settings_of
    from rl_control.learning.compilation.compiled_updates import CompiledUpdates

    agent = make_agent(name, contract(), settings_of(name)(
        hidden_sizes=(width, width), batch_size=batch))
    updates = CompiledUpdates(agent, name)
    if compiled:
        updates.begin()
        while updates.look():
            time.sleep(0.1)
    replay = filled(ROWS)
    return lambda: updates.update(replay.sample(batch))


def peer(package: str, name: str, width: int, batch: int) -> Callable[[], object]:
    """Return a peer's own training step, which includes its sampling."""
    from importlib import import_module

    import gymnasium
    from stable_baselines3.common.logger import configure

    class World(gymnasium.Env):
        observation_space, action_space = spaces()

        def reset(self, **_: object) -> tuple:
            return self.observation_space.low.clip(0.0), {}

    more = {'device': 'cpu'} if package == 'stable_baselines3' else {}
    model = getattr(import_module(package), name.upper())(
        'MlpPolicy', World(), buffer_size=ROWS, policy_kwargs={'net_arch': [width, width]},
        batch_size=batch, **more)
    model._setup_learn(ROWS)
    model._current_progress_remaining = 1.0
    model.set_logger(configure(format_strings=[]))
    _, _, observation, action, reward, next_observation, _ = steps(ROWS)
    buffer = model.replay_buffer
    buffer.observations[:, 0], buffer.actions[:, 0] = observation, action
    buffer.rewards[:, 0], buffer.next_observations[:, 0] = reward, next_observation
    buffer.full = True

    def train() -> None:
        model.train(gradient_steps=1, batch_size=batch)
        if package == 'sbx':
            model.policy.qf_state.step.block_until_ready()

    return train


def floor(name: str, width: int, batch: int) -> Callable[[], object]:
    """Return the matrix products of one update alone, by torch."""
    from benchmarks.parts.products import products

    return products(name, OBSERVATION, ACTION, width, batch)


def main() -> None:
    """Measure once per line of input until the input ends."""
    kind, name, width, batch, threads = json.loads(sys.argv[1])
    cores = sorted(os.sched_getaffinity(0))
    if kind == 'busy':
        os.sched_setaffinity(0, cores[-1:])
        while True:
            pass
    # As many cores as threads, since sbx has no setting of threads; the same for all.
    os.sched_setaffinity(0, cores[:threads])
    if kind != 'sbx':
        import torch

        torch.set_num_threads(threads)
    update = {
        'ours': lambda: ours(name, width, batch, True),
        'plain': lambda: ours(name, width, batch, False),
        'sb3': lambda: peer('stable_baselines3', name, width, batch),
        'sbx': lambda: peer('sbx', name, width, batch),
        'floor': lambda: floor(name, width, batch),
    }[kind]()
    for _ in range(4):  # warm up: compilers, caches
        update()
    # An even number, since TD3 alternates between two kinds of updates.
    calls = 2 * max(1, round(SECONDS / per_call(update, 4, 1.0) / 2.0))
    for _ in sys.stdin:
        print(json.dumps(1.0 / per_call(update, calls, 1.0)), flush=True)


if __name__ == '__main__':
    main()
