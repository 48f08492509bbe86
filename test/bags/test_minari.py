# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gymnasium
from gymnasium.spaces import Box
from gymnasium.wrappers import RecordEpisodeStatistics, RescaleAction
import numpy as np
import pytest
from recorded_rows import CONTRACT, rows

from rl_control.bags.dataset import Dataset
from rl_control.bags.minari import _join, export_minari, import_minari
from rl_control.bags.minari_environment import contract_of, specification
from rl_control.bags.minari_store import new_folder, require_name
from rl_control.cli import main
from rl_control.common.errors import InvalidInput
from rl_control.environments.gymnasium import GymnasiumEnvironment
from rl_control.environments.make import load_arm
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


def played(environment, rng, steps, ends='truncated') -> Dataset:
    """Return one episode of random actions in `environment`."""
    contract = environment.contract
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    observation = [environment.reset(rng)]
    action = rng.uniform(low, high, (steps, len(low)))
    outcomes = [environment.step(one) for one in action]
    observation += [outcome.observation for outcome in outcomes]
    last = np.arange(steps) == steps - 1
    none = np.zeros(steps, bool)
    return Dataset(contract, TransitionRows(
        observation=np.array(observation[:-1]), next_observation=np.array(observation[1:]),
        action=action, applied=action, reward=np.array([one.reward for one in outcomes]),
        terminated=last & (ends == 'terminated'), truncated=last & (ends == 'truncated'),
        intervention=none, stamp=0.05 * np.arange(steps), version=np.full(steps, -1),
        log_prob=np.full(steps, np.nan), episode=np.zeros(steps, np.int64),
        step=np.arange(steps)), np.zeros(steps, np.int64), ('one',))


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


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_an_export_brings_the_environment_back(minari):
    environment = GymnasiumEnvironment('Pendulum-v1?g=1.6')
    rng = np.random.default_rng(0)
    dataset = played(environment, rng, steps=5, ends='truncated')
    dataset.rows.terminated[-1] = True  # both at once: d3rlpy accepts one of them
    export_minari(dataset, 'pendulum/moon-v0')
    found = minari.load_dataset('pendulum/moon-v0')
    world = found.recover_environment()
    assert (world.unwrapped.g, world.spec.max_episode_steps) == (1.6, 200)
    episode, = found.iterate_episodes()
    assert not (episode.terminations & episode.truncations).any()
    assert import_minari('pendulum/moon-v0').rows.truncated[-1]  # as it was recorded


def test_the_specification_of_a_contract_makes_its_environment_again():
    environment = GymnasiumEnvironment('Pendulum-v1?g=1.6&max_episode_steps=25')
    found = specification(environment.contract)
    assert (found.id, found.kwargs, found.max_episode_steps) == ('Pendulum-v1', {'g': 1.6}, 25)
    world = gymnasium.make(type(found).from_json(found.to_json()))
    assert (world.unwrapped.g, world.spec.max_episode_steps) == (1.6, 25)
    other = replace(environment.contract, action_high=(1.0,))
    with pytest.raises(InvalidInput, match='has another contract here'):
        specification(other)


def test_the_specification_of_an_arm_is_that_of_its_task():
    arm = load_arm('two_joint', 'reach')
    found = specification(arm.contract())
    assert (found.id, found.kwargs['robot']) == ('rl_control/Reach-v0', 'two_joint')
    assert found.max_episode_steps * arm.control_period == pytest.approx(
        arm.task.settings.episode_period)
    with pytest.raises(InvalidInput, match='is not registered with Gymnasium'):
        specification(replace(arm.contract(), task='weld'))


def contract_recorded_in(world):
    """Return the contract, and the differences, of a dataset that was recorded in `world`."""
    return contract_of('odd/set-v0', world.observation_space, world.action_space, world.spec)


@pytest.mark.parametrize(('world', 'name'), [
    (lambda: gymnasium.make('Pendulum-v1'), 'Pendulum-v1'),
    (lambda: RecordEpisodeStatistics(gymnasium.make('Pendulum-v1')), 'Pendulum-v1'),
    (lambda: gymnasium.make('Pendulum-v1', g=1.6), 'Pendulum-v1?g=1.6'),
    (lambda: gymnasium.make('Pendulum-v1', max_episode_steps=25),
     'Pendulum-v1?max_episode_steps=25')])
def test_a_dataset_has_the_contract_of_the_environment_it_was_recorded_in(world, name):
    contract, said = contract_recorded_in(world())
    assert not said
    assert contract == GymnasiumEnvironment(name).contract
    assert contract.robot == f'gymnasium:{name}'


def test_what_another_environment_was_is_said_and_its_policies_do_not_fit_the_plain_one():
    world = RescaleAction(gymnasium.make('Pendulum-v1'), np.float32(-1.0), np.float32(1.0))
    contract, said = contract_recorded_in(world)
    plain = GymnasiumEnvironment('Pendulum-v1').contract
    assert (contract.action_low, contract.action_high) == ((-1.0,), (1.0,))
    assert (contract.robot, contract.control_period) == (
        'minari:odd/set-v0', plain.control_period)
    assert contract.hash != plain.hash
    assert said == [
        'recorded through RescaleAction, which gymnasium:Pendulum-v1 lacks',
        'actions from [-1.0] to [1.0], those of gymnasium:Pendulum-v1 are [-2.0] to [2.0]',
        'its robot is therefore minari:odd/set-v0']


def test_spaces_that_cannot_be_used_and_environments_that_are_not_here_are_named():
    vector, wide = Box(-1.0, 1.0, (2,)), Box(-np.inf, np.inf, (2,))
    contract, said = contract_of('odd/set-v0', wide, vector, None)
    assert contract.robot == 'minari:odd/set-v0' and 'no environment is named' in said[0]
    elsewhere = gymnasium.envs.registration.EnvSpec('Elsewhere-v3', entry_point='x:Y')
    contract, said = contract_of('odd/set-v0', wide, vector, elsewhere)
    assert contract.task == 'Elsewhere-v3' and 'rate of 20 Hz is assumed' in said[0]
    with pytest.raises(InvalidInput, match='too wide to be scaled'):
        contract_of('odd/set-v0', vector, wide, None)
    with pytest.raises(InvalidInput, match='observations and actions are vectors'):
        contract_of('odd/set-v0', Box(-1.0, 1.0, (2, 2)), vector, None)


def an_episode(number, steps=6, **changes) -> SimpleNamespace:
    """Return an episode as Minari gives it, two observations and one action a row."""
    rng = np.random.default_rng(number)
    return SimpleNamespace(**{
        'id': number, 'observations': rng.normal(size=(steps + 1, 3)).astype(np.float32),
        'actions': rng.uniform(-2.0, 2.0, (steps, 1)).astype(np.float32),
        'rewards': np.arange(steps, dtype=float), 'terminations': np.zeros(steps, bool),
        'truncations': np.arange(steps) == steps - 1, 'infos': {}, **changes})


def joined(*episodes):
    return _join(episodes, GymnasiumEnvironment('Pendulum-v1').contract, foreign=True)


def test_imported_actions_beyond_their_bounds_are_left_out_and_counted():
    actions = np.array([[0.0], [2.1], [-2.0], [2.0 + 1e-6], [-9.0], [1.0]])
    columns, refused, _ = joined(an_episode(0, actions=actions), an_episode(1))
    assert columns['action'][:4, 0].tolist() == [0.0, -2.0, 2.0 + 1e-6, 1.0]
    assert columns['step'][:4].tolist() == [0, 2, 3, 5]  # a gap ends the piece
    assert dict(refused) == {"the action is beyond the contract's bounds": 2}
    assert len(columns['step']) == 10


@pytest.mark.parametrize('changes', [
    {'observations': np.zeros((6, 3))}, {'observations': np.zeros((7, 2))},
    {'rewards': np.zeros(5)}, {'terminations': np.zeros(7, bool)},
    {'truncations': np.zeros((6, 1), bool)}, {'actions': np.zeros((6, 2))}])
def test_imported_episodes_of_unequal_lengths_are_left_out_and_counted(changes):
    columns, refused, _ = joined(an_episode(0, **changes), an_episode(1))
    assert set(columns['episode']) == {1}
    assert refused.total() == 6


def test_imported_episodes_without_an_end_are_truncated_there():
    columns, refused, open_ends = joined(
        an_episode(0, truncations=np.zeros(6, bool)), an_episode(1),
        an_episode(2, truncations=np.zeros(6, bool), terminations=np.arange(6) == 5))
    assert np.flatnonzero(columns['truncated']).tolist() == [5, 11]
    assert (open_ends, refused.total()) == (1, 0)


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_an_import_says_what_it_left_out(minari, tmp_path, capsys):
    made = [an_episode(0), an_episode(1)]
    made[0].actions[2] = 3.0
    for episode in made:
        episode.truncations[:] = False
    buffers = [minari.data_collector.EpisodeBuffer(**{
        key: value for key, value in vars(episode).items() if key != 'infos'})
        for episode in made]
    minari.create_dataset_from_buffers(
        'odd/open-v0', buffers, observation_space=Box(-9, 9, (3,)), action_space=Box(-2, 2, (1,)))
    assert main(['bag', 'from-minari', 'odd/open-v0', '-o', str(tmp_path / 'set')]) == 0
    said = capsys.readouterr().out
    assert '11 transitions of minari:odd/open-v0' in said
    assert "1 rows rejected: the action is beyond the contract's bounds" in said
    assert '2 episodes end neither terminated nor truncated' in said
    assert len(Dataset.load(tmp_path / 'set')) == 11
