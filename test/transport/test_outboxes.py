# SPDX-License-Identifier: Apache-2.0
"""Rows in spill files of killed collectors are delivered by the next run of that name."""

import json
from pathlib import Path
import signal
import subprocess
import sys

import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.report.delivery_accounting import produced
from rl_control.transport.inbox import Inbox
from rl_control.transport.outbox import Outbox
from rl_control.transport.outboxes import Outboxes
from rl_control.transport.spill_file import Identity, SpillFile, read_account, spill_files

WIDTH = 3
VICTIM = '''
import os, signal, sys
import numpy as np
from rl_control.transport import outboxes
from rl_control.transport.spill_file import Identity, SpillFile
from pathlib import Path
class SmallSpillFile(SpillFile):
    @classmethod
    def create(cls, path, identity, width):
        return super().create(path, identity, width, rows=10, file_rows=100)
outboxes.SpillFile = SmallSpillFile
name, run, out, made, acknowledged = sys.argv[1:]
mine = outboxes.Outboxes(Identity(name, run, 'hash'), 3, Path(out), print).own
mine.acknowledge(0, 1000, 0.0)
for number in range(int(made)):
    mine.append(np.full(3, float(number)))
mine.acknowledge(int(acknowledged), 1000, 0.0)
os.kill(os.getpid(), signal.SIGKILL)
'''


def killed(out: Path, run: str, made: int, taken: int, name: str = 'c') -> Path:
    """Run a collector that makes rows, has some acknowledged, and is killed."""
    ended = subprocess.run(
        [sys.executable, '-c', VICTIM, name, run, str(out), str(made), str(taken)],
        cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -signal.SIGKILL
    return out / 'spill' / f'{run}.rows'


def next_run(out: Path, run: str = 'c-9', **identity: str) -> tuple[Outboxes, list[str]]:
    errors: list[str] = []
    return Outboxes(Identity(**{
        'collector': 'c', 'run': run, 'contract_hash': 'hash', **identity}), WIDTH, out,
        errors.append), errors


def deliver(one: Outboxes, inbox: Inbox) -> dict[str, list[int]]:
    """Deliver all rows; return the numbers that were new, by run."""
    got: dict[str, list[int]] = {}
    now = 0.0
    while one.backlog:
        for of, first, rows, oldest in one.pending(now):
            fresh = inbox.accept(of.collector, of.run, first, rows, oldest)
            if len(rows):  # an empty batch asks for credit
                got.setdefault(of.run, []).extend(fresh[:, 0].astype(int).tolist())
        # Without credit: the rows were granted to the dead run.
        names, table = inbox.acknowledge_all(0)
        one.acknowledge({run: tuple(map(int, row)) for run, row in
                         zip(names, table, strict=True)}, now)
        now += 0.3
        assert now < 20.0
    return got


@pytest.mark.parametrize(('made', 'taken'), [(6, 0), (9, 4), (60, 0), (100, 7)])
def test_rows_of_a_killed_collector_are_delivered_once(tmp_path, made, taken):
    path = killed(tmp_path, 'c-1', made, taken)
    assert produced(tmp_path) == {'c-1': made}
    inbox = Inbox()
    if taken:  # the learner has these, but its acknowledgement may be lost
        inbox.accept('c', 'c-1', 0, np.repeat(np.arange(float(taken)), 3).reshape(-1, 3))
    one, errors = next_run(tmp_path)
    assert (one.start, one.own.produced, errors) == (1, 0, [])
    assert deliver(one, inbox) == {'c-1': list(range(taken, made))}
    assert inbox.runs['c-1'].lost == 0
    assert not path.exists()
    assert json.loads((tmp_path / 'collectors' / 'c-1.json').read_text())['produced'] == made
    one.close()
    assert spill_files(tmp_path / 'spill') == []
    assert produced(tmp_path) == {'c-1': made, 'c-9': 0}
    assert next_run(tmp_path, 'c-10')[0].start == 2


def test_undelivered_rows_stay_for_the_next_run(tmp_path):
    killed(tmp_path, 'c-1', 8, 0)
    one, _ = next_run(tmp_path)
    one.own.acknowledge(0, 100, 0.0)
    one.own.append(np.zeros(WIDTH))
    one.close()
    assert produced(tmp_path) == {'c-1': 8, 'c-9': 1}
    again, errors = next_run(tmp_path, 'c-10')
    assert (again.start, again.backlog, errors) == (2, 9, [])
    assert again.runs == {'c-1', 'c-9', 'c-10'}
    assert deliver(again, Inbox()) == {'c-1': list(range(8)), 'c-9': [0]}


def test_rows_of_other_collectors_and_contracts_are_left_alone(tmp_path):
    killed(tmp_path, 'd-1', 5, 0, name='d')
    killed(tmp_path, 'c-1', 5, 0)
    other, errors = next_run(tmp_path, contract_hash='another')
    assert other.backlog == 0 and 'has 5 rows of another contract' in errors[0]
    living, errors = next_run(tmp_path, 'c-11')  # takes over the rows of c-1
    assert living.backlog == 5 and [path.stem for path in spill_files(tmp_path / 'spill')] == [
        'c-1', 'c-11', 'c-9', 'd-1']
    assert len(errors) == 1 and 'c-9.rows is in use; give each collector a name' in errors[0]
    assert read_account(tmp_path / 'spill' / 'd-1.rows') == (Identity('d', 'd-1', 'hash'), 5, 5)


def test_a_damaged_file_is_reported_in_a_sentence(tmp_path):
    spill = tmp_path / 'spill'
    good = killed(tmp_path, 'c-1', 5, 0).read_bytes()
    sizes = np.frombuffer(good[8:32], np.int64)
    bad = {
        'c-2': b'', 'c-3': b'nonsense' * 1000, 'c-4': good[:5000 - 900],
        'c-5': good[:8] + (sizes * 10**12).tobytes() + good[32:],
        'c-6': good[:32] + np.array([0, 0, 10**6]).tobytes() + good[56:],
        'c-7': good[:64] + b'[' * 4000 + good[4064:],
        'c-8': good[:32] + np.array([7, 0, 3]).tobytes() + good[56:],
    }
    for name, content in bad.items():
        (spill / f'{name}.rows').write_bytes(content)
    (spill / 'c-99.rows').symlink_to('/etc/hostname')
    one, errors = next_run(tmp_path, 'c-100')
    assert one.backlog == 5
    assert len(errors) == len(bad) + 1 and not any('\n' in sentence for sentence in errors)
    for name in ('c-2', 'c-5', 'c-7', 'c-99'):
        with pytest.raises(InvalidInput):
            read_account(spill / f'{name}.rows')


@pytest.mark.parametrize(('made', 'marks', 'left'), [
    (8, (2, 9, 8), range(2, 8)), (14, (12, 10, 14), range(12, 14))])
def test_a_kill_between_two_marks_is_no_harm(tmp_path, made, marks, left):
    path = killed(tmp_path, 'c-1', made, 0)
    data = path.read_bytes()
    path.write_bytes(data[:32] + np.array(marks).tobytes() + data[56:])
    outbox = Outbox(WIDTH, file=SpillFile.open_existing(path))
    _, rows = outbox.pending(0.0)
    assert rows[:, 0].tolist() == list(left)


def test_rows_are_resent_sooner_while_shutting_down(tmp_path):
    killed(tmp_path, 'c-1', 5, 0)
    one, _ = next_run(tmp_path)
    sent = [of.run for of, _, rows, _ in one.pending(0.0) if len(rows)]
    assert sent == ['c-1'] and not [rows for _, _, rows, _ in one.pending(0.3) if len(rows)]
    one.shorten_resend_period()
    assert [(of.run, first, len(rows)) for of, first, rows, _ in one.pending(0.3)
            if len(rows)] == [('c-1', 0, 5)]
    one.close()
