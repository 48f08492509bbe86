# SPDX-License-Identifier: Apache-2.0
"""What the tests of a training share: a small world, its nodes in this process, its processes."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
import os
from pathlib import Path
import sys
import threading
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
import torch

from rl_control.bringup.processes import NodeProcess
from rl_control.common.types import Contract
from rl_control.environments.gymnasium import GymnasiumEnvironment
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.learning.export import Exporter
from rl_control.learning.trainer import GRAPH
from rl_control.ros import codec, qos

WORLD = 'Pendulum-v1'
ALGORITHM = {
    'hidden_sizes': [16, 16], 'batch_size': 16, 'learning_starts': 100, 'replay_capacity': 100_000,
    'updates_per_transition': 0.1, 'observation_normalisation': 'fixed',
}


def parameters(out: Path, **more: object) -> dict[str, object]:
    """Return the parameters of every node of a small training, with `more` of them."""
    return {
        'learner.environment': WORLD, 'learner.out': str(out), 'learner.threads': 1,
        'learner.publish_period': 0.2,
        **{f'algorithm.{name}': value for name, value in ALGORITHM.items()},
        'collector.environment': WORLD, 'collector.out': str(out),
        'broadcaster.out': str(out),
        **{name.replace('__', '.'): value for name, value in more.items()},
    }


@cache
def contract() -> Contract:
    """Return the contract of the small world."""
    world = GymnasiumEnvironment(WORLD)
    world.close()
    return world.contract


@cache
def _exporter(run: str, seed: int) -> Exporter:
    settings = settings_of('sac').from_mapping({**ALGORITHM, 'seed': seed})
    agent = make_agent('sac', contract(), settings)
    template = None if (run, seed) == ('run-1', 0) else exported()
    return Exporter(agent.policy, contract(), 'sac', run, template)


@cache
def exported(version: int = 1, run: str = 'run-1', seed: int = 0) -> bytes:
    """Return a policy file of the small world, of random weights."""
    return _exporter(run, seed).export(version, 0)


def not_finite(version: int) -> bytes:
    """Return a policy with a weight that is infinite where a rectifier hides it."""
    agent = make_agent('sac', contract(), settings_of('sac').from_mapping(ALGORITHM))
    with torch.no_grad():
        agent.policy.actor[0].bias[0] = -torch.inf
    return Exporter(agent.policy, contract(), 'sac', 'run-1', exported()).export(version, 0)


def prepare(out: Path) -> Path:
    """Leave in `out` what spares a learner the tracing, and return it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / GRAPH).write_bytes(exported())
    return out


class Nodes:
    """Nodes in this process, each with an executor of its own, spun by turns."""

    def __init__(self, values: dict[str, object], files: Iterable[Path] = ()) -> None:
        arguments = ['--ros-args']
        for path in files:
            arguments += ['--params-file', str(path)]
        for name, value in values.items():
            arguments += ['-p', f'{name}:={str(value).lower() if value is True else value}']
        rclpy.init(args=arguments)
        self.executors: dict[Node, SingleThreadedExecutor] = {}
        self.levels: dict[str, tuple[bytes, str]] = defaultdict(lambda: (b'', ''))
        listener = self.add(rclpy.create_node('listener'))
        listener.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)

    def add(self, node: Node) -> Node:
        """Spin `node` from now on."""
        self.executors[node] = SingleThreadedExecutor()
        self.executors[node].add_node(node)
        return node

    def until(
        self, condition: Callable[[], bool], patience: float = 20.0, but: tuple[Node, ...] = (),
    ) -> None:
        """Spin all nodes `but` those until `condition` holds."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, self.levels
            for node, executor in list(self.executors.items()):
                if node not in but:
                    executor.spin_once(timeout_sec=0.002)

    def spin(self, seconds: float, but: tuple[Node, ...] = ()) -> None:
        """Spin all nodes `but` those for so long."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, but=but)

    def close(self, node: Node) -> None:
        """End one node as its process would, while the others go on."""
        executor = self.executors.pop(node)
        ending = threading.Thread(target=node.close, args=(executor,))
        ending.start()
        self.until(lambda: not ending.is_alive())
        node.destroy_node()

    def end(self) -> None:
        """End all, collectors first."""
        for node in reversed(list(self.executors)):
            if hasattr(node, 'close'):
                self.close(node)
        rclpy.try_shutdown()

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        for status in message.status:
            self.levels[status.name] = status.level, status.message


def processes(out: Path, collectors: int = 1, **more: object) -> list[NodeProcess]:
    """Return the processes of a small training, without a monitor."""
    values = parameters(prepare(out), **more)

    def node(executable: str, name: str, **own: object) -> NodeProcess:
        prefixes = (f'{executable}.', 'algorithm.' if executable == 'learner' else '-')
        mine = {key: value for key, value in values.items() if key.startswith(prefixes)}
        return NodeProcess(executable, name, (), {**mine, **own}, respawn=True)

    return [node('learner', 'learner'), node('broadcaster', 'broadcaster'), *(
        node('collector', f'collector_{index}', **{'collector.seed': index})
        for index in range(collectors))]


def environment() -> dict[str, str]:
    """Return the environment of processes that this test starts; its domain is set already."""
    return {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1]),
            'AMENT_PREFIX_PATH': os.environ.get('AMENT_PREFIX_PATH', sys.prefix)}
