# SPDX-License-Identifier: Apache-2.0
"""Compiled updates: equal to plain ones, cached for the next start, and optional."""

from collections.abc import Callable
import json
import logging
import os
from pathlib import Path
import shutil
import subprocess
import sys
import time

from learning import made_up_batch, small_agent
import numpy as np
import pytest
import torch

from rl_control.common.errors import InvalidInput
from rl_control.learning.algorithms import torch_internals
from rl_control.learning.compilation import compile_worker
from rl_control.learning.compilation import compiled_updates as room
from rl_control.learning.compilation.compiled_updates import CompiledUpdates
from rl_control.learning.compilation.tracing import state_of, trace
from rl_control.learning.replay import Batch

COMPILER = shutil.which('g++')
with_compiler = pytest.mark.skipif(COMPILER is None, reason='no C++ compiler')
VALUES = {'policy_delay': 1, 'batch_size': 8}  # one kind of update, which compiles soon


@pytest.fixture(scope='module')
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, cache):
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
    torch.set_num_threads(1)


@pytest.fixture(scope='module')
def compiled(cache) -> None:
    """Compile once for the tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(cache))
        patch.setenv('CXX', COMPILER)
        patch.setattr(room, 'NICENESS', 0)  # beside other tests a nice process would wait
        torch.set_num_threads(1)
        updates = CompiledUpdates(small_agent('td3', **VALUES), 'td3')
        updates.begin()
        while updates.look():
            time.sleep(0.1)
        assert updates.ready


def learned(agent, updates, first: int, last: int):
    """Return `agent` after the batches of these numbers."""
    for number in range(first, last):
        rng = np.random.default_rng(number)
        batch, weight = made_up_batch(rng), rng.uniform(0.1, 1.0, 8).astype(np.float32)
        updates.update(batch, weight if number % 2 else None)
    return agent


def started(**values) -> tuple:
    agent = small_agent('td3', **VALUES, **values)
    updates = CompiledUpdates(agent, 'td3')
    updates.begin()
    assert updates.ready
    return agent, updates


@with_compiler
@pytest.mark.timeout(400)
def test_compiled_updates_are_plain_ones(compiled):
    agent, updates = started(seed=3)
    plain = small_agent('td3', **VALUES, seed=3)
    for number in range(100):
        learned(agent, updates, number, number + 1)
        learned(plain, plain, number, number + 1)
        torch.testing.assert_close(agent.error, plain.error, rtol=1e-4, atol=1e-5)
    for name, tensor in plain.tensors().items():
        torch.testing.assert_close(agent.tensors()[name], tensor, rtol=1e-5, atol=1e-5)
    assert agent.updates == 100


def test_a_compiled_update_that_differs_is_rejected(monkeypatch):
    """The stand-ins do nothing, or make the plain update with larger weights."""
    plan = compile_worker.Plan.of('td3', small_agent('td3', **VALUES))
    *batch, weight = plan.rows(0)
    traced = trace(plan.agent(), 1, Batch(*batch), weight)
    number = len(traced.state)

    def of(factor: float) -> Callable:
        def run(inputs: list) -> None:
            *rest, last = inputs[:number + 6]
            with torch.no_grad():
                traced.graph(*rest, last * factor, *inputs[number + 6:])
        return lambda path: run

    for name, run in (('nothing', lambda path: lambda inputs: None), ('heavier', of(1.01))):
        monkeypatch.setattr(compile_worker, 'load_package', run)
        with pytest.raises(InvalidInput, match=f'{name} differs from the plain one by'):
            compile_worker._verify(plan, 1, traced, Path(f'{name}.pt2'))
    monkeypatch.setattr(compile_worker, 'load_package', of(1.0))
    compile_worker._verify(plan, 1, traced, Path('same.pt2'))


@with_compiler
def test_the_documented_loader_gives_the_same_numbers(compiled, cache):
    (path,) = cache.rglob('*.pt2')
    about = json.loads((path.parent / compile_worker.UPDATES).read_text())[path.stem]
    plan = compile_worker.Plan.of('td3', small_agent('td3', **VALUES))
    found = []
    for load in (torch_internals.load_package, torch_internals.documented_load):
        agent = plan.agent()
        state = [state_of(agent)[name] for name in about['state']]
        inputs = [*state, *plan.rows(0), *compile_worker.draw(about['draws'], agent.generator)]
        found.append([*load(path)(inputs), *state])
        assert not inputs
    torch.testing.assert_close(found[1], found[0], rtol=0.0, atol=0.0)


@with_compiler
def test_save_load_update_equals_an_uninterrupted_run(compiled):
    agent, updates = started()
    learned(agent, updates, 0, 10)
    other, its = started(seed=7)
    other.load(agent.tensors())
    learned(agent, updates, 10, 30)
    learned(other, its, 10, 30)
    mine, others = agent.tensors(), other.tensors()
    assert all(torch.equal(tensor, others[name]) for name, tensor in mine.items())


@with_compiler
def test_batches_of_another_size_take_the_plain_update(compiled):
    agent, updates = started()
    plain = small_agent('td3', **VALUES)
    batch = made_up_batch(np.random.default_rng(0), 5)
    updates.update(batch)
    plain.update(batch)
    assert all(torch.equal(tensor, agent.tensors()[name])
               for name, tensor in plain.tensors().items())


def test_without_a_compiler_one_line_says_so(caplog):
    agent = small_agent('sac')
    updates = CompiledUpdates(agent, 'sac')
    with caplog.at_level(logging.WARNING):
        updates.begin()
    assert [record.getMessage() for record in caplog.records] == [
        'updates are not compiled: there is no C++ compiler no-compiler; install one, or name one '
        'in CXX']
    assert not updates.look() and not updates.ready
    updates.update(made_up_batch(np.random.default_rng(0)))
    assert agent.updates == 1


def test_a_compiler_that_fails_is_one_line_and_leaves_nothing(caplog, monkeypatch, cache):
    monkeypatch.setenv('CXX', 'false')
    updates = CompiledUpdates(small_agent('ddpg'), 'ddpg')
    with caplog.at_level(logging.WARNING):
        updates.begin()
        while updates.look():
            time.sleep(0.1)
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith('updates are not compiled: ')
    assert not updates.ready and not list(cache.rglob('making-*'))


def test_close_leaves_no_process_and_begin_removes_stale_compilations(monkeypatch, cache):
    monkeypatch.setenv('CXX', sys.executable)
    dead, young = (cache / 'rl_control' / name for name in ('making-dead', 'making-young'))
    for left in (dead, young):
        (left / 'work').mkdir(parents=True)
    os.utime(dead, (0.0, 0.0))
    updates = CompiledUpdates(small_agent('naf'), 'naf')
    updates.begin()
    assert not dead.exists() and young.exists()  # whose maker may be about to begin
    shutil.rmtree(young)
    process = updates._compiling
    assert isinstance(process, subprocess.Popen) and process.poll() is None
    updates.close()
    assert process.returncode is not None and not list(cache.rglob('making-*'))
    updates.close()


@pytest.mark.parametrize(('folder', 'file'), [
    ('ALGORITHMS', 'sac.py'), ('ALGORITHMS', 'torch_internals.py'), ('COMPILATION', 'tracing.py')])
def test_the_cache_key_changes_with_each_source(folder, file, monkeypatch, tmp_path):
    plan = compile_worker.Plan('sac', 3, 1, {}, 1)
    copied = Path(shutil.copytree(getattr(compile_worker, folder), tmp_path / 'copied'))
    monkeypatch.setattr(compile_worker, folder, copied)
    before = plan.key
    with (copied / file).open('a', encoding='utf-8') as source:
        source.write('# changed')
    assert plan.key != before
