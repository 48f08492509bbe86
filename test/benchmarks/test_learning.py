# SPDX-License-Identifier: Apache-2.0
"""The benchmark of learning with budgets of seconds: runs, resumption, statistics."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.learning.cells import CELLS, OURS, PEER, Run, with_settings
from benchmarks.learning.report import draw, runs_of, table
from benchmarks.learning.results import Result, load, save
from benchmarks.learning.running import train_one
from rl_control.common.statistics import bootstrap_interval, interquartile_mean

TINY = {'hidden_sizes': [8, 8], 'batch_size': 4, 'learning_starts': 10, 'replay_capacity': 60}


def tiny(name: str):
    """Return a cell with the smallest budget in which each of its entries makes updates."""
    cell = replace(CELLS[name], steps=60, interval=30, episodes=1, final_episodes=2)
    return with_settings(cell, TINY)


@pytest.mark.parametrize('name', ['pendulum', 'reach', 'reach_third', 'reach_sparse'])
def test_each_entry_trains_and_is_evaluated(name):
    cell = tiny(name)
    for label in cell.entries:
        reported = []
        result = train_one(Run(cell, OURS, label, seed=3), reported.append)
        assert result.step == reported == [30, 60]
        assert np.isfinite(result.returns).all() and max(result.returns) <= 0.0
        assert all(0.0 <= success <= 1.0 for success in result.successes)


def test_a_run_is_repeatable():
    run = Run(tiny('pendulum'), OURS, 'td3', seed=3)
    first, again = (train_one(run, lambda step: None) for _ in range(2))
    assert first.returns == again.returns
    other = train_one(replace(run, seed=4), lambda step: None)
    assert other.returns != first.returns


def made_up(run: Run, last: float) -> Result:
    return Result(*run.key, '0', {}, [30, 60], [-9.0, last], [0.0, 0.5], 1.0)


def test_finished_runs_are_found_and_cut_lines_are_not(tmp_path):
    cell = tiny('pendulum')
    runs = runs_of(cell, (OURS, PEER), None, range(2))
    assert len(runs) == 2 * (5 + 3)
    save(tmp_path, runs[0], made_up(runs[0], -1.0))
    path = tmp_path / 'pendulum.jsonl'
    line = path.read_text()
    path.write_text(line + line[:len(line) // 2])  # killed while it wrote
    save(tmp_path, runs[1], made_up(runs[1], -2.0))
    assert set(load(tmp_path)) == {runs[0].key, runs[1].key}
    # With other settings or another budget it is another run.
    for other in (with_settings(cell, {'gamma': 0.5}), replace(cell, steps=61)):
        assert runs_of(other, (OURS,), None, (0,))[0].key not in load(tmp_path)


def test_table_and_picture_of_what_there_is(tmp_path):
    cell = tiny('pendulum')
    results = {}
    for run in runs_of(cell, (OURS, PEER), ['sac', 'naf'], range(5)):
        shift = 100.0 if run.who == PEER else 0.0
        results[run.key] = made_up(run, -(run.seed ** 2) - shift)
    cells, seeds = [cell, CELLS['reach']], {'pendulum': range(5), 'reach': range(5)}
    lines = table(cells, results, seeds).splitlines()
    assert len(lines) == 2 + 2
    # Of 0, 1, 4, 9, 16 the middle three count: 14 / 3.
    assert '| sac |  |  | -4.7 (' in lines[2] and '| -104.7 (' in lines[2]
    assert '| 5 / 5 |' in lines[2] and '| none |' in lines[3] and '| 5 |' in lines[3]
    assert all(line.startswith(f'| {cell.title}, {cell.steps:,} steps |') for line in lines[2:])
    assert table(cells[1:], results, seeds) == ''
    draw(tmp_path / 'a.png', cells, results, seeds)
    assert (tmp_path / 'a.png').stat().st_size > 5000


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(interquartile_mean(np.arange(8.0) ** 2), (4 + 9 + 16 + 25) / 4)
    inside = 0
    for _ in range(40):
        low, high = bootstrap_interval(rng.normal(size=30))
        inside += low <= 0.0 <= high
    assert 34 <= inside <= 40
