# SPDX-License-Identifier: Apache-2.0
"""Nothing lost, nothing twice: full disks, overrun queues, wrong and foreign acknowledgements."""

from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
import threading
import time

import numpy as np
import pytest
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from training import Nodes, exported, not_finite, parameters, prepare

from rl_control.nodes import collector as collector_module
from rl_control.nodes import learner as learner_module
from rl_control.nodes.broadcaster import Broadcaster
from rl_control.nodes.collector import CollectorNode
from rl_control.nodes.learner import Learner
from rl_control.report.delivery_accounting import account, journaled
from rl_control.ros import codec, journal, qos
from rl_control.transport import outboxes
from rl_control.transport.spill_file import SpillFile

Start = Callable[..., Nodes]


@pytest.fixture
def start(ros_domain: int, tmp_path: Path) -> Iterator[Start]:
    """Return what makes the nodes' surroundings, with parameters."""
    made: list[Nodes] = []

    def begin(**more: object) -> Nodes:
        made.append(Nodes(parameters(prepare(tmp_path), **more)))
        return made[0]

    yield begin
    for nodes in made:
        nodes.end()


def counts(collector: CollectorNode) -> tuple[int, int]:
    return collector._output.outbox.produced, collector._output.outbox.oldest


def require_nothing_lost(out: Path, learner: Learner, collector: CollectorNode) -> None:
    """Check what both closed nodes left; what a slow machine left to hand over still waits."""
    known, found = learner._inbox.runs[collector._output.run], account(out)
    assert (found.produced, found.lost) == (collector._output.outbox.produced, 0)
    assert journaled(out) == {collector._output.run: known.received}
    assert (found.waiting, known.lost) == (found.produced - known.received, 0)


def test_a_full_disk_stops_recording_and_nothing_else(start, tmp_path, monkeypatch):
    nodes = start(learner__headroom=400, learner__journal_period=0.02)
    learner, collector = nodes.add(Learner()), nodes.add(CollectorNode())
    nodes.until(lambda: learner._trainer.updates > 20)
    write = journal.write_all
    with monkeypatch.context() as patch:
        patch.setattr(journal, 'write_all', lambda *_: (_ for _ in ()).throw(
            OSError(28, 'No space left on device')))
        patch.setattr(journal, 'BUFFER_LIMIT', 0)
        nodes.until(lambda: learner._journal.full)
        # What it said before is on its way.
        nodes.until(lambda: counts(collector)[1] == learner._acknowledged[1][0, 0])
        _, acknowledged = counts(collector)
        received = learner._inbox.runs[collector._output.run].received
        nodes.until(lambda: nodes.levels['/learner: learning'][0] == codec.ERROR)
        assert 'No space left' in nodes.levels['/learner: learning'][1]
        updates = learner._trainer.turns
        nodes.spin(0.6)
        nodes.until(lambda: learner._trainer.turns > updates)
        assert counts(collector)[1] == acknowledged
        assert learner._inbox.runs[collector._output.run].received == received
    assert journal.write_all is write
    nodes.until(lambda: counts(collector)[1] > received + 200)
    nodes.until(lambda: nodes.levels['/learner: learning'][0] == codec.OK)
    nodes.close(collector)
    nodes.close(learner)
    require_nothing_lost(tmp_path, learner, collector)


class SmallSpillFile(SpillFile):
    """One with 50 rows mapped."""

    @classmethod
    def create(cls, path, identity, width):
        return super().create(path, identity, width, rows=50)


def test_rows_that_are_refused_cost_no_credit(start):
    learner = start(learner__headroom=300).add(Learner())
    for first in range(0, 640, 64):
        origin = codec.Origin('c', 'c-1', learner._contract_hash, first)
        learner._on_transitions([serialize_message(codec.encode_table(codec.Table(
            learner._columns, np.full((64, len(learner._columns)), np.nan),
            origin.to_header())))])
    learner._flush()
    (expected, granted), = learner._acknowledged[1]
    assert (expected, learner._rejections.total) == (640, 640)
    assert granted >= expected + 300


def test_a_full_spill_holds_the_collector_back(start, tmp_path, monkeypatch):
    monkeypatch.setattr(outboxes, 'SpillFile', SmallSpillFile)
    full = [True]
    write = SmallSpillFile.write

    def sometimes(self, number, row):
        if full[0]:
            raise OSError(28, 'No space left on device')
        write(self, number, row)

    monkeypatch.setattr(SmallSpillFile, 'write', sometimes)
    # A learner that acknowledges late, then not at all, though it granted a lot.
    nodes = start(learner__headroom=1000, learner__journal_period=0.5)
    learner, collector = nodes.add(Learner()), nodes.add(CollectorNode())
    nodes.until(lambda: bool(collector._output.disk_error))
    nodes.until(lambda: nodes.levels['/collector: collecting'][0] == codec.ERROR,
                but=(learner,))
    nodes.until(lambda: collector._output.outbox.backlog == 50, but=(learner,))  # its file is full
    produced = collector._output.outbox.produced
    nodes.until(lambda: collector._output.outbox.produced > produced + 100)
    full[0] = False
    nodes.until(lambda: not collector._output.disk_error)
    nodes.close(collector)
    nodes.close(learner)
    require_nothing_lost(tmp_path, learner, collector)


def test_an_overrun_queue_is_seen_and_sent_again(start, tmp_path):
    nodes = start(learner__headroom=5000, collector__flush_period=0.001)
    learner, collector = nodes.add(Learner()), nodes.add(CollectorNode())
    step = collector._environment.step

    def slowly(action):
        time.sleep(0.0005)  # so that the credit lasts until the learner has stopped listening
        return step(action)

    collector._environment.step = slowly
    outbox = collector._output.outbox
    nodes.until(lambda: outbox.oldest > 0 and outbox.credit > 2000)
    sent = collector._output.outbox.produced
    nodes.until(lambda: collector._output.outbox.produced > sent + 1500, 80.0, but=(learner,))
    nodes.until(lambda: learner._inbox.runs[collector._output.run].gaps > 0)
    nodes.until(lambda: collector._output.outbox.oldest > sent + 1500)
    nodes.close(collector)
    nodes.close(learner)
    require_nothing_lost(tmp_path, learner, collector)


def test_acknowledgements_that_cannot_be_are_told_and_ignored(start):
    nodes = start()
    learner, collector = nodes.add(Learner()), nodes.add(CollectorNode())
    nodes.until(lambda: collector._output.outbox.oldest > 50)
    send = next(iter(nodes.executors)).create_publisher(
        codec.Acknowledge, '/transitions/ack', qos.ACKNOWLEDGE).publish
    mine = (collector._output.run,)
    wrong = {
        'acknowledges 1000000 rows': codec.acknowledge_table(
            mine, np.array([[10.0**6, 10.0**6]]), learner._run),
        'learner other acknowledges': codec.acknowledge_table(
            mine, np.array([[9.0, 9.0]]), 'other'),
        'table has columns': codec.Table(('x',), np.ones((1, 1))),
    }
    for reason, table in wrong.items():
        def told(reason=reason, table=table):
            send(codec.encode_table(table))  # again, since the learner's own may overtake it
            return any(reason in sentence for sentence in collector._rejections.counts)
        nodes.until(told)
    before = collector._output.outbox.oldest
    nodes.until(lambda: collector._output.outbox.oldest > before + 50)
    assert collector._output.outbox.lost == 0


def test_only_a_greater_version_of_the_followed_run_acts(start, monkeypatch):
    came: list[codec.Policy] = []
    take = CollectorNode._on_policy
    monkeypatch.setattr(CollectorNode, '_on_policy', lambda self, message: (
        take(self, message), came.append(message)))
    nodes = start()
    collector = nodes.add(CollectorNode())
    send = next(iter(nodes.executors)).create_publisher(
        codec.Policy, '/policy/latest', qos.POLICY).publish
    taken = []

    def offer(version: int, run: str = 'run-1', data: bytes | None = None) -> None:
        before = len(came)
        send(codec.encode_policy(data or exported(version, run), run, version))
        nodes.until(lambda: len(came) > before)
        policy = collector._collector.policy
        taken.append((policy.run, policy.version))

    for version in (5, 4, 5, 9, 5, 8, 10):
        offer(version)
    assert taken == [('run-1', version) for version in (5, 5, 5, 9, 9, 9, 10)]
    offer(11, data=not_finite(11))
    assert taken.pop() == ('run-1', 10)
    # Before a learner was heard any run may act; afterwards that of the learner alone.
    offer(3, run='run-2')
    learner = nodes.add(Learner())
    nodes.until(lambda: collector._selection.run == learner._run)
    offer(4, run='run-2')
    offer(1, run=learner._run)
    offer(2, data=exported(20), run=learner._run)
    offer(12)
    assert taken[7:] == [('run-2', 3), ('run-2', 3), *[(learner._run, 1)] * 3]
    told = ' '.join(collector._rejections.counts)
    assert f'of run run-2 but {learner._run} is followed' in told
    assert 'its file is version 20 of run-1 but its message names 2' in told
    assert "policy has NaN or infinity in its weights 'actor.0.bias'" in told


def test_a_hang_is_told(start, monkeypatch):
    monkeypatch.setattr(learner_module, 'STALL_TIMEOUT', 1.0)
    monkeypatch.setattr(collector_module, 'LEARNER_TIMEOUT', 1.0)
    nodes = start()
    learner, collector = nodes.add(Learner()), nodes.add(CollectorNode())
    nodes.until(lambda: learner._trainer.updates > 5)
    go_on = threading.Event()
    update, step = learner._trainer.agent.update, collector._environment.step
    monkeypatch.setattr(
        learner._trainer.agent, 'update', lambda *given: go_on.wait() and update(*given))
    nodes.until(lambda: 'training makes no progress' in nodes.levels['/learner: learning'][1])
    assert nodes.levels['/learner: learning'][0] == codec.ERROR
    # Without updates there is no credit: a collector that waits for it does not hang.
    assert 'no step' not in nodes.levels['/collector: collecting'][1]
    monkeypatch.setattr(
        collector._environment, 'step', lambda action: go_on.wait() and step(action))
    monkeypatch.setattr(learner._trainer.agent, 'update', update)
    go_on.set()
    go_on.clear()
    nodes.until(lambda: 'no step for' in nodes.levels['/collector: collecting'][1])
    assert nodes.levels['/collector: collecting'][0] == codec.ERROR
    go_on.set()
    nodes.until(lambda: nodes.levels['/learner: learning'][0] == codec.OK)
    # The learner's executor is stuck: alive, but it says nothing.
    nodes.until(lambda: 'no acknowledgement for' in nodes.levels['/collector: collecting'][1],
                but=(learner,))
    nodes.until(lambda: 'the learner says' not in nodes.levels['/collector: collecting'][1])


KINDS = {'learner': Learner, 'broadcaster': Broadcaster, 'collector': CollectorNode}


@pytest.mark.parametrize('order', list(permutations(KINDS)), ids=lambda order: '-'.join(order))
def test_every_order_of_starts_comes_to_work(start, order):
    nodes = start(learner__publish_period=0.05)
    made = {}
    for name in order:
        made[name] = nodes.add(KINDS[name]())
        nodes.spin(0.3)
    collector = made['collector']
    nodes.until(lambda: collector._collector.policy is not None, patience=10.0)
    first = collector._collector.policy.version
    nodes.until(lambda: collector._collector.policy.version > first, patience=10.0)
    # Who comes late is given what was said before.
    late = nodes.add(rclpy.create_node('late'))
    seen = []
    late.create_subscription(codec.Policy, 'policy/latest', seen.append, qos.POLICY)
    nodes.until(lambda: seen, but=(made['learner'], made['broadcaster']))


def test_what_does_not_match_is_named(start, capfd):
    nodes = start()
    nodes.add(Learner())
    stranger = nodes.add(rclpy.create_node('stranger'))
    other = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    stranger.create_publisher(codec.Transitions, 'transitions', other)
    told = ''

    def named() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return 'a publisher on transitions has an incompatible' in told

    nodes.until(named)
    assert '[ERROR]' in told
    nodes.until(lambda: 'waiting for collectors for' in nodes.levels[
        '/learner: learning'][1])
