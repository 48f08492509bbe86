# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from recorded_rows import CONTRACT, rows

from rl_control.bags.dataset import Dataset
from rl_control.bags.minari import export_minari, import_minari
from rl_control.bags.minari_store import new_folder, require_name
from rl_control.cli import main
from rl_control.common.errors import InvalidInput
from rl_control.transport.transition_rows import TransitionRows


@pytest.fixture
def minari(tmp_path, monkeypatch):
    """Return Minari with a store of its own."""
    pytest.importorskip('h5py')
    pytest.importorskip('PIL')
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path / 'store'))
    return pytest.importorskip('minari')


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob('*'))


def recorded(count=10) -> Dataset:
    """Return one episode of an arm whose observations join."""
    made = rows(range(count))
    made[1:, 9:12] = made[:-1, -3:]
    made[:, 6:8] = 0.0
    return Dataset(CONTRACT, TransitionRows.read(made, CONTRACT), np.zeros(count, np.int64),
                   ('one',))


@pytest.mark.parametrize('name', ['reach-v0', 'arm/reach-v12', 'my_lab/arm/reach-fast-v1'])
def test_names_in_the_form_of_minari_are_accepted(name):
    require_name(name)


@pytest.mark.parametrize('name', [
    '', 'arm/reach', 'arm/reach-v', 'arm/reach-v01', 'a/reach-v0', '/reach-v0', 'arm//reach-v0',
    '../reach-v0', 'arm/re ach-v0', 'arm/reach-v0/', 'data/reach-v0', 'arm/data/reach-v0',
    'arm/reach-v0\n', 'arm/größe-v0'])
def test_other_names_are_rejected(name):
    with pytest.raises(InvalidInput, match='is no name of a Minari dataset; give NAMESPACE'):
        require_name(name)


def test_a_failed_write_leaves_the_store_as_it_was(tmp_path):
    (tmp_path / 'arm/old-v0/data').mkdir(parents=True)
    before = files(tmp_path)
    for name in ('arm/reach-v0', 'lab/iiwa/reach-v0', 'reach-v0'):
        with pytest.raises(KeyboardInterrupt), new_folder(tmp_path, name):
            (tmp_path / name / 'data').mkdir(parents=True)
            (tmp_path / name / 'data/metadata.json').touch()
            raise KeyboardInterrupt
        assert files(tmp_path) == before
    for name, words in (('arm/old-v0', 'already'), ('arm/old-v0/new-v0', 'within the Minari')):
        with pytest.raises(InvalidInput, match=words), new_folder(tmp_path, name):
            pass
    assert files(tmp_path) == before


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_a_bad_name_or_a_failure_leaves_the_store_readable(
    minari, tmp_path, monkeypatch, capsys,
):
    dataset = recorded()
    dataset.save(tmp_path / 'set')
    assert main(['bag', 'minari', str(tmp_path / 'set'), 'arm/good-v0']) == 0
    before = files(tmp_path / 'store')
    capsys.readouterr()
    assert main(['bag', 'minari', str(tmp_path / 'set'), 'arm/reach']) == 2
    assert "'arm/reach' is no name" in capsys.readouterr().err
    from minari.dataset.minari_storage import MinariStorage

    def full(*_):
        raise OSError('No space left on device')

    monkeypatch.setattr(MinariStorage, 'update_metadata', full)
    with pytest.raises(InvalidInput, match=r'cannot write .new/reach-v0. \(No space left'):
        export_minari(dataset, 'new/reach-v0')
    assert files(tmp_path / 'store') == before
    assert list(minari.list_local_datasets()) == ['arm/good-v0']
    assert len(import_minari('arm/good-v0')) == len(dataset)
