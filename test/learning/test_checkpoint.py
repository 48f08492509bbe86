# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are whole, or are not there."""

import json
import logging
import multiprocessing
import os
from pathlib import Path
import signal

import pytest
import torch

from rl_control.common.errors import InvalidInput
from rl_control.learning import checkpoint

TENSORS = {
    'a': torch.randn(3, 4), 'b': torch.tensor(7), 'c': torch.arange(5, dtype=torch.uint8),
    'd': torch.randn(4, 3).double().t(), 'e': torch.tensor(True),
}


def _save(directory: Path, updates: int, value: int = 0, **values) -> Path:
    state = {'value': value, 'pi': 0.1 + 0.2}
    return checkpoint.save(directory, updates, TENSORS, state, **values)


def test_load_returns_what_was_saved(tmp_path):
    path = _save(tmp_path / 'new' / 'checkpoints', 12, 2**70)
    loaded = checkpoint.load(path)
    assert loaded.updates == 12 and loaded.path == path
    assert loaded.state == {'value': 2**70, 'pi': 0.1 + 0.2}
    assert loaded.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor)


def test_the_newest_by_number_and_only_two_are_kept(tmp_path):
    for updates in (5, 9, 10, 100):
        _save(tmp_path, updates)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['10', '100']
    assert checkpoint.latest(tmp_path).updates == 100


def test_the_same_number_is_replaced(tmp_path):
    _save(tmp_path, 5, 1)
    _save(tmp_path, 5, 2)
    assert [path.name for path in tmp_path.iterdir()] == ['5']
    assert checkpoint.latest(tmp_path).state['value'] == 2


def test_latest_of_nothing(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.latest(tmp_path / 'absent') is None
    (tmp_path / 'notes').mkdir()
    assert checkpoint.latest(tmp_path) is None


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize('damage', [_truncate, _flip, Path.unlink])
@pytest.mark.parametrize('name', ['tensors.safetensors', 'state.json', 'manifest.json'])
def test_a_damaged_one_is_refused_and_passed_over(tmp_path, caplog, damage, name):
    _save(tmp_path, 1)
    path = _save(tmp_path, 2)
    damage(path / name)
    with pytest.raises(InvalidInput, match=f'checkpoint {path}') as refused:
        checkpoint.load(path)
    assert '\n' not in str(refused.value)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.latest(tmp_path).updates == 1
    assert str(path) in caplog.text
    # The damaged one does not count among the two that stay.
    _save(tmp_path, 3)
    assert {'1', '3'} <= {path.name for path in tmp_path.iterdir()}


def test_wrong_content_with_a_right_digest_is_refused(tmp_path):
    path = _save(tmp_path, 1)
    (path / 'tensors.safetensors').write_bytes(b'\xff' * 100)
    manifest = json.loads((path / 'manifest.json').read_text())
    manifest['tensors.safetensors'] = checkpoint.digest(b'\xff' * 100)
    (path / 'manifest.json').write_text(json.dumps(manifest))
    with pytest.raises(InvalidInput, match='is corrupt'):
        checkpoint.load(path)
    (path / 'manifest.json').write_text('[1]')
    with pytest.raises(InvalidInput, match='is corrupt'):
        checkpoint.load(path)


def test_leftovers_are_not_read_and_go(tmp_path):
    _save(tmp_path, 3)
    for name in ('4.partial', '5.old'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'state.json').write_text('{}')
    assert checkpoint.latest(tmp_path).updates == 3
    _save(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['3', '4']


def test_a_disk_that_refuses_leaves_the_old_one(tmp_path, monkeypatch):
    _save(tmp_path, 3)

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(checkpoint, 'write_atomically', full)
    with pytest.raises(OSError, match='No space left'):
        _save(tmp_path, 4)
    assert [path.name for path in tmp_path.iterdir()] == ['3']
    assert checkpoint.latest(tmp_path).updates == 3


def _save_for_ever(directory: Path) -> None:
    for updates in range(1, 10**6):
        _save(directory, updates)


def test_killed_while_saving(tmp_path):
    """SIGKILL at any moment leaves a newest checkpoint that is whole."""
    spawn = multiprocessing.get_context('fork')
    seen = 0
    for delay in (0.15, 0.21, 0.26, 0.33):
        child = spawn.Process(target=_save_for_ever, args=(tmp_path,))
        child.start()
        child.join(delay)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        found = checkpoint.latest(tmp_path)
        if found is not None:
            seen += 1
            assert found.state['value'] == 0
    assert seen
