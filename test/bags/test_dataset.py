# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import importlib.util
import json

import numpy as np
import pytest
from recorded_rows import CONTRACT, message, rows
from recordings import ARRAY, JOINT_STATE, MS, POSE, START, array, joint_state, pose, record

from rl_control.bags.dataset import (
    ROW_FIELDS,
    Dataset,
    DatasetWriter,
    describe,
    pieces,
    read_parts,
)
from rl_control.bags.minari import episodes, export_minari, import_minari
from rl_control.cli import main
from rl_control.common.errors import InvalidInput
from rl_control.environments.make import load_arm
from rl_control.transport.transition_rows import TransitionRows


def some(count=300, seed=0) -> Dataset:
    """Return transitions of two streams that join within episodes of 50."""
    made = rows(range(count), seed)
    made[1:, 9:12] = made[:-1, -3:]  # observation = the next one of before
    made[:, 7] = 0.0
    made[49::50, 7] = 1.0
    made[149, 6:8] = 1.0, 0.0
    stream = (np.arange(count) >= count // 2).astype(np.int64)
    return Dataset(CONTRACT, TransitionRows.read(made, CONTRACT), stream, ('one', 'two'),
                   {'from': 'here'}, {'share': 0.5}, {'age': np.linspace(0.0, 1.0, count)})


def assert_same(one: Dataset, other: Dataset) -> None:
    for name in ROW_FIELDS:
        assert np.array_equal(getattr(one.rows, name), getattr(other.rows, name),
                              equal_nan=getattr(one.rows, name).dtype.kind == 'f'), name
    assert np.array_equal(one.stream, other.stream)
    assert one.contract == other.contract


def test_what_is_saved_is_loaded(tmp_path):
    dataset = some()
    dataset.save(tmp_path / 'set')
    found = Dataset.load(tmp_path / 'set')
    assert_same(dataset, found)
    assert np.array_equal(found.extra['age'], dataset.extra['age'])
    assert (found.streams, found.source, found.report) == (
        ('one', 'two'), {'from': 'here'}, {'share': 0.5})
    dataset.save(tmp_path / 'again')
    assert found.digest == Dataset.load(tmp_path / 'again').digest and len(found.digest) == 64


def test_shards_are_joined_in_order_and_read_one_by_one(tmp_path):
    dataset = some()
    with DatasetWriter(tmp_path / 'set', CONTRACT, shard_rows=64) as writer:
        for start in range(0, 300, 30):
            part = TransitionRows(**{
                name: getattr(dataset.rows, name)[start:start + 30] for name in ROW_FIELDS})
            writer.add(dataset.streams[start // 150], part)
        writer.finish({}, {})
    assert_same(dataset, Dataset.load(tmp_path / 'set'))
    sizes = [len(part['stream']) for part in
             read_parts(tmp_path / 'set', describe(tmp_path / 'set'))]
    assert sizes == [90, 90, 90, 30]


def test_a_dataset_is_there_whole_or_not_at_all(tmp_path):
    dataset = some()
    with pytest.raises(RuntimeError), DatasetWriter(tmp_path / 'set', CONTRACT) as writer:
        writer.add('one', dataset.rows)
        raise RuntimeError('the power fails')
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidInput, match='no transitions were made'), DatasetWriter(
            tmp_path / 'set', CONTRACT) as writer:
        writer.finish({}, {})
    dataset.save(tmp_path / 'set')
    with pytest.raises(InvalidInput, match='exists; name a new directory'):
        dataset.save(tmp_path / 'set')


def test_damage_is_refused(tmp_path):
    some().save(tmp_path / 'set')
    shard = tmp_path / 'set' / 'transitions-00000.safetensors'
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InvalidInput, match=r'has another digest than dataset.json says'):
        Dataset.load(tmp_path / 'set')
    shard.unlink()
    with pytest.raises(InvalidInput, match='cannot be read'):
        Dataset.load(tmp_path / 'set')
    description = tmp_path / 'set' / 'dataset.json'
    for text in ('', '[]', '{}', '{"format": 99}'):
        description.write_text(text)
        with pytest.raises(InvalidInput, match='is no dataset'):
            Dataset.load(tmp_path / 'set')
    with pytest.raises(InvalidInput, match='is no dataset'):
        Dataset.load(tmp_path / 'nothing')


def test_episodes_are_unbroken_pieces():
    dataset = some()
    for found in (pieces(dataset), episodes(dataset)):
        assert [piece.tolist() for piece in found] == [
            list(range(start, start + 50)) for start in range(0, 300, 50)]
    # Two collectors' rows by turns, as they come from a bag, 64 at a time.
    order = np.argsort(np.arange(300) % 150 // 64, kind='stable')
    mixed = replace(dataset, stream=dataset.stream[order], rows=TransitionRows(**{
        name: getattr(dataset.rows, name)[order] for name in ROW_FIELDS}))
    assert (np.diff(mixed.stream) != 0).sum() == 5
    for found in (pieces(mixed), episodes(mixed)):
        assert [order[piece].tolist() for piece in found] == [
            list(range(start, start + 50)) for start in range(0, 300, 50)]
    step = dataset.rows.step.copy()
    step[70:] += 1  # a row is missing
    broken = replace(dataset, rows=replace(dataset.rows, step=step))
    for found in (pieces(broken), episodes(broken)):
        assert [len(piece) for piece in found] == [50, 20, 30, 50, 50, 50, 50]
    moved = dataset.rows.next_observation.copy()
    moved[10] += 1.0  # another goal from here on
    broken = replace(dataset, rows=replace(dataset.rows, next_observation=moved))
    assert [len(piece) for piece in episodes(broken)][:3] == [11, 39, 50]
    assert len(pieces(broken)) == 6  # for learning it goes on


needs_minari = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ('minari', 'h5py')),
    reason='Minari, an optional package, is not installed')


@needs_minari
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_minari_gives_back_what_it_got(tmp_path, monkeypatch):
    import minari

    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path))
    dataset = some()
    assert export_minari(dataset, 'arm/reach-v0') == 6
    assert_same(dataset, import_minari('arm/reach-v0'))
    # And what others read is an episode of theirs, with its end.
    output = list(minari.load_dataset('arm/reach-v0').iterate_episodes())
    assert [len(episode) for episode in output] == [50] * 6
    assert np.array_equal(output[1].observations[:-1], dataset.rows.observation[50:100])
    assert np.array_equal(output[1].observations[-1], dataset.rows.next_observation[99])
    assert np.array_equal(output[1].rewards, dataset.rows.reward[50:100])
    assert [bool(episode.terminations[-1]) for episode in output] == [
        False, False, True, False, False, False]
    assert [bool(episode.truncations[-1]) for episode in output] == [
        True, True, False, True, True, True]
    with pytest.raises(InvalidInput, match=r'has .arm/reach-v0. already'):
        export_minari(dataset, 'arm/reach-v0')
    with pytest.raises(InvalidInput, match='Minari has no dataset'):
        import_minari('arm/push-v0')


@needs_minari
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_a_foreign_minari_dataset_is_described_by_its_spaces(tmp_path, monkeypatch):
    from gymnasium.spaces import Box, Discrete
    import minari
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path))
    made = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)
    buffer = EpisodeBuffer(
        observations=made, actions=np.clip(made[:-1, :2], -1.0, 2.0), rewards=list(range(10)),
        terminations=[False] * 9 + [True], truncations=[False] * 10,
        infos={'stamp': np.full(11, 7.0)})
    for name, space in (('good', Box(-1.0, 2.0, (2,), np.float32)), ('bad', Discrete(3))):
        minari.create_dataset_from_buffers(
            f'{name}-v0', [buffer], observation_space=Box(-9, 9, (3,), np.float32),
            action_space=space)
    found = import_minari('good-v0')
    assert np.array_equal(found.rows.next_observation, made[1:].astype(float))
    assert found.rows.terminated.tolist() == [False] * 9 + [True]
    assert found.rows.step.tolist() == list(range(10)) and np.isnan(found.rows.log_prob).all()
    assert (found.contract.action_low, found.contract.action_high) == ((-1.0,) * 2, (2.0,) * 2)
    with pytest.raises(InvalidInput, match='whose observations and actions are vectors'):
        import_minari('bad-v0')
    buffer.rewards[4] = -1e39
    minari.create_dataset_from_buffers(
        'large-v0', [buffer], observation_space=Box(-9, 9, (3,), np.float32),
        action_space=Box(-1.0, 2.0, (2,), np.float32))
    with pytest.raises(
        InvalidInput, match=r"'large-v0' has 1 rows whose reward is not .* row 4; make"
    ):
        import_minari('large-v0')


def test_without_minari_the_remedy_is_named(monkeypatch):
    import builtins

    real = builtins.__import__
    monkeypatch.setattr(builtins, '__import__', lambda name, *rest: (
        (_ for _ in ()).throw(ImportError(name)) if name in ('minari', 'h5py')
        else real(name, *rest)))
    with pytest.raises(InvalidInput, match=r'pip install .minari'):
        export_minari(some(), 'arm/reach-v0')


def test_the_command_makes_a_dataset_of_a_robots_topics(tmp_path, capsys):
    names = load_arm('panda', 'reach').settings.joint_names
    at = np.array([0.0, -0.3, 0.0, -2.2, 0.0, 2.0, 0.785])
    messages = [(START, '/goal', POSE, pose(0.4, 0.0, 0.5, frame='panda_link0'))]
    for n in range(400):
        messages += [
            (START + n * 10 * MS, '/joint_states', JOINT_STATE,
             joint_state(('finger', *names), (0.02, *at), np.zeros(8))),
            (START + n * 10 * MS + 1, '/panda/position_commands', ARRAY, array(at))]
    bag, out = record(tmp_path / 'bag', messages, 'sqlite3'), tmp_path / 'set'
    arguments = ['bag', 'transitions', str(bag), '--robot', 'panda', '--task', 'reach']
    assert main([*arguments, '-o', str(out), '--time', 'receive']) == 0
    output = capsys.readouterr().out
    assert "resampled from a robot's topics" in output and 'transitions, digest' in output
    found = Dataset.load(out)
    assert found.contract == load_arm('panda', 'reach').contract() and len(found) > 70
    assert found.source['settings']['time'] == 'receive'
    assert main([*arguments, '-o', str(out)]) == 2
    assert 'exists; name a new directory' in capsys.readouterr().err
    assert main([*arguments, '-o', str(tmp_path / 'more'), '--goal', '0.4', '0', '0.5',
                 '--json', '--command-joints', ','.join(names)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts['report']['bags'][0]['goal'] == 'given'
    assert main(['bag', 'info', str(bag)]) == 0
    assert '/joint_states (sensor_msgs/msg/JointState, cdr)' in capsys.readouterr().out
    assert main(['bag', 'info', str(bag), '--json']) == 0
    assert json.loads(capsys.readouterr().out)['messages'] == 801


def test_the_command_says_why_there_are_no_transitions(tmp_path, capsys):
    messages = [(START + n * 10 * MS, topic, kind, data) for n in range(50)
                for topic, kind, data in (
                    ('/joint_states', JOINT_STATE, joint_state(('q1',), (0.0,))),
                    ('/commands', ARRAY, array((0.0,))))]
    bag = record(tmp_path / 'bag', messages)
    assert main(['bag', 'transitions', str(bag), '--robot', 'panda', '--goal', '0', '0', '0',
                 '-o', str(tmp_path / 'set')]) == 2
    output = capsys.readouterr()
    assert ('lost: 50 messages of /joint_states: lacks joint panda_joint1 (it names q1)'
            in output.err)
    assert 'no transitions were made' in output.err and not (tmp_path / 'set').exists()


def test_the_command_takes_our_own_tables_as_they_are(tmp_path, capsys):
    bag = record(tmp_path / 'bag', [message(range(64))])
    assert main(['bag', 'transitions', str(bag), '--robot', 'iiwa', '--task', 'reach',
                 '-o', str(tmp_path / 'set')]) == 2
    assert 'give the robot and task of the recording' in capsys.readouterr().err
