# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path
import random

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.transport.inbox import Inbox
from rl_control.transport.outbox import BATCH, WINDOW, Outbox
from rl_control.transport.spill_file import Identity, SpillFile


def row(number: int) -> np.ndarray:
    """Return a row that contains its number."""
    return np.array([number, -number, 0.5 * number])


def numbers(rows: np.ndarray) -> list[int]:
    assert np.array_equal(rows, [row(int(n)) for n in rows[:, 0]] if len(rows) else rows)
    return rows[:, 0].astype(int).tolist()


def granted(outbox: Outbox, now: float = 0.0, acknowledged: int = 0) -> Outbox:
    outbox.acknowledge(acknowledged, 10**6, now)
    return outbox


def filed(path: Path, rows: int = 100, file_rows: int = 1000) -> SpillFile:
    return SpillFile.create(path, Identity('a', path.stem, 'hash'), 3, rows, file_rows)


def fill(outbox: Outbox, count: int) -> None:
    for _ in range(count):
        outbox.append(row(outbox.produced))


def drain(outbox: Outbox, now: float) -> list[tuple[int, list[int]]]:
    sent = []
    while (batch := outbox.pending(now)) is not None:
        assert len(batch[1]) <= BATCH
        sent.append((batch[0], numbers(batch[1])))
        assert len(sent) < 1000
    return sent


def test_batches_are_numbered_in_order():
    outbox = granted(Outbox(3))
    fill(outbox, 100)
    assert drain(outbox, 0.0) == [(0, list(range(64))), (64, list(range(64, 100)))]
    assert drain(outbox, 0.1) == []
    fill(outbox, 1)
    assert drain(outbox, 0.2) == [(100, [100])]
    assert outbox.backlog == 101
    outbox.acknowledge(101, 10**6, 0.3)
    assert (outbox.backlog, drain(outbox, 99.0)[1:]) == (0, [])


def test_the_first_number_may_be_larger_than_zero():
    outbox = granted(Outbox(3, first=1000), acknowledged=1000)
    fill(outbox, 3)
    assert drain(outbox, 0.0) == [(1000, [1000, 1001, 1002])]
    assert (outbox.oldest, outbox.backlog, outbox.lost) == (1000, 3, 0)


def test_rows_are_copied_on_entry():
    outbox, mine = granted(Outbox(3)), row(0)
    outbox.append(mine)
    mine[:] = 7.0
    assert drain(outbox, 0.0) == [(0, [0])]


def test_without_acknowledgements_the_oldest_batch_is_resent():
    outbox = granted(Outbox(3, resend_period=0.5))
    fill(outbox, 200)
    assert len(drain(outbox, 0.0)) == 4
    assert drain(outbox, 0.4) == []
    outbox.acknowledge(64, 10**6, 0.4)
    assert drain(outbox, 0.8) == []  # progress was at 0.4
    assert drain(outbox, 0.9) == [(64, list(range(64, 128)))]  # one batch as a probe
    assert drain(outbox, 1.0) == []
    assert drain(outbox, 1.45) == [(64, list(range(64, 128)))]
    outbox.acknowledge(128, 10**6, 1.5)
    assert drain(outbox, 1.5) == [(128, list(range(128, 192))), (192, list(range(192, 200)))]
    assert outbox.resends == 2


def test_credit_bounds_what_is_sent_and_is_requested_when_missing():
    outbox = Outbox(3)
    fill(outbox, 10)
    first, rows = outbox.pending(0.0)
    assert (first, rows.shape) == (0, (0, 3)) and outbox.credit == 0
    assert outbox.pending(0.1) is None
    assert outbox.pending(0.6)[1].shape == (0, 3)
    outbox.acknowledge(0, 4, 0.7)
    assert drain(outbox, 0.7) == [(0, [0, 1, 2, 3])]
    outbox.acknowledge(4, 15, 0.8)
    assert outbox.credit == 5
    assert drain(outbox, 0.8) == [(4, list(range(4, 10)))]


def test_a_learner_that_acknowledges_without_granting_is_asked_again():
    outbox = granted(Outbox(3))
    fill(outbox, 1)
    drain(outbox, 0.0)
    for tick in range(1, 20):  # it treats this run as idle: acknowledged, no credit
        outbox.acknowledge(1, 1, 0.1 * tick)
    assert outbox.pending(2.0)[1].shape == (0, 3)


def test_a_long_backlog_is_sent_window_by_window():
    outbox = granted(Outbox(3))
    fill(outbox, WINDOW + 500)
    assert sum(len(rows) for _, rows in drain(outbox, 0.0)) == WINDOW
    outbox.acknowledge(100, 10**6, 0.1)
    assert drain(outbox, 0.1)[-1][1][-1] == WINDOW + 99


@pytest.mark.parametrize('seed', range(5))
def test_beyond_memory_rows_go_to_a_file_and_come_back_in_order(tmp_path, seed):
    spill = tmp_path / 'deep' / 'spill'
    outbox = granted(Outbox(3, file=filed(spill, 7, 20)))
    random_ = random.Random(seed)
    seen, now = [], 0.0
    while len(seen) < 500:
        for _ in range(random_.randrange(12)):
            if outbox.full:
                break
            outbox.append(row(outbox.produced))
        for _ in range(random_.randrange(3)):
            if (batch := outbox.pending(now, limit=random_.randrange(1, 9))) is not None:
                assert batch[0] == len(seen)
                seen += numbers(batch[1])
        outbox.acknowledge(random_.randrange(outbox.oldest, len(seen) + 1), 10**6, now)
        assert outbox.backlog <= 27
    assert seen == list(range(len(seen)))
    assert 4096 < spill.stat().st_size <= 4096 + 27 * 3 * 8
    outbox.acknowledge(outbox.produced, 0, now)
    outbox.close()
    assert list(spill.parent.iterdir()) == []


def test_full_outbox_refuses_and_recovers(tmp_path):
    for outbox, room in (
        (Outbox(3, capacity_rows=5), 5),
        (Outbox(3, file=filed(tmp_path / 's', 5, 4)), 9),
    ):
        granted(outbox)
        fill(outbox, room)
        assert outbox.full and outbox.credit == 0
        with pytest.raises(InvalidInput, match=f'full with {room} rows'):
            outbox.append(row(room))
        drain(outbox, 0.0)
        outbox.acknowledge(room - 1, 10**6, 0.1)
        assert not outbox.full
        fill(outbox, 1)
        assert drain(outbox, 0.2) == [(room, [room])]
        outbox.close()


def test_full_disk_keeps_no_part_of_a_row(tmp_path, monkeypatch):
    outbox = granted(Outbox(3, file=filed(tmp_path / 's', 2)))
    fill(outbox, 3)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'pwrite', lambda *_: (_ for _ in ()).throw(OSError(28, 'No space')))
        with pytest.raises(OSError, match='No space'):
            outbox.append(row(3))
    assert outbox.produced == 3
    fill(outbox, 2)
    assert drain(outbox, 0.0) == [(0, [0, 1, 2, 3, 4])]


def test_unusable_arguments_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match='must be positive'):
        Outbox(0)
    (tmp_path / 'file').write_text('')
    with pytest.raises(InvalidInput, match='in a writable directory'):
        filed(tmp_path / 'file' / 'spill')
    outbox = Outbox(3)
    with pytest.raises(InvalidInput, match='the outbox takes'):
        outbox.append(np.zeros(4))
    with pytest.raises(InvalidInput, match='acknowledges 1 rows but 0 were made'):
        outbox.acknowledge(1, 1, 0.0)


def test_a_lost_journal_is_counted_and_delivery_continues():
    outbox, inbox = granted(Outbox(3)), Inbox()
    fill(outbox, 100)
    drain(outbox, 0.0)
    outbox.acknowledge(90, 10**6, 0.1)
    assert outbox.pending(0.2) is None
    outbox.acknowledge(0, 100, 0.3)  # an empty journal
    assert outbox.lost == 90
    first, rows = outbox.pending(0.3)
    assert numbers(inbox.accept('a', 'a1', first, rows, outbox.oldest)) == list(range(90, 100))
    assert (inbox.runs['a1'].lost, inbox.runs['a1'].expected) == (90, 100)


def test_a_waiting_run_announces_itself_to_a_learner_that_forgot_it():
    outbox = Outbox(3)
    outbox.acknowledge(0, 5, 0.0)
    fill(outbox, 5)
    drain(outbox, 0.0)
    outbox.acknowledge(5, 5, 0.1)
    assert outbox.credit == 0
    first, rows = outbox.pending(0.7)
    inbox = Inbox()
    assert len(inbox.accept('a', 'a1', first, rows, outbox.oldest)) == 0
    names, table = inbox.acknowledge_all(10)
    outbox.acknowledge(*map(int, table[names.index('a1')]), 0.8)
    assert outbox.credit == 10 and inbox.runs['a1'].lost == 5


class Learner:
    """Keeps what it received in memory until `flush`, as the learner its journal."""

    def __init__(self, journal: list[tuple[int, np.ndarray]]) -> None:
        self.journal, self.buffer = journal, []
        self.inbox, self.rows = Inbox(), []
        for first, rows in journal:
            self.rows += numbers(self.inbox.accept('a', 'a1', first, rows))

    def receive(self, first: int, rows: np.ndarray, oldest: int) -> None:
        fresh = self.inbox.accept('a', 'a1', first, rows, oldest)
        if len(fresh):
            self.buffer.append((first, rows))
            self.rows += numbers(fresh)

    def flush(self, credit: int) -> tuple[int, int] | None:
        self.journal += self.buffer
        self.buffer = []
        _, table = self.inbox.acknowledge_all(credit)
        return tuple(map(int, table[0])) if len(table) else None


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), drop=st.floats(0.0, 0.6), double=st.floats(0.0, 0.5),
    kill=st.floats(0.0, 0.1), spill=st.booleans(),
)
def test_every_row_arrives_once(tmp_path_factory, seed, drop, double, kill, spill):
    """
    A channel that drops, doubles and reorders, and a learner killed between receipt and flush.

    Acknowledgements may be dropped and doubled but keep their order, as of one DDS writer.
    """
    total, random_ = 300, random.Random(seed)
    path = tmp_path_factory.mktemp('spill') / 'file' if spill else None
    outbox = Outbox(3, capacity_rows=500, file=filed(path, 40, 500) if spill else None)
    journal: list = []
    learner, wire, now = Learner(journal), [], 0.0
    while outbox.produced < total or outbox.backlog:
        now += 0.05
        assert now < 2000.0, 'no progress'
        for _ in range(random_.randrange(8)):
            if outbox.credit and outbox.produced < total:
                outbox.append(row(outbox.produced))
        while (batch := outbox.pending(now, limit=random_.randrange(1, 20))) is not None:
            message = (*batch, outbox.oldest)
            wire += [message] * ((random_.random() >= drop) + (random_.random() < double))
        random_.shuffle(wire)
        for _ in range(random_.randrange(len(wire) + 1)):
            learner.receive(*wire.pop())
        if random_.random() < kill:
            learner = Learner(journal)
        if random_.random() < 0.5:
            answer = learner.flush(random_.randrange(60))
            for _ in range((random_.random() >= drop) + (random_.random() < double)):
                if answer is not None:
                    outbox.acknowledge(*answer, now)
    learner.flush(0)
    assert sorted(learner.rows) == list(range(total))
    assert Learner(journal).rows == learner.rows
    known = learner.inbox.runs['a1']
    assert (known.received, known.lost, known.expected, outbox.lost) == (total, 0, total, 0)
    outbox.close()
