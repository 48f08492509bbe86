# SPDX-License-Identifier: Apache-2.0
"""The version store, and the broadcaster that owns it."""

from collections.abc import Iterator
import os
from pathlib import Path
import shutil

import numpy as np
import pytest
from training import Nodes, contract, exported, not_finite, parameters

from rl_control.common.errors import InvalidInput
from rl_control.nodes.broadcaster import Broadcaster
from rl_control.policies.onnx_policy import OnnxPolicy, load
from rl_control.policies.score import Score
from rl_control.policies.version_store import VersionStore
from rl_control.ros import codec, qos


def policy(version: int, run: str = 'run-1', seed: int = 0) -> OnnxPolicy:
    return OnnxPolicy(exported(version, run, seed))


def versions(out: Path, keep: int = 3) -> tuple[VersionStore, list[str]]:
    told: list[str] = []
    return VersionStore(out, keep, told.append), told


def on_disk(out: Path) -> list[int]:
    files = sorted((out / 'versions').iterdir())
    numbers = sorted(int(path.stem) for path in files if path.suffix == '.onnx')
    assert len(files) == 2 * len(numbers)
    return numbers


def test_the_newest_and_the_pinned_are_kept(tmp_path):
    kept, _ = versions(tmp_path)
    for version in (3, 5, 9, 12):
        kept.keep(policy(version))
        if version == 3:
            kept.pin(3)
    assert on_disk(tmp_path) == [3, 5, 9, 12]
    kept.pin(12)
    kept.keep(policy(20))
    assert on_disk(tmp_path) == [9, 12, 20]


def test_a_better_version_is_promoted_and_a_lucky_one_is_not(tmp_path):
    kept, _ = versions(tmp_path, keep=10)
    for version in (1, 2, 3, 4):
        kept.keep(policy(version))
    assert kept.promote(Score(1, 150, 147, -10.0))
    assert not kept.promote(Score(2, 10, 10, 0.0))
    assert kept.promote(Score(3, 150, 149, -10.0))
    assert not kept.promote(Score(4, 150, 149, -10.0))
    assert kept.promote(Score(4, 150, 149, -9.0))
    assert kept.best.version == 4
    # What is learned later of the best counts: then it may be outdone.
    assert not kept.promote(Score(4, 200, 150, -9.0))
    assert kept.promote(Score(2, 150, 140, 0.0))


def test_a_restart_restores_versions_best_and_withdrawn(tmp_path):
    kept, _ = versions(tmp_path)
    for version in (4, 7, 8):
        kept.keep(policy(version))
    kept.promote(Score(4, 50, 10, 0.0))
    kept.promote(Score(7, 50, 20, 0.0))
    again, told = versions(tmp_path)
    assert (again.newest.version, again.best.version, told) == (8, 7, [])
    assert again.score == Score(7, 50, 20, 0.0)
    assert not again.promote(Score(8, 50, 19, 0.0))
    assert again.rollback().version == 4
    with pytest.raises(ValueError, match='no former best to roll back to; nothing was changed'):
        again.rollback()
    again, _ = versions(tmp_path)
    assert (again.best.version, again.score.successes, again.withdrawn) == (4, 10, {7})
    assert not again.promote(Score(7, 500, 500, 0.0))
    assert again.promote(Score(8, 50, 19, 0.0))
    assert versions(tmp_path)[0].withdrawn == {7}


@pytest.mark.parametrize(('name', 'newest', 'best'), [
    ('versions/8.onnx', 4, 8), ('best.onnx', 8, 8), ('best.onnx.sha256', 8, 8),
    ('versions/8.onnx best.onnx', 4, 4),
    ('versions/8.onnx best.onnx versions/4.onnx', None, None)])
def test_a_corrupt_version_is_skipped(tmp_path, name, newest, best):
    kept, _ = versions(tmp_path)
    for version in (4, 8):
        kept.keep(policy(version))
        kept.promote(Score(version, 50, version, 0.0))
    for damaged in name.split():
        data = bytearray((tmp_path / damaged).read_bytes())
        data[20] ^= 1
        (tmp_path / damaged).write_bytes(data)
    again, told = versions(tmp_path)
    assert tuple(one and one.version for one in (again.newest, again.best)) == (newest, best)
    assert (again.score and again.score.successes) == best
    assert told and all('does not have the digest' in one for one in told)
    if best is not None:
        assert load(tmp_path / 'best.onnx').version == best


@pytest.mark.parametrize('content', [
    '', '[1]', '{"best": null}', '{"best": {"version": "../x"}}', '{"withdrawn": 3}'])
def test_an_invalid_standing_is_rejected(tmp_path, content):
    (tmp_path / 'best.json').write_text(content)
    with pytest.raises(
        InvalidInput, match=r'best\.json does not name the best version .*remove it'
    ):
        versions(tmp_path)


def failing(patch: pytest.MonkeyPatch, number: int, fault: type[BaseException]) -> list[str]:
    """Have the `number`th opening for writing, or renaming, fail; return what was done so far."""
    done: list[str] = []

    def wrap(name: str) -> None:
        def method(*arguments):
            if 'rb' not in arguments:
                done.append(name)
                if len(done) == number:
                    raise fault
            return real(*arguments)
        real = getattr(Path, name)
        patch.setattr(Path, name, method)

    wrap('open')
    wrap('replace')
    return done


@pytest.fixture(scope='module')
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what a broadcaster leaves whose best is 2, and was 1, and that has a 3."""
    out = tmp_path_factory.mktemp('judged')
    kept, _ = versions(out)
    for version in (1, 2, 3):
        kept.keep(policy(version))
    kept.promote(Score(1, 150, 100, 0.0))
    kept.promote(Score(2, 150, 120, 0.0))
    return out


@pytest.mark.parametrize('fault', [KeyboardInterrupt, OSError])
@pytest.mark.parametrize(('change', 'after'), [
    (lambda kept: kept.promote(Score(3, 150, 140, 0.0)), (3, Score(3, 150, 140, 0.0), set())),
    (lambda kept: kept.promote(Score(2, 300, 220, 0.0)), (2, Score(2, 300, 220, 0.0), set())),
    (lambda kept: kept.rollback(), (1, Score(1, 150, 100, 0.0), {2}))])
def test_a_change_of_the_best_happens_or_does_not_whatever_write_fails(
        judged, tmp_path, monkeypatch, fault, change, after):
    before, seen = (2, Score(2, 150, 120, 0.0), set()), []
    monkeypatch.setattr(os, 'fsync', lambda descriptor: None)
    for number in range(1, 100):
        out = shutil.copytree(judged, tmp_path / str(number))
        kept, _ = versions(out)
        raised = False
        with monkeypatch.context() as patch:
            done = failing(patch, number, fault)
            try:
                change(kept)
            except (KeyboardInterrupt, OSError):
                raised = True
        again, told = versions(out)
        seen.append((again.best.version, again.score, again.withdrawn))
        assert seen[-1] in (before, after)
        if fault is OSError:  # and the process goes on
            assert (kept.best.version, kept.score, kept.withdrawn) == seen[-1]
            assert seen[-1] == (before if raised else after)
        assert (out / 'best.onnx').read_bytes() == again.best.data
        if len(done) < number:
            break
    assert seen[0] == before and seen[-1] == after and not told


class Rig:
    """A broadcaster, and what a learner, an evaluator and an arm would see of it."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.node = next(iter(nodes.executors))
        self.latest: list[int] = []
        self.best: list[int] = []
        for name, seen in (('latest', self.latest), ('best', self.best)):
            self.node.create_subscription(
                codec.Policy, f'/policy/{name}',
                lambda message, seen=seen: seen.append(codec.decode_policy(message)[2]),
                qos.POLICY)
        self.withdrawn: list[frozenset[int]] = []
        self.node.create_subscription(
            codec.Policy, '/policy/best',
            lambda message: self.withdrawn.append(codec.read_withdrawn(message)), qos.POLICY)
        self._candidate = self.node.create_publisher(
            codec.Policy, '/policy/candidate', qos.POLICY)
        self._episodes = self.node.create_publisher(codec.Episodes, '/episodes', qos.EPISODES)
        self.begin()

    def begin(self) -> None:
        self.broadcaster = self.nodes.add(Broadcaster())
        self.nodes.until(lambda: self.broadcaster.count_publishers('/policy/candidate') > 0
                         and self.broadcaster.count_publishers('/episodes') > 0)

    def offer(self, version: int, run: str = 'run-1', data: bytes | None = None) -> None:
        data = exported(version, run) if data is None else data
        self._candidate.publish(codec.encode_policy(data, run, version))

    def offered(self, version: int) -> None:
        self.offer(version)
        self.nodes.until(lambda: version in self.latest)

    def episodes(self, version: int, successes: int, number: int, phase=codec.EVALUATION) -> None:
        rows = np.array([
            codec.EpisodeRow(k, 0.0, 10, float(k < successes), version, phase, 0.0).to_row()
            for k in range(number)])
        origin = codec.Origin('c', 'c-1', contract().hash)
        self._episodes.publish(codec.encode_table(codec.Table(
            codec.EPISODE_COLUMNS, rows, origin.to_header())))

    def said(self, sentence: str) -> None:
        counts = self.broadcaster._rejections.counts
        self.nodes.until(lambda: any(sentence in told for told in counts))


@pytest.fixture
def rig(ros_domain: int, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(Nodes(parameters(tmp_path, broadcaster__keep=4)))
    yield made
    made.nodes.end()


def test_versions_strictly_increase_and_others_are_refused(rig: Rig):
    rig.offered(5)
    for count, version in enumerate((5, 4, 5)):
        rig.offer(version)
        rig.nodes.until(lambda count=count: rig.broadcaster._stale == count + 1)
    rig.offer(6, run='another')
    rig.said('candidate is of run another but run run-1 is broadcast; stop one learner')
    rig.offer(7, data=exported(6))
    rig.said('candidate is 7 of run-1 but its file is version 6 of run-1')
    rig.offer(8, data=not_finite(8))
    rig.said('candidate 8 has NaN or infinity in its weights')
    damaged = codec.encode_policy(exported(9), 'run-1', 9)
    damaged.data[100] ^= 1
    rig._candidate.publish(damaged)
    rig.said('it was damaged in transit')
    rig.offered(10)
    assert rig.latest == [5, 10]


def test_a_restart_serves_late_joiners_at_once(rig: Rig):
    for version in (5, 8):
        rig.offered(version)
    rig.episodes(8, 20, 50)
    rig.episodes(0, 0, 1, codec.TRAINING)
    rig.nodes.until(lambda: rig.best == [8])
    rig.nodes.close(rig.broadcaster)
    rig.begin()
    rig.nodes.until(lambda: (rig.latest, rig.best) == ([5, 8, 8], [8, 8]))
    rig.offer(7)
    rig.nodes.until(lambda: rig.broadcaster._stale == 1)
    rig.offered(9)
    assert rig.latest == [5, 8, 8, 9]


def test_a_promoted_version_is_ranked_by_all_its_episodes_and_rolled_back(rig: Rig):
    for version in (5, 6, 7):
        rig.offered(version)
    rig.episodes(5, 48, 50)
    rig.nodes.spin(0.3)
    assert rig.best == []  # its confirmation may be still to come
    rig.episodes(6, 50, 50)
    rig.nodes.until(lambda: rig.best == [5])
    rig.episodes(6, 80, 100, codec.CONFIRMATION)  # 130 of 150: luck, before
    rig.episodes(7, 49, 50)
    rig.nodes.spin(0.3)
    rig.episodes(7, 99, 100, codec.CONFIRMATION)
    rig.nodes.until(lambda: rig.best == [5, 7])
    client = rig.node.create_client(codec.Trigger, '/broadcaster/rollback')
    rig.nodes.until(client.service_is_ready)
    answers = []
    for _ in range(2):
        future = client.call_async(codec.Trigger.Request())
        rig.nodes.until(future.done)
        answers.append((future.result().success, future.result().message))
    assert answers == [
        (True, 'version 5 is the best again'),
        (False, 'there is no former best to roll back to; nothing was changed')]
    rig.nodes.until(lambda: rig.best == [5, 7, 5])
    assert rig.withdrawn == [frozenset(), frozenset(), {7}]


def test_on_a_full_disk_a_version_is_published_but_not_stored(rig: Rig, monkeypatch):
    rig.offered(5)
    with monkeypatch.context() as patch:
        patch.setattr(OnnxPolicy, 'save', lambda *_: (_ for _ in ()).throw(
            OSError(28, 'No space left on device')))
        rig.offered(6)
        name = '/broadcaster: broadcasting'
        rig.nodes.until(lambda: rig.nodes.levels[name][0] == codec.ERROR)
        assert 'version 6 is not kept (No space left on device)' in rig.nodes.levels[name][1]
    rig.offered(7)
    rig.nodes.until(lambda: rig.nodes.levels[name][0] == codec.OK)
