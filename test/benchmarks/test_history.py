# SPDX-License-Identifier: Apache-2.0
"""The history of measurements: its lines, and the differences of the newest two."""

from collections.abc import Iterator
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.parts import history, replay
from benchmarks.parts.comparison import OURS, Comparison, Scale


def test_each_comparison_is_kept_and_the_newest_two_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = [(10.0, 30.0), (7.0, 7.0), (20.0, 40.0)]

    def measure(scale: Scale) -> Iterator[Comparison]:
        found = Comparison('a thing', 'us')
        ours, theirs = times[0]
        found.add(OURS, {'time': ours})
        found.add('peer', {'time': theirs})
        yield found

    monkeypatch.setattr(replay, 'measure', measure)
    path = tmp_path / 'results' / 'bench.jsonl'
    said = ['replay', '--compare', str(path)]
    assert main(said) == 2  # nothing is there yet
    for _ in range(3):
        assert main(['replay', '--rounds', '1', '--history', str(path)]) == 0
        times.pop(0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line['contenders'][OURS]['time']['median'] for line in lines] == [10.0, 7.0, 20.0]
    lines[1]['machine']['cores'] = 99  # another machine is not compared with this one
    path.write_text(''.join(f'{json.dumps(line)}\n' for line in lines) + '{"cut sho')
    capsys.readouterr()
    assert main(said) == 0
    head, *rest = capsys.readouterr().out.splitlines()
    assert head.startswith('a thing [us]: 20') and head.count(history.commit()) >= 2
    assert rest == ['  rl_control, time: 10 -> 20',
                    '  peer, time: 30 -> 40; ours 3.00 x -> 2.00 x']
    assert main(['inference', '--compare', str(path)]) == 0
    assert 'no comparison was measured twice' in capsys.readouterr().out


def test_quick_measurements_are_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(['replay', '--quick', '--history', str(tmp_path / 'h.jsonl')]) == 2
    assert '--quick gives no figures to keep' in capsys.readouterr().err
