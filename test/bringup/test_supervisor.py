# SPDX-License-Identifier: Apache-2.0
"""Supervisor: restarts, backoff and shutdown, with small processes instead of nodes."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest
from stalls import Stalls, watching

from rl_control.bringup import supervisor
from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import NodeProcess
from rl_control.bringup.supervisor import Restarts, Supervisor

# What a process does, by the name of its executable.
SCRIPTS = {
    'sleeps': 'import time; time.sleep(60)',
    'ends': 'raise SystemExit(0)',
    'refuses': 'raise SystemExit(2)',
    'fails': 'raise SystemExit(3)',
    'lacks': 'raise SystemExit(75)',
    'ends_soon': 'import time; time.sleep(0.3)',
    'stubborn': '''
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)
''',
}


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        supervisor, 'command_line', lambda process: [
            sys.executable, '-S', '-c', SCRIPTS[process.executable]])
    monkeypatch.setattr(supervisor, 'FIRST_BACKOFF', 0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def watch(one: Supervisor, until) -> int | None:
    """Poll until `until()` or a status; return the status."""
    deadline = time.monotonic() + 10.0
    while not until():
        assert time.monotonic() < deadline
        if (status := one.poll()) is not None:
            return status
        time.sleep(0.01)
    return None


def test_backoff_grows_and_deaths_in_a_row_are_bounded(monkeypatch):
    monkeypatch.undo()
    one = Restarts()
    assert [one.wait(1.0) for _ in range(9)] == [
        0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, None]
    one = Restarts()
    assert [one.wait(alive) for alive in (1.0, 1.0, 31.0, 29.9)] == [0.5, 1.0, 0.5, 1.0]


def test_a_dead_process_restarts(capfd):
    one = Supervisor([
        NodeProcess('sleeps', 'a', ends_graph=True, respawn=True), NodeProcess('sleeps', 'b')])
    try:
        former = one.pids
        for _ in range(2):
            pid = one.pids['a']
            os.kill(pid, signal.SIGKILL)
            assert watch(one, lambda: 'a' not in one.pids) is None
            assert watch(one, lambda: 'a' in one.pids) is None
            assert one.pids['a'] != pid and one.pids['b'] == former['b']
        pids = one.pids
    finally:
        one.stop()
    assert not any(map(alive, pids.values()))
    told = capfd.readouterr().err
    assert 'a died by SIGKILL and restarts in 0.05 s' in told
    assert 'a died by SIGKILL and restarts in 0.1 s' in told


def test_a_death_without_respawn_ends_the_graph():
    one = Supervisor([NodeProcess('sleeps', 'a'), NodeProcess('fails', 'b')])
    pids = one.pids
    assert one.wait(lambda: False) == 3
    assert not any(map(alive, pids.values()))


@pytest.mark.parametrize(('script', 'status'), [('refuses', 2), ('lacks', 75), ('fails', 3)])
def test_invalid_input_is_not_retried_and_failures_are_bounded(script, status, capfd):
    one = Supervisor(
        [NodeProcess('sleeps', 'a', respawn=True), NodeProcess(script, 'b', respawn=True)],
        deaths_limit=3)
    pids = one.pids
    assert one.wait(lambda: False) == status
    assert not any(map(alive, pids.values()))
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith('b ')]
    if script != 'fails':
        assert told == []
    else:
        assert len(told) == 4
        assert told[-1].startswith('b died 4 times in a row within 30 s of its start, at last '
                                   'with exit status 3; it is not restarted')


def test_an_unavailable_resource_is_retried_without_bound(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(supervisor, 'MAX_BACKOFF', 0.01)
    # It dies, lacks something at the next six starts, and has it again.
    monkeypatch.setitem(SCRIPTS, 'recovers', f'''
import time
with open({str(tmp_path / 'starts')!r}, 'a') as file:
    file.write('x')
    starts = file.tell()
if starts < 8:
    raise SystemExit(3 if starts == 1 else 75)
time.sleep(60)
''')
    one = Supervisor([NodeProcess('recovers', 'a', respawn=True)], deaths_limit=2)
    try:
        assert watch(one, lambda: (tmp_path / 'starts').exists()
                     and (tmp_path / 'starts').stat().st_size == 8) is None
    finally:
        one.stop()
    assert 'a died with exit status 75 and restarts in 0.01 s' in capfd.readouterr().err


def test_a_log_that_cannot_be_written_stops_no_process(tmp_path):
    (tmp_path / 'a.log').mkdir()
    one = Supervisor([NodeProcess('sleeps', 'a')], logs=tmp_path)
    try:
        assert list(one.pids) == ['a']
    finally:
        one.stop()


def test_a_process_that_exits_with_0_is_not_restarted():
    one = Supervisor([
        NodeProcess('ends', 'a', respawn=True), NodeProcess('sleeps', 'b', respawn=True),
        NodeProcess('ends_soon', 'c', ends_graph=True, respawn=True)])
    assert one.wait(lambda: False) == 0
    assert one.pids == {}


def test_no_process_restarts_after_the_end(monkeypatch):
    monkeypatch.setattr(supervisor, 'FIRST_BACKOFF', 0.3)
    one = Supervisor([NodeProcess('fails', 'a', respawn=True)])
    assert watch(one, lambda: one._children[0].popen is None) is None
    assert one.wait(lambda: True) == 0
    time.sleep(0.4)
    assert one.pids == {}


@pytest.mark.alone
def test_a_stubborn_one_is_killed_within_three_seconds(tmp_path, capfd):
    one = Supervisor([NodeProcess('stubborn', 'a'), NodeProcess('sleeps', 'b')], logs=tmp_path)
    assert watch(one, lambda: (tmp_path / 'a.log').read_text() == 'ready\n') is None
    pids = one.pids
    with watching() as witness:
        stalls, began = Stalls(witness, os.getpid()), time.monotonic()
        one.stop()
        assert 2.0 < time.monotonic() - began < 3.0 + stalls.seconds
    assert not any(map(alive, pids.values()))
    assert 'a did not end within 2.7 s and is killed' in capfd.readouterr().err


def test_children_end_with_a_supervisor_that_is_killed(tmp_path):
    program = '''
import sys, time
from rl_control.bringup import supervisor
from rl_control.bringup.processes import NodeProcess
supervisor.command_line = lambda process: [
    sys.executable, '-S', '-c', 'import time; time.sleep(60)']
one = supervisor.Supervisor([NodeProcess('sleeps', 'a'), NodeProcess('sleeps', 'b')])
print(*one.pids.values(), flush=True)
time.sleep(60)
'''
    parent = subprocess.Popen(
        [sys.executable, '-c', program], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2])
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5.0
    while any(map(_runs, pids)):
        assert len(pids) == 2 and time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """Return True if a process runs; an ended orphan may still be a zombie."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
    except FileNotFoundError:
        return False


def test_processes_of_a_training_restart(tmp_path):
    processes = graph('train_sim').processes({'out': str(tmp_path)})
    assert {process.name for process in processes if process.respawn} == {
        'learner', 'broadcaster', 'monitor', 'collector_0', 'collector_1'}
