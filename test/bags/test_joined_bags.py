# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from recordings import ARRAY, JOINT_STATE, MS, POSE, START, array, joint_state, pose, record

from rl_control.bags.dataset import ROW_FIELDS, Dataset
from rl_control.bags.dataset_builder import make_dataset, open_bags
from rl_control.cli import main
from rl_control.common.errors import InvalidInput
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.make import NamedRobot

SECOND = 1000 * MS


def run_of(start=START, seed=0):
    """Return states and goal, and commands from 0.4 s later on, of 4 s of one run."""
    generator = np.random.default_rng(seed)
    times = start + np.arange(400) * 10 * MS + generator.integers(0, 5 * MS, 400)
    states = [(start, '/goal', POSE, pose(0.3, 0.2, 0.0))] + [
        (int(time), '/joint_states', JOINT_STATE, joint_state(
            ('shoulder', 'elbow'), np.array([0.3, 1.2]) + 0.3 * np.sin((time - start) * 1e-9),
            stamp=int(time) - MS)) for time in times]
    commands = [(int(time), '/velocity_controller/commands', ARRAY,
                 array(generator.uniform(-1.0, 1.0, 2))) for time in times[40::2] + 3 * MS]
    return states, commands


def made(tmp_path, name, paths, **settings):
    reports = []
    make_dataset(open_bags(paths), tmp_path / name, NamedRobot('two_joint', 'reach'),
                 SamplingSettings(command_interface='velocity', **settings), False,
                 reports.append)
    return Dataset.load(tmp_path / name), reports[0]


def by_receipt(messages):
    return sorted(messages, key=lambda message: message[0])


@pytest.mark.parametrize(('storage', 'order'), [('mcap', (0, 1)), ('sqlite3', (1, 0))])
def test_one_run_in_two_bags_gives_the_rows_of_one_bag(tmp_path, storage, order):
    states, commands = run_of()
    whole = record(tmp_path / 'whole', by_receipt(states + commands))
    halves = [record(tmp_path / 'states', states, storage),
              record(tmp_path / 'commands', [states[0], *commands], storage)]  # both have the goal
    expected, alone = made(tmp_path, 'one', [whole])
    found, report = made(tmp_path, 'two', [halves[index] for index in order])
    assert len(expected) > 30
    for name in ROW_FIELDS:
        assert np.array_equal(getattr(found.rows, name), getattr(expected.rows, name),
                              equal_nan=getattr(expected.rows, name).dtype.kind == 'f'), name
    for name, column in expected.extra.items():
        assert np.array_equal(found.extra[name], column), name
    joined, = report['bags']
    first, last = commands[0][0], min(states[-1][0], commands[-1][0])
    assert joined['overlap'] == pytest.approx((last - first) * 1e-9, abs=1e-6)
    assert all(str(half) in joined['bag'] for half in halves)
    assert joined['losses'] == {'files': [], 'messages': []}
    assert 'overlap' not in alone['bags'][0]
    assert {bag['path'] for bag in found.source['bags']} == {str(half) for half in halves}


def test_bags_of_several_runs_are_joined_run_by_run(tmp_path):
    runs = [run_of(START + number * 60 * SECOND, number) for number in range(3)]
    wholes = [record(tmp_path / f'whole{number}', by_receipt(states + commands))
              for number, (states, commands) in enumerate(runs)]
    halves = [[record(tmp_path / f'{kind}{number}', half) for number, half in enumerate(
        run[index] for run in runs)] for index, kind in enumerate(('states', 'commands'))]
    expected, _ = made(tmp_path, 'one', wholes)
    found, report = made(  # the run in the middle is one bag
        tmp_path, 'two', [halves[0][0], wholes[1], halves[0][2], halves[1][2], halves[1][0]])
    assert np.array_equal(found.stream, expected.stream)
    for name in ('episode', 'step', 'observation', 'action', 'next_observation', 'reward'):
        assert np.array_equal(getattr(found.rows, name), getattr(expected.rows, name)), name
    assert ['overlap' in bag for bag in report['bags']] == [True, False, True]


def test_bags_that_do_not_overlap_are_refused(tmp_path):
    states, _ = run_of()
    _, commands = run_of(START + 60 * SECOND)
    halves = [record(tmp_path / 'states', states), record(tmp_path / 'commands', commands)]
    with pytest.raises(InvalidInput, match=(
            r'states \(1700000000\.\d+ to 1700000003\.\d+ s\) lacks commands, .*commands '
            r'\(1700000060\.\d+ to 1700000063\.\d+ s\) lacks joint states, and no bag given has')):
        made(tmp_path, 'set', halves)
    assert not (tmp_path / 'set').exists()


def test_two_command_bags_of_one_time_are_refused(tmp_path):
    states, commands = run_of()
    paths = [record(tmp_path / 'states', states), record(tmp_path / 'commands', commands),
             record(tmp_path / 'again', commands)]
    with pytest.raises(InvalidInput, match=r'commands and .*again both have commands'):
        made(tmp_path, 'set', paths)


def test_states_without_commands_stay_alone_where_velocities_are_measured(tmp_path):
    runs = [run_of(START + number * 60 * SECOND, number) for number in range(2)]
    paths = [record(tmp_path / f'states{number}', states) for number, (states, _) in
             enumerate(runs)]
    _, report = made(tmp_path, 'apart', paths, action='measured')
    assert [bag['command'] for bag in report['bags']] == [None, None]
    _, report = made(tmp_path, 'joined', [
        *paths, record(tmp_path / 'commands', runs[1][1])], action='measured')
    assert [bag['command'] for bag in report['bags']] == [None, '/velocity_controller/commands']


def test_the_command_prints_the_join(tmp_path, capsys):
    states, commands = run_of()
    halves = [str(record(tmp_path / 'states', states)),
              str(record(tmp_path / 'commands', commands))]
    assert main(['bag', 'transitions', *halves, '--robot', 'two_joint', '--task', 'reach',
                 '--command-interface', 'velocity', '-o', str(tmp_path / 'set')]) == 0
    output = capsys.readouterr().out
    assert f'{halves[0]} + {halves[1]}\n    joined by receive time: ' in output
    overlap = (min(states[-1][0], commands[-1][0]) - commands[0][0]) * 1e-9
    assert f'states and commands overlap for {overlap:.2f} s' in output
