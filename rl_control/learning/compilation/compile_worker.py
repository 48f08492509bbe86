# SPDX-License-Identifier: Apache-2.0
"""
Ahead-of-time compilation of an agent's updates, in a separate process that runs for a minute.

`python -m rl_control.learning.compilation.compile_worker PLAN FOLDER` writes one package per kind
of update to FOLDER, then UPDATES, which names the inputs and outputs of each.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
import hashlib
import json
import os
from pathlib import Path
import sys
import threading
from typing import Any

import torch
from torch import Tensor

from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_json
from rl_control.common.types import Column, Contract
from rl_control.learning import algorithms
from rl_control.learning.algorithms import make_agent, settings_of
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.torch_internals import compile_package, load_package
from rl_control.learning.compilation.tracing import Traced, state_of, trace
from rl_control.learning.replay import Batch

# All sources that compiled updates are made from.
ALGORITHMS, COMPILATION = Path(algorithms.__file__).parent, Path(__file__).parent
UPDATES = 'updates.json'
MIN_SHARE = 0.01  # share of all updates below which a kind is not compiled
TOLERANCE = 1e-5  # largest difference of a weight or moment, compiled against plain updates
# The pattern matcher would fuse the bias back into the product, see `tracing`.
CONFIGURATION = {'compile_threads': 1, 'pattern_matcher': False}
INITIAL_SECOND_MOMENT = 1e-4  # of Adam, when compiled and plain updates are compared


@dataclass(frozen=True)
class Plan:
    """The sizes and settings of agents that can share compiled updates."""

    algorithm: str
    observation_size: int
    action_size: int
    settings: dict[str, Any]
    threads: int

    @classmethod
    def of(cls, algorithm: str, agent: Agent) -> 'Plan':
        """Return the plan of an agent, for torch's present number of threads."""
        return cls(
            algorithm, len(agent.contract.observation), len(agent.contract.action),
            {**agent.settings.to_mapping(), 'seed': 0}, torch.get_num_threads())

    @property
    def key(self) -> str:
        """Return a hash of the plan, torch, the processor and the sources that are compiled."""
        parts = [json.dumps(asdict(self), sort_keys=True), torch.__version__, _processor()]
        parts += [path.read_text() for folder in (ALGORITHMS, COMPILATION)
                  for path in sorted(folder.glob('*.py'))]
        return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:32]

    def agent(self) -> Agent:
        """Return a new agent of this plan."""
        def columns(letter: str, number: int) -> tuple[Column, ...]:
            return tuple(Column(f'{letter}{k}', '1') for k in range(number))

        actions = columns('a', self.action_size)
        contract = Contract(
            'any', 'any', (), columns('o', self.observation_size), actions,
            (-1.0,) * len(actions), (1.0,) * len(actions), 'velocity', 1.0)
        return make_agent(
            self.algorithm, contract, settings_of(self.algorithm).from_mapping(self.settings))

    def rows(self, seed: int) -> list[Tensor]:
        """Return the fields of a random batch, and weights (b,)."""
        generator = torch.Generator().manual_seed(seed)
        number = self.settings['batch_size']

        def draw(*sizes: int) -> Tensor:
            return torch.rand(sizes, generator=generator) * 2.0 - 1.0

        return [
            draw(number, self.observation_size), draw(number, self.action_size), draw(number),
            draw(number, self.observation_size), torch.ones(number), draw(number).abs()]


def kind_of(agent: Agent, updates: int) -> str:
    """Return the kind of update number `updates`: which of the periodic steps it makes."""
    return 'update' + ''.join('-' + 'ny'[updates % period == 0] for period in agent.periods)


def compile_updates(plan: Plan, folder: Path) -> None:
    """Compile each kind of update to `folder`; raise InvalidInput where one cannot be compiled."""
    agent = plan.agent()
    first = {kind_of(agent, number): number for number in range(1000, 0, -1)}
    counts = Counter(kind_of(agent, number) for number in range(1, 1001))
    compiled = {}
    for kind, number in first.items():
        if counts[kind] < 1000 * MIN_SHARE:
            continue
        *batch, weight = plan.rows(0)
        try:
            traced = trace(plan.agent(), number, Batch(*batch), weight)
            path = _compile(traced, folder / f'{kind}.pt2')
            _verify(plan, number, traced, path)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f'{kind} of {plan.algorithm} cannot be compiled: {error}'
            ) from error
        compiled[kind] = {
            'state': traced.state, 'draws': traced.draws, 'metrics': traced.metrics}
    write_json(folder / UPDATES, compiled)


def draw(draws: Sequence[Sequence], generator: torch.Generator) -> list[Tensor]:
    """Return the random draws of an update, in its order."""
    return [getattr(torch, name)(*sizes, generator=generator) for name, sizes in draws]


def _compile(traced: Traced, path: Path) -> Path:
    with torch.no_grad():
        program = torch.export.export(traced.graph, tuple(traced.inputs)).run_decompositions({})
        compile_package(program, path, CONFIGURATION)
    return path


def _verify(plan: Plan, number: int, traced: Traced, path: Path) -> None:
    """Compare the compiled with the plain update, from the same state, batches and draws."""
    plain, compiled = plan.agent(), plan.agent()
    for agent in (plain, compiled):
        for optimiser in agent.optimisers.values():
            # Adam's first step divides a gradient by its own size, which amplifies the rounding
            # of gradients near 0.
            optimiser.square.fill_(INITIAL_SECOND_MOMENT)
    state, run = state_of(compiled), load_package(path)
    for seed in range(5):
        *batch, weight = plan.rows(seed)
        plain.updates = number - 1
        plain.update(Batch(*batch), weight.numpy())
        run([*(state[name] for name in traced.state), *batch, weight,
             *draw(traced.draws, compiled.generator)])
    for name, tensor in state_of(plain).items():
        error = (tensor.double() - state[name].double()).abs().max().item()
        if not error <= TOLERANCE:
            raise InvalidInput(
                f'compiled {path.stem} differs from the plain one by {error:.1e} in {name}')


def _processor() -> str:
    """Return the processor's model and features, on which the machine code depends."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    return '\n'.join(sorted({line for line in lines if line.startswith(
        ('flags', 'Features', 'model name', 'CPU part'))}))


def _end_with_parent() -> None:
    """Exit when the parent closes our standard input, as its death does."""
    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Compile; print one line to the error output where it fails."""
    _end_with_parent()
    plan, folder = Plan(**json.loads(sys.argv[1])), Path(sys.argv[2])
    torch.set_num_threads(plan.threads)
    try:
        compile_updates(plan, folder)
    except InvalidInput as refused:
        sys.exit(' '.join(str(refused).split())[:300])


if __name__ == '__main__':
    main()
