# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from recorded_rows import COLUMNS, CONTRACT, message, rows
from recordings import ARRAY, MS, START, array, mcap, record, table

from rl_control.bags.bag_reader import Bag
from rl_control.bags.dataset import ROW_FIELDS, Dataset, DatasetWriter
from rl_control.bags.dataset_builder import from_tables, open_bags
from rl_control.bags.recorded_transitions import Rows, read_episodes
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.transport.inbox import Inbox
from rl_control.transport.outbox import Outbox
from rl_control.transport.transition_rows import (
    EPISODE_COLUMNS,
    EpisodeRow,
    TransitionRows,
)


def taken(tmp_path, *recordings) -> tuple[Dataset, dict]:
    paths = [record(tmp_path / f'bag{number}', messages)
             for number, messages in enumerate(recordings)]
    bags = open_bags(paths)
    with DatasetWriter(tmp_path / 'set', CONTRACT) as writer:
        report = from_tables(bags, CONTRACT, writer)
        writer.finish({}, report)
    return Dataset.load(tmp_path / 'set'), report


def test_rows_are_exactly_those_that_were_sent(tmp_path):
    messages = [message(range(n, n + 64), at=n) for n in range(0, 640, 64)]
    messages += [message(range(n, n + 64), 'run-2', at=n, seed=1) for n in range(0, 320, 64)]
    found, report = taken(tmp_path, messages)
    assert found.streams == ('run-1', 'run-2')
    for index, (count, seed) in enumerate(((640, 0), (320, 1))):
        expected = TransitionRows.read(rows(range(count), seed), CONTRACT)
        for name in ROW_FIELDS:
            assert np.array_equal(getattr(found.rows, name)[found.stream == index],
                                  getattr(expected, name)), name
    assert report['runs']['run-1'] == {
        'collector': 'c', 'expected': 640, 'published': 640, 'received': 640, 'duplicates': 0,
        'lost': 0}


def steps(found: Dataset) -> list[int]:
    return found.rows.step.tolist()


def test_what_was_sent_again_counts_once_and_in_order(tmp_path):
    batches = [range(0, 64), range(128, 192), range(64, 128), range(128, 192), range(100, 200)]
    found, report = taken(tmp_path, [message(batch, at=n) for n, batch in enumerate(batches)])
    assert steps(found) == list(range(200))
    assert report['runs']['run-1']['duplicates'] == 64 + 92
    assert report['runs']['run-1']['lost'] == 0


def test_two_bags_of_one_run_overlap_and_one_bag_twice_adds_nothing(tmp_path):
    first = [message(range(n, n + 64), at=n) for n in range(0, 640, 64)]
    second = [message(range(n, n + 64), at=n) for n in range(448, 1280, 64)]
    found, report = taken(tmp_path, first, second, first)
    assert steps(found) == list(range(1280))
    assert report['runs']['run-1']['duplicates'] == 3 * 64 + 640
    with pytest.raises(InvalidInput, match='is given twice'):
        open_bags([tmp_path / 'bag0', tmp_path / 'bag0'])


def test_a_recorder_that_came_late_or_missed_some_goes_on(tmp_path):
    # `oldest` lags behind: rows on their way are not yet acknowledged.
    batches = [n for n in range(6400, 12800, 64) if not 8000 <= n < 8200]
    found, report = taken(tmp_path, [
        message(range(n, n + 64), oldest=n - 640, at=n) for n in batches])
    assert steps(found) == [step for n in batches for step in range(n, n + 64)]
    missed = 12800 - len(found)
    assert report['runs']['run-1']['lost'] == missed
    assert report['runs']['run-1']['received'] == len(found)


def test_a_gap_at_the_end_is_counted_and_what_is_behind_it_kept(tmp_path):
    found, report = taken(tmp_path, [message(range(0, 64)), message(range(128, 192), at=1)])
    assert steps(found) == [*range(64), *range(128, 192)]
    assert report['runs']['run-1']['lost'] == 64


def test_a_second_bag_fills_what_the_first_one_missed(tmp_path):
    first = [message(range(n, n + 64), oldest=n, at=n) for n in range(0, 640, 64) if n != 128]
    second = [message(range(n, n + 64), oldest=n, at=n) for n in range(64, 256, 64)]
    found, report = taken(tmp_path, first, second)
    assert sorted(steps(found)) == list(range(640))
    known = report['runs']['run-1']
    assert (known['lost'], known['received'], known['duplicates']) == (0, 640, 128)


@pytest.mark.parametrize('seed', range(8))
def test_a_lossy_wire_gives_what_an_inbox_gets(tmp_path, seed):
    """Record what really passes between an Outbox and an Inbox over a wire that loses a third."""
    generator = np.random.default_rng(seed)
    outbox, inbox = Outbox(len(COLUMNS), resend_period=0.5), Inbox()
    sent, learned, now = [], [], 0.0
    outbox.acknowledge(0, 10**6, now)
    while len(learned) < 1500 and now < 1000.0:
        for _ in range(int(generator.integers(0, 40))):
            if outbox.produced < 1500:
                outbox.append(rows([outbox.produced])[0])
        now += 0.1
        while (pending := outbox.pending(now)) is not None:
            first, batch = pending
            if len(batch) and generator.random() < 0.7:
                numbers = range(first, first + len(batch))
                sent.append(message(numbers, oldest=outbox.oldest, at=len(sent)))
                learned += inbox.accept(
                    'c', 'run-1', first, batch, outbox.oldest)[:, 1].astype(int).tolist()
        outbox.acknowledge(inbox.runs['run-1'].expected if inbox.runs else 0, 10**6, now)
    assert sorted(learned) == list(range(1500))
    found, _ = taken(tmp_path, sent)
    assert steps(found) == list(range(1500))
    # A recorder that heard less than the learner loses that, doubles nothing, and keeps order.
    heard = [item for item in sent if generator.random() < 0.8]
    contract_rows, losses = Rows(CONTRACT), Bag(record(tmp_path / 'less', heard)).losses
    less = [step for raw in Bag(tmp_path / 'less').messages()
            for _, part in contract_rows.take(raw, losses) for step in part.step.tolist()]
    less += [step for _, part in contract_rows.finish() for step in part.step.tolist()]
    anywhere = {int(step) for item in heard
                for step in range(*_numbers(item))}
    assert less == sorted(anywhere)


def _numbers(item) -> tuple[int, int]:
    from rl_control.transport.table import decode_table_cdr

    steps_of = decode_table_cdr(item[3]).rows[:, 1]
    return int(steps_of[0]), int(steps_of[-1]) + 1


def test_bad_rows_and_tables_are_counted(tmp_path):
    bad = rows(range(64))
    bad[3, 12] = np.nan
    head = json.dumps({'collector': 'c', 'run': 'run-1', 'contract_hash': CONTRACT.hash,
                       'first_sequence': 0, 'oldest': 0})
    found, report = taken(tmp_path, [
        (START, '/lab/transitions', ARRAY, table(COLUMNS, bad, head)),
        (START + 1, '/lab/transitions', ARRAY, array((1.0, 2.0))),
        message(range(64, 128), collector='other', at=1),
    ])
    assert steps(found) == [step for step in range(64) if step != 3]
    assert report['refused'] == {'action is not finite in float32': 1}
    assert [(lost['count'], lost['reason'][:30]) for lost in
            report['bags'][0]['losses']['messages']] == [
        (1, 'run run-1 is also used by c'), (1, 'table has 0 dimensions; it mus')]


def test_another_contract_is_refused_with_both(tmp_path):
    other = Contract(**{**{name: getattr(CONTRACT, name) for name in (
        'robot', 'joint_names', 'observation', 'action', 'action_low', 'action_high',
        'command_interface', 'control_period')}, 'task': 'push'})
    with pytest.raises(InvalidInput, match=f'{other.hash[:12]}.*two and task reach have '
                                      f'{CONTRACT.hash[:12]}'):
        taken(tmp_path, [message(range(64), contract=other)])
    assert not (tmp_path / 'set').exists()
    bag = Bag(record(tmp_path / 'x', [(START, '/a', ARRAY, array(()))]))
    with (pytest.raises(InvalidInput, match=r'has no topic transitions.*--raw'),
          DatasetWriter(tmp_path / 'set', CONTRACT) as writer):
        from_tables([bag], CONTRACT, writer)


def episode(number: int, run: str = 'run-1'):
    row = EpisodeRow(number, -number, 50, float(number % 2), 3, number % 3, number * 2.5)
    head = json.dumps({'collector': 'c', 'run': run, 'contract_hash': CONTRACT.hash,
                       'first_sequence': number, 'oldest': 0})
    return (START + number * MS, '/lab/episodes', ARRAY,
            table(EPISODE_COLUMNS, row.to_row()[None], head)), row


def test_episodes_are_read_once(tmp_path):
    made = [episode(number) for number in (*range(12), 5, 6)]
    bag = Bag(record(tmp_path / 'episodes', [message for message, _ in made]))
    assert [(run, row.to_row()[:7].tolist()) for run, row in read_episodes(bag)] == [
        ('run-1', row.to_row()[:7].tolist()) for _, row in made[:12]]
    _, report = taken(tmp_path, [message(range(64)), *(item for item, _ in made)])
    assert report['episodes']['training'] == {
        'number': 4, 'success_rate': 0.5, 'mean_return': -4.5}


def test_a_journal_that_was_cut_gives_its_rows_up_to_the_cut(tmp_path):
    messages = [message(range(n, n + 64), at=n) for n in range(0, 1280, 64)]
    path = mcap(tmp_path / 'journal_0.mcap', messages, chunk=0)
    data = path.read_bytes()
    path.write_bytes(data[:2 * len(data) // 3])
    with DatasetWriter(tmp_path / 'set', CONTRACT) as writer:
        report = from_tables([Bag(path)], CONTRACT, writer)
        writer.finish({}, report)
    found = steps(Dataset.load(tmp_path / 'set'))
    assert found == list(range(len(found))) and 700 < len(found) < 1280
    assert any('ends after' in note for note in report['bags'][0]['losses']['files'])
