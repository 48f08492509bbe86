# SPDX-License-Identifier: Apache-2.0
"""Training graph in real processes: kill, stop, resume without loss or leftovers."""

from collections.abc import Iterator
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest
from rosbags.highlevel import AnyReader
from stalls import Stalls, Witness
from training import Nodes, environment, processes

from rl_control.bringup.supervisor import Supervisor
from rl_control.learning import checkpoint
from rl_control.report.delivery_accounting import account, journaled, produced
from rl_control.ros import codec, qos
from rl_control.ros.journal import journal_files, read_journal
from rl_control.ros.journal_repair import scan

LEARNER, COLLECTOR = '/learner: learning', '/collector_0: collecting'


class Watched:
    """A graph, with a listener that polls its processes while it spins."""

    def __init__(self, out: Path, **more: object) -> None:
        self.nodes = Nodes({})
        self.latest: list[tuple[str, int]] = []
        self.published: dict[str, int] = {}  # collector run: rows seen on the topic
        listener = next(iter(self.nodes.executors))
        listener.create_subscription(
            codec.Policy, '/policy/latest',
            lambda message: self.latest.append(codec.decode_policy(message)[1:]), qos.POLICY)
        listener.create_subscription(
            codec.Transitions, '/transitions', self._on_transitions, qos.TRANSITIONS_INPUT)
        self.graph = Supervisor(processes(out, **more), environment())

    def until(self, condition, patience: float = 60.0) -> None:
        def looked() -> bool:
            assert self.graph.poll() is None
            return condition()
        self.nodes.until(looked, patience)

    def kill(self, name: str) -> None:
        pid = self.graph.pids[name]
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.graph.pids.get(name, pid) != pid)

    def end(self) -> None:
        self.graph.stop()
        self.nodes.end()

    def _on_transitions(self, message) -> None:
        table = codec.decode_table(message)
        origin = codec.Origin.from_header(table.header)
        self.published[origin.run] = max(
            self.published.get(origin.run, 0), origin.first_sequence + len(table.rows))


@pytest.fixture
def watched(ros_domain: int, tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.end()


def runs(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
    except FileNotFoundError:
        return False


def test_a_killed_learner_resumes_and_nothing_is_lost_or_doubled(watched, tmp_path):
    levels = watched.nodes.levels
    for _ in range(2):
        before = len(watched.latest)
        watched.until(lambda before=before: len(watched.latest) > before + 1 and list(
            (tmp_path / 'checkpoints').glob('[0-9]*')))
        watched.until(lambda: levels[COLLECTOR][0] == codec.OK)
        pids, witness = watched.graph.pids, Witness(0.05)
        stalls, killed = Stalls(witness, pids['collector_0']), time.monotonic()
        os.kill(pids['learner'], signal.SIGKILL)
        watched.until(lambda witness=witness: (
            witness.tick() or 'no learner' in levels[COLLECTOR][1]))
        took = time.monotonic() - killed
        assert took < 1.5 + stalls.seconds  # 1 s, and what this process adds
    before = len(watched.latest)
    watched.until(lambda: len(watched.latest) > before)
    watched.graph.stop()
    # What the learner did not stay for, on a busy machine, waits for the next start.
    (safe,) = journaled(tmp_path).values()
    assert account(tmp_path).lost == 0 and safe > 100
    learner = json.loads((tmp_path / 'learner.json').read_text())
    assert learner['transitions'] == safe
    (known,) = learner['collectors'].values()
    assert (known['received'], known['lost'], known['refused']) == (safe, 0, 0)
    versions = [version for _, version in watched.latest]
    assert versions == sorted(set(versions))
    assert {run for run, _ in watched.latest} == {learner['run']}
    assert len(journal_files(tmp_path / 'journal')) == 3


def test_a_killed_collector_leaves_a_truncated_episode_and_a_whole_bag(watched, tmp_path):
    # Few of its steps fall on an episode's end.
    watched.until(lambda: watched.published and max(watched.published.values()) > 250)
    (run,) = watched.published
    watched.kill('collector_0')
    # Not any warning: that no collector is there may still stand from the start.
    watched.until(lambda: 'collectors that died: 1' in watched.nodes.levels[LEARNER][1])
    learner = watched.graph.pids['learner']
    os.kill(learner, signal.SIGSTOP)  # between two flushes, of a bag that it goes on writing
    with AnyReader([tmp_path / 'journal']) as reader:
        assert sum(1 for _ in reader.messages()) > 3
    os.kill(learner, signal.SIGCONT)
    # What it had made and not yet handed over comes from the one that is started for it.
    watched.until(lambda: not (tmp_path / 'spill' / f'{run}.rows').exists())
    watched.graph.stop()
    assert journaled(tmp_path)[run] == produced(tmp_path)[run] >= watched.published[run]
    assert account(tmp_path).lost == 0
    last = None
    for topic, _, _, data in read_journal(tmp_path / 'journal'):
        if topic == '/transitions':
            table = codec.decode_table_cdr(data)
            if table.header['run'] == run and len(table.rows):
                last = dict(zip(table.columns, table.rows[-1], strict=True))
    # No step follows it and it is not terminated: bootstrap, but not from the next episode.
    assert last['terminated'] == 0.0


@pytest.mark.alone
@pytest.mark.parametrize('signals', [
    (signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)],
    ids=['Ctrl-C', 'twice', 'SIGTERM'])
def test_the_end_is_quick_and_saves_everything(ros_domain, tmp_path, signals):
    graph = subprocess.Popen(
        [sys.executable, '-m', 'rl_control', 'launch', 'train_sim', f'out:={tmp_path}',
         'robot:=gymnasium:Pendulum-v1', 'collectors:=1'],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 100.0  # a start is not judged
        while not list(tmp_path.glob('versions/*.onnx')):
            assert time.monotonic() < deadline and graph.poll() is None
            time.sleep(0.05)
        children = [int(pid) for pid in Path(
            f'/proc/{graph.pid}/task/{graph.pid}/children').read_text().split()]
        assert len(children) == 4 and all(map(runs, children))
        witness, stalled, began = Witness(), 0.0, time.monotonic()
        stalls, left = Stalls(witness, *children), list(signals)
        while graph.poll() is None:
            if left and time.monotonic() > began + 0.1 * (len(signals) - len(left)):
                graph.send_signal(left.pop(0))
            time.sleep(0.01)
            witness.tick()
            stalled = max(stalled, stalls.seconds)  # of those that have not ended
        took = time.monotonic() - began - stalled
        told = graph.communicate()[1]
    finally:
        graph.kill()
        graph.wait()
    assert 'Traceback' not in told and 'is killed' not in told, told
    assert took < 3.0
    assert graph.returncode == 130
    assert not any(map(runs, children))
    learner = json.loads((tmp_path / 'learner.json').read_text())
    assert checkpoint.latest(tmp_path / 'checkpoints').updates == learner['updates'] > 0
    assert produced(tmp_path) == journaled(tmp_path)
    for path in journal_files(tmp_path / 'journal'):
        with path.open('rb') as file:
            assert scan(file, path.name)[2], 'the journal was not finished'
    assert not list(tmp_path.glob('**/*.partial')) and not list((tmp_path / 'spill').iterdir())
