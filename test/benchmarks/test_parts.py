# SPDX-License-Identifier: Apache-2.0
"""The comparison of contenders, and a tiny version of each part."""

import importlib
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.parts import broadcast, collector, end_to_end, growth, page, reception
from benchmarks.parts.comparison import OURS, Comparison, Contender, Goal, Scale, compare
from benchmarks.parts.fixtures import policy_file
from rl_control.common.errors import InvalidInput
from rl_control.environments.make import load_arm
from rl_control.robots.engines import installed

TINY = Scale(rounds=1, quick=True)


def test_contenders_take_turns_and_ratios_are_of_the_same_round() -> None:
    turns = []

    def contender(name: str, values: list[float]) -> Contender:
        def run() -> dict[str, float]:
            turns.append(name)
            return {'time': values.pop(0)}
        return Contender(name, lambda: run)

    found = compare('a thing', 'us', [
        contender(OURS, [1.0, 2.0, 30.0]), contender('peer', [3.0, 4.0, 30.0])], 3,
        [Goal('time', at_most=2.0), Goal('time', at_most=0.4, of='peer')])
    assert turns == [OURS, 'peer'] * 3
    assert found.median(OURS, 'time') == 2.0
    assert found.ratio('peer', 'time') == 2.0  # of 3, 2, 1; the ratio of the medians is 2 too
    assert [(value, met) for _, value, met in found.verdicts()] == [(2.0, True), (0.5, False)]
    json.dumps(found.facts())


def test_a_rate_is_better_when_it_is_more() -> None:
    found = Comparison('a thing', '1/s', more=True, goals=[Goal('rate', at_least=2.0, of='peer')])
    for ours, theirs in ((300.0, 100.0), (400.0, 200.0), (90.0, 10.0)):
        found.add(OURS, {'rate': ours})
        found.add('peer', {'rate': theirs})
    assert found.ratio('peer', 'rate') == 3.0
    ((_, value, met),) = found.verdicts()
    assert (value, met) == (3.0, True)
    assert 'ours 3.00 x' in '\n'.join(found.lines())


def test_a_missing_peer_costs_one_line() -> None:
    def missing():
        import no_such_peer  # noqa: F401

    found = compare('a thing', 'us', [Contender('peer', missing), Contender(
        OURS, lambda: lambda: {'time': 1.0})], 1, [Goal('time', at_most=1.0, of='peer')])
    assert found.absent == ["peer: no_such_peer is not installed: pip install -e '.[bench]'"]
    assert list(found.values) == [OURS] and not list(found.verdicts())


@pytest.mark.parametrize('part', ['learner', 'replay', 'inference', 'growth', 'simulator'])
def test_each_part_measures_ours(part: str) -> None:
    for comparison in importlib.import_module(f'benchmarks.parts.{part}').measure(TINY):
        for name, figures in comparison.values.items():
            assert all(value >= 0.0 for values in figures.values() for value in values), name
        assert any(name.startswith(OURS) for name in comparison.values), comparison.what


def test_transitions_reach_the_journal(ros_domain: int) -> None:
    found, heard = importlib.import_module('benchmarks.parts.transport').measure(TINY)
    assert all(heard.median(name, 'rate') > 0.0 for name in (OURS, reception.BARE))
    assert found.median(OURS, 'lost') == 0.0 and found.median(OURS, 'rate') > 0.0


@pytest.mark.parametrize('part', ['answer', 'start'])
def test_each_part_with_processes_measures_ours(part: str, ros_domain: int) -> None:
    for comparison in importlib.import_module(f'benchmarks.parts.{part}').measure(TINY):
        assert all(value >= 0.0 for values in comparison.values[OURS].values()
                   for value in values), comparison.what


def test_the_bare_loop_and_the_cost_of_policies(tmp_path: Path) -> None:
    path = tmp_path / 'policy.onnx'
    path.write_bytes(policy_file((16,), made=load_arm('iiwa', 'reach').contract()))
    for engine in installed():
        assert collector.bare('iiwa', 0.1, str(path), engine)['rate'] > 0.0
    assert broadcast._cost(2)['share'] > 0.0


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    kept = tmp_path / 'end_to_end_rl_control_same_0.json'
    kept.write_text('{"wall": 7.0}')
    scale = Scale(keep=tmp_path)
    assert end_to_end._run(scale, 'ours', 'rl_control, same', 0, 1.0) == {'wall': 7.0}


def test_a_peer_is_ended_when_it_is_far_enough_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def made_up(module: str, role: str, began: float, longest: float, seed: int, *more) -> dict:
        return {'wall': 100.0 + seed if role == 'ours' else longest}

    monkeypatch.setattr(end_to_end, 'run_module', made_up)
    (found,) = end_to_end.measure(Scale(seeds=2))
    assert found.values['stable-baselines3, same']['wall'] == pytest.approx([230.0, 232.3])
    assert found.values['stable-baselines3, small']['wall'] == pytest.approx([345.0, 348.45])
    assert all(met for *_, met in found.verdicts())


def test_tables_go_between_the_marks_of_a_page(tmp_path: Path) -> None:
    path = tmp_path / 'page.md'
    marks = ['<!-- bench a: begin -->', '<!-- bench a: end -->']
    path.write_text('\n'.join(['above', marks[0], 'old', marks[1], 'below']))
    found = Comparison('a thing', 'us', goals=[Goal('time', at_most=2.0)])
    for value in (1.0, 4.0, 3.0):
        found.add(OURS, {'time': value})
        found.add('peer', {'time': 2 * value, 'size': 5.0})
    for _ in range(2):  # the second time as the first
        page.replace_part(path, 'bench a', page.tables([found], {'cores': 2}, 'a Monday'))
        assert path.read_text().splitlines() == [
            'above', marks[0], '| a thing, us | time | size |', '| --- | --- | --- |',
            '| rl_control | 3 (1 to 4) |  |', '| peer | 6 (2 to 8); ours 2.00 x | 5 |',
            '', 'rl_control: time at most 2: 3, **missed**', '',
            'Measured on a Monday: cores 2.', marks[1], 'below']
    with pytest.raises(
        InvalidInput, match='no one place for bench b; put the lines <!-- bench b: beg'
    ):
        page.replace_part(path, 'bench b', '')


def test_comparisons_of_the_same_contenders_share_a_table() -> None:
    goals = [Goal('rate', at_least=2.0, of='peer'), Goal('rate', at_least=4.0)]
    one, two, other = (
        Comparison(name, '1/s', more=True, goals=goals) for name in ('one', 'two', 'other'))
    for found, ours in ((one, 3.0), (two, 4.0), (other, 9.0)):
        found.add(OURS, {'rate': ours})
    one.add('peer', {'rate': 2.0})
    other.add('somebody else', {'rate': 2.0})
    series = Comparison('by size', 'us')
    for who, size, value in ((OURS, 1, 2.0), (OURS, 8, 5.0), ('peer', 8, 6.0)):
        series.add(f'{who} {size}', {'p50': value})
    hops = [Comparison(f'hop {number}', 'ms') for number in (1, 2)]
    for number, found in enumerate(hops, 1):
        for who in (OURS, 'peer')[:number]:
            found.add(who, {'p50': 2.0, 'p99': 3.0 * number})
    tables = page.tables([one, two, other, series, *hops], {}, 'a Monday')
    assert tables.split('\n\n')[:-1] == [
        '| 1/s | rl_control | peer | goals |\n| --- | --- | --- | --- |\n'
        '| one | 3 | 2; ours 1.50 x | at least 2 of peer: **missed**; at least 4: **missed** |\n'
        '| two | 4 |  | at least 4: met |',
        '| other, 1/s | rate |\n| --- | --- |\n| rl_control | 9 |\n'
        '| somebody else | 2; ours 4.50 x |', 'rl_control: rate at least 4: 9, met',
        '| by size, us | 1 | 8 |\n| --- | --- | --- |\n| rl_control | 2 | 5 |\n| peer |  | 6 |',
        '| ms | rl_control, p50 | rl_control, p99 | peer, p50 | peer, p99 | goals |\n'
        '| --- | --- | --- | --- | --- | --- |\n| hop 1 | 2 | 3 |  |  |  |\n'
        '| hop 2 | 2 | 6 | 2; ours 1.00 x | 6; ours 1.00 x |  |']


def test_growth_is_drawn(tmp_path: Path) -> None:
    found = Comparison('things, by size', '1/s')
    for who in (OURS, 'a peer'):
        for size in (1, 10, 100):
            found.add(f'{who} {size}', {'rate': 1000.0 / size})
    growth.draw(tmp_path / 'growth.png', [found, found])
    assert (tmp_path / 'growth.png').stat().st_size > 5000


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['replay', '--quick', '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    assert found['machine']['cores'] >= 1
    assert all(OURS in one['contenders'] for one in found['parts']['replay'])
    assert main(['speed']) == 2
    assert "part 'speed' is unknown" in capsys.readouterr().err
