# SPDX-License-Identifier: Apache-2.0
"""Compiled updates: replace an agent's updates by compiled ones as soon as these are there."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
import json
import logging
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_control.common.errors import InvalidInput
from rl_control.common.files import cache_directory
from rl_control.common.stale_files import COMPILATION_PREFIX, dead_compilations, remove
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.algorithms.torch_internals import load_package
from rl_control.learning.compilation.compile_worker import UPDATES, Plan, draw, kind_of
from rl_control.learning.compilation.tracing import state_of
from rl_control.learning.replay import Batch

NICENESS = 10  # of the compiling process, below collectors and learner
TERMINATE_TIMEOUT = 1.0  # s until a compiling process is killed

logger = logging.getLogger(__name__)


class _Compiled(NamedTuple):
    run: Callable[[list[Tensor]], list[Tensor]]
    state: list[Tensor]
    draws: list[tuple[str, list[int]]]
    metrics: list[str]


class CompiledUpdates:
    """
    The updates of one agent: plain at first, later compiled, on the same tensors.

    `begin` loads updates that an earlier start compiled, or compiles them in a separate process
    of low priority; `look` loads the result. Compiled and plain updates differ by rounding only.
    Where compilation fails one line in the log says why, and plain updates go on. All calls are
    made on one thread.
    """

    def __init__(self, agent: Agent, algorithm: str) -> None:
        self._agent = agent
        self._plan = Plan.of(algorithm, agent)
        rows = agent.settings.batch_size
        columns = self._plan.observation_size, self._plan.action_size
        self._shapes = [(rows, columns[0]), (rows, columns[1]), (rows,), (rows, columns[0]),
                        (rows,)]
        self._ones = torch.ones(rows)
        self._compiled: dict[str, _Compiled] = {}
        self._compiling: subprocess.Popen | None = None
        self._making = ''

    def begin(self) -> None:
        """Load the updates from the cache, or begin to compile them."""
        cache = cache_directory() / self._plan.key
        if (cache / UPDATES).is_file():
            self._load(cache)
            return
        compiler = os.environ.get('CXX', 'g++')
        if shutil.which(compiler) is None:
            logger.warning('updates are not compiled: there is no C++ compiler %s; install one, '
                           'or name one in CXX', compiler)
            return
        with suppress(OSError):  # left by learners that were killed while they compiled
            remove(dead_compilations())
        try:
            cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._making = tempfile.mkdtemp(prefix=COMPILATION_PREFIX, dir=cache.parent)
        except OSError as error:
            logger.warning('updates are not compiled: %s: %s', cache.parent, error.strerror)
            return
        self._compiling = subprocess.Popen(
            [sys.executable, '-m', 'rl_control.learning.compilation.compile_worker',
             json.dumps(asdict(self._plan)), self._making],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, 'TORCHINDUCTOR_CACHE_DIR': str(Path(self._making) / 'work')})
        os.setpriority(os.PRIO_PROCESS, self._compiling.pid, NICENESS)

    def look(self) -> bool:
        """Load what was compiled meanwhile; return whether the compiler still runs."""
        if self._compiling is None or self._compiling.poll() is None:
            return self._compiling is not None
        process, self._compiling = self._compiling, None
        *_, reason = ['the compiler gave no reason', *process.communicate()[1].splitlines()]
        making, cache = Path(self._making), cache_directory() / self._plan.key
        if process.returncode:
            logger.warning('updates are not compiled: %s', reason)
        else:
            shutil.rmtree(making / 'work', ignore_errors=True)
            with suppress(OSError):  # another learner compiled the same meanwhile
                making.rename(cache)
            self._load(cache)
        shutil.rmtree(making, ignore_errors=True)
        return False

    @property
    def ready(self) -> bool:
        """Return whether compiled updates are loaded."""
        return bool(self._compiled)

    def update(self, batch: Batch, weight: np.ndarray | None = None) -> dict[str, Tensor]:
        """Make one update from `batch`, as Agent.update."""
        agent = self._agent
        updates = agent.updates + 1
        compiled = self._compiled.get(kind_of(agent, updates))
        if compiled is None or [field.shape for field in batch] != self._shapes:
            return agent.update(batch, weight)
        agent.policy.normaliser.freeze()
        agent.error, *values = compiled.run([
            *compiled.state, *map(_tensor, batch),
            self._ones if weight is None else _tensor(weight),
            *draw(compiled.draws, agent.generator)])
        agent.updates = updates
        return dict(zip(compiled.metrics, values, strict=True))

    def close(self) -> None:
        """Stop the compiling process."""
        if self._compiling is None:
            return
        process, self._compiling = self._compiling, None
        process.stdin.close()
        try:
            process.wait(TERMINATE_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()
        shutil.rmtree(self._making, ignore_errors=True)

    def _load(self, folder: Path) -> None:
        state = state_of(self._agent)
        if folder.stat().st_uid != os.getuid():
            logger.warning('updates are not compiled: %s belongs to another user', folder)
            return
        for kind, update in json.loads((folder / UPDATES).read_text()).items():
            try:
                run = load_package(folder / f'{kind}.pt2')
            except InvalidInput as refused:
                logger.warning('updates are not compiled: %s', refused)
                return
            self._compiled[kind] = _Compiled(
                run, [state[name] for name in update['state']], update['draws'],
                update['metrics'])


def _tensor(array: np.ndarray) -> Tensor:
    """Return a contiguous float32 tensor: compiled code checks neither type nor strides."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
