# SPDX-License-Identifier: Apache-2.0
"""Delivery accounting: produced is journaled, waiting or lost."""

from itertools import count
import json
from pathlib import Path

import numpy as np
from rclpy.serialization import serialize_message

from rl_control.report.delivery_accounting import DeliveryAccount, account, journaled, produced
from rl_control.ros import codec
from rl_control.ros.journal import Journal
from rl_control.transport.outboxes import Outboxes
from rl_control.transport.spill_file import Identity


def journal(out: Path, *batches: tuple[str, int, int], topic: str = '/transitions') -> None:
    """Write batches of (run, first sequence, rows) as a learner does."""
    kept, stamps = Journal(out / 'journal'), count(1)
    for run, first, rows in batches:
        origin = codec.Origin(run.partition('-')[0], run, 'hash', first)
        table = codec.Table(('x',), np.zeros((rows, 1)), origin.to_header())
        data = bytes(serialize_message(codec.encode_table(table)))
        kept.write(topic, 'std_msgs/msg/Float64MultiArray', data, next(stamps))
    kept.close()


def accounts(out: Path, **made: int) -> None:
    (out / 'collectors').mkdir()
    for run, number in made.items():
        run = run.replace('_', '-')
        (out / 'collectors' / f'{run}.json').write_text(
            json.dumps({'run': run, 'produced': number, 'acknowledged': 0}))


def test_nothing_is_lost_where_all_is_journaled(tmp_path: Path) -> None:
    journal(tmp_path, ('a-1', 0, 64), ('b-1', 0, 10), ('a-1', 64, 36), ('b-1', 10, 5))
    accounts(tmp_path, a_1=100, b_1=15)
    assert produced(tmp_path) == {'a-1': 100, 'b-1': 15}
    assert journaled(tmp_path) == {'a-1': 100, 'b-1': 15}
    assert account(tmp_path).lost == 0


def test_a_hole_is_counted_exactly(tmp_path: Path) -> None:
    # Of 100 rows of a-1 those from 20 to 49 are missing, of b-1 the last three.
    journal(tmp_path, ('a-1', 0, 20), ('b-1', 0, 12), ('a-1', 50, 30), ('a-1', 80, 20))
    accounts(tmp_path, a_1=100, b_1=15)
    assert journaled(tmp_path) == {'a-1': 70, 'b-1': 12}
    assert account(tmp_path).lost == 33


def test_what_was_sent_again_counts_once(tmp_path: Path) -> None:
    journal(tmp_path, ('a-1', 30, 20), ('a-1', 0, 20), ('a-1', 10, 15), ('a-1', 0, 5),
            ('a-1', 30, 20))
    accounts(tmp_path, a_1=50)
    assert journaled(tmp_path) == {'a-1': 45}  # 0 to 24 and 30 to 49
    assert account(tmp_path).lost == 5


def test_runs_are_not_mixed_up(tmp_path: Path) -> None:
    journal(tmp_path, ('a-1', 0, 10), ('a-2', 0, 10))
    accounts(tmp_path, a_1=10, a_2=12, a_3=4)
    assert account(tmp_path).lost == 2 + 4


def test_topics_in_a_namespace_count_and_others_do_not(tmp_path: Path) -> None:
    journal(tmp_path, ('a-1', 0, 10), topic='/cell/transitions')
    journal(tmp_path, ('a-1', 10, 10), topic='/cell/episodes')
    accounts(tmp_path, a_1=20)
    assert account(tmp_path).lost == 10


def left(out: Path, run: str, made: int, acknowledged: int) -> None:
    """Be a collector that ends before all its rows are acknowledged."""
    outboxes = Outboxes(Identity(run.partition('-')[0], run, 'hash'), 1, out, print)
    outboxes.own.acknowledge(0, made, 0.0)
    for number in range(made):
        outboxes.own.append(np.full(1, float(number)))
    outboxes.own.acknowledge(acknowledged, made, 0.0)
    outboxes.close()


def test_what_waits_for_the_next_start_is_not_lost(tmp_path: Path) -> None:
    # Of 100 rows 70 are acknowledged, of which 10 to 19 are nowhere; 70 to 79 came, unanswered.
    left(tmp_path, 'a-1', 100, 70)
    left(tmp_path, 'b-1', 40, 0)  # none of which came
    left(tmp_path, 'c-1', 30, 30)
    journal(tmp_path, ('a-1', 0, 10), ('a-1', 20, 60), ('c-1', 0, 30), ('d-1', 0, 5))
    assert produced(tmp_path) == {'a-1': 100, 'b-1': 40, 'c-1': 30}
    assert account(tmp_path) == DeliveryAccount(
        produced=170, journaled=100, waiting=20 + 40, lost=10
    )
    # Gone from the disk they are lost.
    for path in (tmp_path / 'spill').iterdir():
        path.unlink()
    assert account(tmp_path) == DeliveryAccount(produced=170, journaled=100, waiting=0, lost=70)
