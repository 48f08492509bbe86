# SPDX-License-Identifier: Apache-2.0
"""Train an agent of rl_control in this process: collector, replay and updates in turns."""

from collections.abc import Callable
import time
from types import SimpleNamespace

from benchmarks.learning.cells import Run
from rl_control.collection.collector import Collector
from rl_control.common.types import Transition
from rl_control.config.nodes import CollectorSettings
from rl_control.environments.environment import Environment
from rl_control.environments.gymnasium import GymnasiumEnvironment
from rl_control.environments.make import load_arm
from rl_control.environments.tasks import Task
from rl_control.learning.agent_policy import AgentPolicy
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.batch_sampler import make_symmetric_sampler
from rl_control.learning.compilation.compiled_updates import CompiledUpdates
from rl_control.learning.replay import ReplayBuffer, TransitionBatch


def train(run: Run, tell: Callable[[int, AgentPolicy], None]) -> None:
    """Train for the cell's steps; `tell(step, policy)` after each `interval` of them."""
    cell, entry = run.cell, run.entry
    world = GymnasiumEnvironment(cell.environment)
    settings = settings_of(entry.algorithm).from_mapping({**entry.settings, 'seed': run.seed})
    agent = make_agent(entry.algorithm, world.contract, settings)
    updates = CompiledUpdates(agent, entry.algorithm)
    updates.begin()
    while updates.look():  # so that the same updates are compiled on every machine
        time.sleep(0.1)
    task = load_arm('iiwa', 'reach', {'sparse': True}).task if settings.hindsight else None

    def told(step: int, actor: AgentPolicy) -> None:
        if step % cell.interval == 0:
            tell(step, actor)

    learn(world, agent, cell.steps, run.seed, told, task, update=updates.update)
    world.close()


def learn(
    world: Environment, agent: Agent, steps: int, seed: int,
    tell: Callable[[int, AgentPolicy], None] = lambda step, actor: None, task: Task | None = None,
    offline: TransitionBatch | None = None, update: Callable | None = None,
) -> AgentPolicy:
    """
    Train `agent` for `steps` of `world`; call `tell(step, policy)` after each of them.

    With `offline` data the agent, trained from it, acts at once, and half of each batch is offline
    data. `update` replaces `agent.update` by its compiled form.
    """
    settings, contract = agent.settings, world.contract
    sizes = len(contract.observation), len(contract.action)
    replay = ReplayBuffer(*sizes, settings.replay_capacity, seed)
    demonstrations = ReplayBuffer(*sizes, 1 if offline is None else len(offline), seed)
    if offline is not None:
        demonstrations.extend_mixed(offline)
    sampler = make_symmetric_sampler(agent, replay, demonstrations, task)
    actor = AgentPolicy(agent)
    update = update or agent.update

    def add(transition: Transition) -> None:
        agent.observe(transition.observation[None])
        replay.append('', transition.episode, transition.step, transition.observation,
                    transition.action, transition.reward, transition.next_observation,
                    transition.discount, transition.log_prob)
        learned_from = replay.total - settings.learning_starts
        if learned_from >= 0:
            collector.policy = actor
        while agent.updates < settings.updates_due(learned_from):
            update(*sampler.sample(settings.batch_size))
            sampler.update_priorities(agent.error.numpy())
        tell(replay.total, actor)
        if replay.total >= steps:
            collector.stopped.set()

    collector = Collector(world, CollectorSettings(seed=seed), SimpleNamespace(
        send=add, send_episode=lambda end: None))
    if offline is not None:
        collector.policy = actor
    collector.run()
    return actor
