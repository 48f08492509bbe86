# SPDX-License-Identifier: Apache-2.0
"""Stale files of killed processes are found, and those of living processes are kept."""

import fcntl
import json
import mmap
import os
from pathlib import Path
import subprocess
import sys

import pytest

from rl_control.cli import main
from rl_control.common import stale_files
from rl_control.transport.spill_file import Identity, SpillFile

OLD = 10**9  # a time of modification, s


def made(path: Path, size: int = 0) -> Path:
    path.write_bytes(bytes(size))
    os.utime(path, (OLD, OLD))
    return path


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in the place of /dev/shm, with a dead segment and a dead port."""
    shared = tmp_path / 'shm'
    shared.mkdir()
    made(shared / 'fastdds_01ab', 500)
    made(shared / 'fastdds_01ab_el')
    made(shared / 'fastrtps_port7410', 300)
    made(shared / 'fastrtps_port7410_sl')
    made(shared / 'sem.fastrtps_port7410_mutex', 32)
    monkeypatch.setattr(stale_files.dead_segments, '__defaults__', (shared,))
    return shared


def test_segments_of_dead_processes_are_found(shared):
    found = stale_files.dead_segments()
    assert [(sorted(path.name for path in one.files), one.size) for one in found] == [
        (['fastdds_01ab', 'fastdds_01ab_el'], 500),
        (['fastrtps_port7410', 'fastrtps_port7410_sl', 'sem.fastrtps_port7410_mutex'], 332)]


def test_segments_of_living_processes_are_kept(shared):
    made(shared / 'fastdds_02', 100)
    held = os.open(made(shared / 'fastdds_02_el'), os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    mapped = os.open(made(shared / 'fastdds_03', 4096), os.O_RDWR)
    made(shared / 'fastdds_03_el')
    mapping = mmap.mmap(mapped, 4096)
    (shared / 'fastdds_04').write_bytes(b'x')  # both are young
    (shared / 'fastdds_04_el').write_bytes(b'')
    made(shared / 'fastdds_port7500', 10)  # has no lock
    made(shared / 'another_el')
    names = {path.name for one in stale_files.dead_segments() for path in one.files}
    assert not names & {'fastdds_02', 'fastdds_03', 'fastdds_04', 'fastdds_port7500', 'another'}
    assert len(names) == 5
    mapping.close()
    for descriptor in (held, mapped):
        os.close(descriptor)
    assert len(stale_files.dead_segments()) == 4


def test_a_real_participant_is_seen_alive_and_dead(ros_domain, monkeypatch):
    monkeypatch.setattr(stale_files, 'MIN_AGE', -1.0)
    program = 'import rclpy, time; rclpy.init(); node = rclpy.create_node("a")\n' \
        'print(flush=True); time.sleep(60)'
    before = {one.files for one in stale_files.dead_segments()}
    child = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE)
    child.stdout.readline()
    maps = Path(f'/proc/{child.pid}/maps').read_text().splitlines()
    theirs = [line.split()[-1] for line in maps if '/dev/shm/fast' in line]
    seen = {str(path) for one in stale_files.dead_segments() for path in one.files}
    child.kill()
    child.wait()
    child.stdout.close()
    assert theirs and not seen & set(theirs)
    dead = [one for one in stale_files.dead_segments() if one.files not in before]
    found = {str(path) for one in dead for path in one.files}
    assert found & set(theirs)
    stale_files.remove(path for one in dead if {str(path) for path in one.files} & set(theirs)
                     for path in one.files)
    assert not any(Path(path).exists() for path in found & set(theirs))


DEAD = 2**22 + 1  # above the highest process id


def begun(path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str) -> None:
    """Leave the files of a collector that was killed while it created its spill file."""
    with monkeypatch.context() as patch:
        patch.setattr(os, 'getpid', lambda: DEAD)
        patch.setattr(*{'link': (os, 'link'), 'unlink': (Path, 'unlink')}[killed_at],
                      lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            SpillFile.create(path, Identity('d', path.stem, ''), 2, 5, 5)
    os.utime(path.with_name(f'.{path.name}.{DEAD}.partial'), (OLD, OLD))


def test_the_doctor_reports_and_cleans(shared, tmp_path, capsys, monkeypatch):
    run, cache = tmp_path / 'run', tmp_path / 'cache' / 'rl_control'
    (run / 'spill').mkdir(parents=True)
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache.parent))
    for name in ('making-dead', 'making-living', 'making-young', 'made'):
        (cache / name / 'work').mkdir(parents=True)
        if name != 'making-young':
            os.utime(cache / name, (OLD, OLD))
    compiling = subprocess.Popen([
        sys.executable, '-S', '-c', 'input()', str(cache / 'making-living')],
        stdin=subprocess.PIPE)
    made(run / f'.best.onnx.{DEAD}.partial')
    made(run / f'.best.json.{os.getpid()}.partial')
    begun(run / 'spill' / 'd-1.rows', monkeypatch, 'link')
    begun(run / 'spill' / 'd-2.rows', monkeypatch, 'unlink')
    (run / 'spill' / 'd-2.rows').unlink()  # it was delivered; the other name keeps its space
    for name, rows in (('a-1', 3), ('b-1', 0)):
        file = SpillFile.create(
            run / 'spill' / f'{name}.rows', Identity(name[0], name, ''), 2, 5, 5)
        file.marks[1:] = rows
        file.close(remove=False)
    living = SpillFile.create(run / 'spill' / 'c-1.rows', Identity('c', 'c-1', ''), 2, 5, 5)

    def told(*more: str) -> dict[str, tuple[str, str]]:
        main(['doctor', str(run), '--json', *more])
        return {one['what']: (one['value'], one['remedy'])
                for one in json.loads(capsys.readouterr().out)}

    first = told()
    assert first['shared memory of dead processes'] == (
        '2 segments, 0 MiB', 'rl-control doctor --clean removes it')
    assert first[f'unfinished files in {run}'][0] == '3'
    assert first[f'unfinished compilations in {cache}'] == (
        '1', 'rl-control doctor --clean removes them')
    rows, remedy = first['rows that a did not deliver']
    assert rows == f'3 in {run}/spill/a-1.rows' and remedy.startswith(f'start a with out {run}')
    assert len(list(shared.iterdir())) == 5
    cleaned = told('--clean')
    assert cleaned['shared memory of dead processes'] == ('5 files removed, 0 MiB', '')
    assert list(shared.iterdir()) == []
    assert {path.name for path in cache.iterdir()} == {'making-living', 'making-young', 'made'}
    compiling.communicate(b'\n')
    assert [path.name for path in stale_files.dead_compilations()] == ['making-living']
    assert [path.name for path in sorted(run.rglob('*')) if path.is_file()] == [
        f'.best.json.{os.getpid()}.partial', 'a-1.rows', 'c-1.rows']
    living.close(remove=True)
