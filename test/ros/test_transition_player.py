# SPDX-License-Identifier: Apache-2.0
"""Bags played into a running learner: each row once, whoever plays, and however often."""

from collections.abc import Iterator
import json
from pathlib import Path
import threading
import time

import numpy as np
import pytest
import rclpy
from recordings import ARRAY, MS, START, record, table
from training import Nodes, contract, parameters, prepare

from rl_control.bags.bag_reader import Bag
from rl_control.common.errors import InvalidInput
from rl_control.nodes.learner import Learner
from rl_control.report.delivery_accounting import journaled
from rl_control.ros import codec, qos
from rl_control.ros.journal_reader import read_history
from rl_control.ros.transition_player import play
from rl_control.transport import replayed_run
from rl_control.transport.inbox import Inbox
from rl_control.transport.replayed_run import ReplayedRun

COLUMNS = codec.transition_columns(contract())


def rows(first: int, end: int) -> np.ndarray:
    """Return rows of the small world whose step is their number."""
    made = np.zeros((end - first, len(COLUMNS)))
    made[:, 1] = made[:, 5] = range(first, end)
    return made


def message(run: str, first: int, end: int, oldest: int | None = None, at: int = 0):
    head = {'collector': 'c', 'run': run, 'contract_hash': contract().hash,
            'first_sequence': first, 'oldest': first if oldest is None else oldest}
    return START + at * MS, '/transitions', ARRAY, table(
        COLUMNS, rows(first, end), json.dumps(head))


def bag(path: Path, runs: dict[str, int], missing: tuple[int, ...] = ()) -> Path:
    """Record batches of 64 of each run but those numbered `missing`."""
    return record(path, [
        message(run, n, n + 64, max(0, n - 128), at=n // 64)
        for n in range(0, max(runs.values()), 64) for run, count in runs.items()
        if n < count and n // 64 not in missing])


@pytest.fixture
def nodes(ros_domain, tmp_path) -> Iterator[Nodes]:
    made = Nodes(parameters(prepare(tmp_path / 'out'), learner__headroom=500))
    yield made
    made.end()


def played(nodes: Nodes, path: Path, rate: float = 0.0) -> dict:
    """Play a bag on a thread of its own, as `rl-control bag play` does in a process."""
    told = {}
    node = rclpy.create_node('bag_player')
    thread = threading.Thread(
        target=lambda: told.update(play(node, Bag(path), rate, lambda line: None)))
    thread.start()
    nodes.until(lambda: not thread.is_alive(), 60.0)
    node.destroy_node()
    return told


def test_each_row_once_however_often_and_fast_it_is_played(nodes, tmp_path):
    whole = bag(tmp_path / 'bag', {'a': 1280, 'b': 640})
    gaps = bag(tmp_path / 'gaps', {'a': 1280, 'b': 640}, missing=(0, 3, 4, 8))
    learner = nodes.add(Learner())
    told = played(nodes, gaps)
    assert told['a'] == {'transitions': 1024, 'not_recorded': 256, 'out_of_order': 0}
    nodes.until(lambda: learner._trainer.transitions == 1024 + 384)
    assert {run: known.lost for run, known in learner._inbox.runs.items()} == {
        'a': 256, 'b': 256}
    began = time.monotonic()
    told = played(nodes, whole, rate=10.0)
    assert time.monotonic() - began > 1280 / 64 * 1e-3 / 10.0
    assert told['a']['transitions'] == 1280
    for _ in range(2):
        nodes.until(lambda: learner._trainer.transitions == 1280 + 640)
        assert {run: (known.received, known.lost, known.expected)
                for run, known in learner._inbox.runs.items()} == {
            'a': (1280, 0, 1280), 'b': (640, 0, 640)}
        played(nodes, whole)
    nodes.close(learner)
    assert journaled(tmp_path / 'out') == {'a': 1280, 'b': 640}
    again = Inbox()
    steps = list(read_history(
        tmp_path / 'out' / 'journal', '/transitions', contract(), again))
    found = sorted((part.streams[stream], reward) for part in steps
                   for stream, reward in zip(part.stream, part.reward, strict=True))
    assert found == [*(('a', n) for n in range(1280)), *(('b', n) for n in range(640))]


def test_who_cannot_send_again_loses_what_does_not_come_and_no_more(nodes, tmp_path):
    """As `ros2 bag play`: the recorded bytes, by the recorded quality of service, once."""
    learner = nodes.add(Learner())
    player = nodes.add(rclpy.create_node('rosbag2_player'))
    publisher = player.create_publisher(codec.Transitions, '/transitions', qos.TRANSITIONS)
    nodes.until(lambda: publisher.get_subscription_count() > 0)
    path = bag(tmp_path / 'bag', {'a': 6400})
    for turn, skipped in enumerate(({*range(10), 40, 41, 99}, {7, 40}, set())):
        for number, raw in enumerate(Bag(path).messages()):
            if number not in skipped:
                publisher.publish(bytes(raw.data))
            nodes.spin(0.002)
        missing = 64 * (13, 2, 0)[turn]
        nodes.until(lambda missing=missing: learner._inbox.runs['a'].received == 6400 - missing)
        known = learner._inbox.runs['a']
        # The last batch of the first turn is not known to be missing: nothing came after it.
        assert known.published - known.received == missing - 64 * (turn == 0)
    nodes.until(lambda: learner._trainer.transitions == 6400)


def test_an_old_acknowledgement_does_not_count():
    origin = codec.Origin('c', 'a', 'hash')
    one = ReplayedRun(origin, ('x',))
    row = np.zeros(1)
    assert not one.put(0, row)
    assert len(one.pending(0.0).rows) == 0
    one.acknowledge((5000, 6000), 0.1)  # nobody hears yet
    one.connect(1.0)
    one.acknowledge((5000, 6000), 1.5)  # of what another sender said
    assert not one.put(0, row)
    one.acknowledge((0, 2), 2.5)
    assert one.put(0, row) and one.put(1, row) and not one.put(2, row)
    assert one.pending(2.6).header['first_sequence'] == 0
    one.acknowledge((900, 1000), 2.7)  # it has these and many more: they are sent all the same
    assert one.backlog == 0 and one.put(2, row) and one.appended == 3
    assert not one.put(10, row)  # what is before the gap first
    one.pending(2.8)
    one.acknowledge((900, 1000), 2.9)
    assert not one.put(10, row)
    assert one.pending(3.5).header['oldest'] == 10 and one.missing == 7
    one.acknowledge((900, 1000), 3.6)
    assert one.put(10, row) and one.put(4, row) and one.late == 1


def test_a_learner_that_does_not_take_the_run_is_told_of():
    one = ReplayedRun(codec.Origin('c', 'a', 'hash'), ('x',))
    one.put(0, np.zeros(1))
    one.connect(0.0)
    for now in np.arange(0.0, replayed_run.SETTLING_TIME + replayed_run.ACK_TIMEOUT, 0.5):
        one.acknowledge(None, now)
    with pytest.raises(InvalidInput, match='accepts nothing of run a, whose contract is hash'):
        one.acknowledge(None, 20.0)
