# SPDX-License-Identifier: Apache-2.0
"""Updates/s of each algorithm beside those of its peers."""

from collections.abc import Callable, Iterator

from rl_control.bench.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from rl_control.bench.replay import ring, steps
from rl_control.bench.things import contract, per_call, spaces

BATCH, ROWS = 256, 20_000
PEERS = {'td3': 1.4, 'sac': 1.6, 'ddpg': 1.6}  # the goal beside stable-baselines3


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield updates/s, sampling included, of networks 256 x 256 on one thread."""
    calls = scale.size(200, 2)
    for name, ahead in PEERS.items():
        yield compare(
            f'learner: {name}, 256 x 256, batch {BATCH}, 1 thread', 'updates/s', [
                Contender(OURS, lambda name=name: _ours(name, calls)),
                Contender('stable-baselines3', lambda name=name: _sb3(name, calls)),
            ], scale.rounds, [Goal('rate', at_least=ahead, of='stable-baselines3')], more=True)


def _rate(update: Callable[[], object], calls: int) -> Callable[[], Figures]:
    update()
    return lambda: {'rate': 1.0 / per_call(update, calls, 1.0)}


def _ours(name: str, calls: int) -> Callable[[], Figures]:
    import torch

    from rl_control.algorithms import make_agent, settings_of

    torch.set_num_threads(1)
    agent = make_agent(name, contract(), settings_of(name)())
    replay = ring(ROWS)
    return _rate(lambda: agent.update(replay.sample(BATCH)), calls)


def _sb3(name: str, calls: int) -> Callable[[], Figures]:
    import gymnasium
    import stable_baselines3
    from stable_baselines3.common.logger import configure
    import torch

    torch.set_num_threads(1)

    class World(gymnasium.Env):
        observation_space, action_space = spaces()

    model = getattr(stable_baselines3, name.upper())(
        'MlpPolicy', World(), buffer_size=ROWS, policy_kwargs={'net_arch': [256, 256]},
        device='cpu')
    model.set_logger(configure(format_strings=[]))
    _, _, observation, action, reward, next_observation, _ = steps(ROWS)
    buffer = model.replay_buffer
    buffer.observations[:, 0], buffer.actions[:, 0] = observation, action
    buffer.rewards[:, 0], buffer.next_observations[:, 0] = reward, next_observation
    buffer.full = True
    return _rate(lambda: model.train(gradient_steps=1, batch_size=BATCH), calls)
