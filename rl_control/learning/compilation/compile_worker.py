# SPDX-License-Identifier: Apache-2.0
"""
Compile an agent's updates ahead of time, in a process of its own: it lasts a minute.

`python -m rl_control.learning.compilation.compile_worker PLAN FOLDER` leaves a file for each kind
of update in FOLDER, and UPDATES behind them, which says what these take and give.
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
from rl_control.learning.compilation.tracing import Traced, state_of, trace
from rl_control.learning.replay import Batch

ALGORITHMS = Path(algorithms.__file__).parent
UPDATES = 'updates.json'
MIN_SHARE = 0.01  # share of all updates below which a kind is left as it is
TOLERANCE = 1e-5  # largest difference of a weight or moment after a few updates, compiled or not
# The compiler's patterns would put the sum with a bias back into the product, see `tracing`.
CONFIGURATION = {'compile_threads': 1, 'pattern_matcher': False}
INITIAL_SECOND_MOMENT = 1e-4  # second moments that Adam begins with there


@dataclass(frozen=True)
class Plan:
    """What compiled updates are made for: they serve every agent of these sizes and settings."""

    algorithm: str
    observation_size: int
    action_size: int
    settings: dict[str, Any]
    threads: int

    @classmethod
    def of(cls, algorithm: str, agent: Agent) -> 'Plan':
        """Return the plan of an agent, with the threads that torch has now."""
        return cls(
            algorithm, len(agent.contract.observation), len(agent.contract.action),
            {**agent.settings.to_mapping(), 'seed': 0}, torch.get_num_threads())

    @property
    def key(self) -> str:
        """Return what tells apart all that gives other machine code."""
        parts = [json.dumps(asdict(self), sort_keys=True), torch.__version__, _processor()]
        parts += [path.read_text() for folder in (ALGORITHMS, Path(__file__).parent)
                  for path in sorted(folder.glob('*.py'))]
        return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:32]

    def agent(self) -> Agent:
        """Return an agent of this plan."""
        def columns(letter: str, number: int) -> tuple[Column, ...]:
            return tuple(Column(f'{letter}{k}', '1') for k in range(number))

        actions = columns('a', self.action_size)
        contract = Contract(
            'any', 'any', (), columns('o', self.observation_size), actions,
            (-1.0,) * len(actions), (1.0,) * len(actions), 'velocity', 1.0)
        return make_agent(
            self.algorithm, contract, settings_of(self.algorithm).from_mapping(self.settings))

    def rows(self, seed: int) -> list[Tensor]:
        """Return a made-up batch and weights."""
        generator = torch.Generator().manual_seed(seed)
        number = self.settings['batch_size']

        def draw(*sizes: int) -> Tensor:
            return torch.rand(sizes, generator=generator) * 2.0 - 1.0

        return [
            draw(number, self.observation_size), draw(number, self.action_size), draw(number),
            draw(number, self.observation_size), torch.ones(number), draw(number).abs()]


def kind_of(agent: Agent, updates: int) -> str:
    """Return what update number `updates` does beside others, as a name."""
    return 'update' + ''.join('-' + 'ny'[updates % period == 0] for period in agent.periods)


def compile_updates(plan: Plan, folder: Path) -> None:
    """Leave the compiled updates in `folder`; raise InvalidInput for what cannot be compiled."""
    agent = plan.agent()
    first = {kind_of(agent, number): number for number in range(1000, 0, -1)}
    often = Counter(kind_of(agent, number) for number in range(1, 1001))
    made = {}
    for kind, number in first.items():
        if often[kind] < 1000 * MIN_SHARE:
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
        made[kind] = {
            'state': traced.state, 'draws': traced.draws, 'metrics': traced.metrics}
    write_json(folder / UPDATES, made)


def load_update(path: Path) -> Any:
    """Return what takes a list of tensors, empties it, and returns a list of tensors."""
    # What torch._inductor.aoti_load_package comes down to, without the compiler, which takes 1.5 s
    # to import: one model, no lock, on the processor.
    return torch._C._aoti.AOTIModelPackageLoader(str(path), 'model', True, 1, -1).boxed_run


def draw(draws: Sequence[Sequence], generator: torch.Generator) -> list[Tensor]:
    """Return what an update draws, in its order."""
    return [getattr(torch, name)(*sizes, generator=generator) for name, sizes in draws]


def _compile(traced: Traced, path: Path) -> Path:
    from torch._inductor import aoti_compile_and_package

    with torch.no_grad():
        program = torch.export.export(traced.graph, tuple(traced.inputs)).run_decompositions({})
        aoti_compile_and_package(
            program, package_path=str(path), inductor_configs=CONFIGURATION)
    return path


def _verify(plan: Plan, number: int, traced: Traced, path: Path) -> None:
    """Hold the compiled update to the plain one, from the same state, batches and draws."""
    plain, compiled = plan.agent(), plan.agent()
    for agent in (plain, compiled):
        for optimiser in agent.optimisers.values():
            # At its very first steps Adam divides a gradient by itself: of one that is nearly 0
            # the rounding would count as much as the gradient.
            optimiser.square.fill_(INITIAL_SECOND_MOMENT)
    state, run = state_of(compiled), load_update(path)
    for seed in range(5):
        *batch, weight = plan.rows(seed)
        plain.updates = number - 1
        plain.update(Batch(*batch), weight.numpy())
        run([*(state[name] for name in traced.state), *batch, weight,
             *draw(traced.draws, compiled.generator)])
    for name, tensor in state_of(plain).items():
        away = (tensor.double() - state[name].double()).abs().max().item()
        if not away <= TOLERANCE:
            raise InvalidInput(f'{path.stem} differs from the plain one by {away:.1e} in {name}')


def _processor() -> str:
    """Return what the compiler looks at in the processor."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    return '\n'.join(sorted({line for line in lines if line.startswith(
        ('flags', 'Features', 'model name', 'CPU part'))}))


def _end_with_parent() -> None:
    """End when the process that holds our input ends, however it ends."""
    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Compile; say in one line on the error output why not."""
    _end_with_parent()
    plan, folder = Plan(**json.loads(sys.argv[1])), Path(sys.argv[2])
    torch.set_num_threads(plan.threads)
    try:
        compile_updates(plan, folder)
    except InvalidInput as refused:
        sys.exit(' '.join(str(refused).split())[:300])


if __name__ == '__main__':
    main()
