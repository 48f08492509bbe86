# SPDX-License-Identifier: Apache-2.0
"""Metrics log, and plots that compare runs."""

import math
from pathlib import Path
import sys

from arms import exported
import numpy as np
from PIL import Image
import pytest

from rl_control.cli import main
from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_json
from rl_control.common.metrics_log import MetricsLog, read_metrics
from rl_control.policies.evaluation_log import Tally
from rl_control.report.curves import draw_evaluations, evaluations_of

COLOURS = ((31, 119, 180), (255, 127, 14))  # matplotlib's first two


def a_run(path: Path, rates: list[float]) -> Path:
    """Return a run whose evaluations had these success rates."""
    found = []
    for version, rate in enumerate(rates):
        tally = Tally(version, began=float(version), transitions=1000 * version)
        for index in range(50):
            tally.add(index < 50 * rate, -30.0 * (1 - rate))
        found.append(tally.figures())
    write_json(path / 'training.json', {'evaluations': found})
    return path


def of_colour(path: Path, colour: tuple[int, int, int]) -> np.ndarray:
    picture = np.asarray(Image.open(path).convert('RGB')).astype(int)
    assert picture.shape[0] > 300 and picture.shape[1] > 300
    assert 0.001 < (picture.sum(axis=2) < 200).mean() < 0.2  # axes and words
    return np.abs(picture - colour).max(axis=2) < 20


@pytest.mark.parametrize('rates', [[], [0.5], [0.0, 0.3, 0.8, 1.0]], ids=['none', 'one', 'four'])
def test_the_learning_curve_shows_something(tmp_path: Path, rates: list[float]) -> None:
    run, path = a_run(tmp_path / 'run', rates), tmp_path / 'curve.png'
    draw_evaluations({run: evaluations_of(run, 'transitions')}, 'transitions', path)
    for half in np.array_split(of_colour(path, COLOURS[0]), 2):  # success above, return below
        assert (half.sum() > 10 * len(rates)) == bool(rates)


def test_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    runs = [str(a_run(tmp_path / name, rates)) for name, rates in
            (('good', [0.5, 0.9, 1.0]), ('bad', [0.0, 0.0, 0.1]))]
    path = tmp_path / 'both.png'
    assert main(['plot', *runs, '-o', str(path), '--over', 'seconds']) == 0
    rows = [np.nonzero(np.array_split(of_colour(path, colour), 2)[0])[0].mean()
            for colour in COLOURS]
    assert rows[0] < rows[1] - 50  # the better one is above
    for run in runs:
        book = MetricsLog(Path(run), tensorboard=False)
        for updates in range(20):
            book.write({'critic_loss': 1.0 / (1 + updates), 'updates': float(updates)})
    assert main(['plot', *runs, '--metric', 'critic_loss', '--over', 'updates', '-o',
                 str(path)]) == 0
    assert of_colour(path, COLOURS[1]).sum() > 200


@pytest.mark.parametrize(('given', 'sentence'), [
    (['none'], 'run none is no directory; give the directory'),
    (['.'], 'run . has no training.json yet'),
    (['.', '--metric', 'loss'], "run . has no metric 'loss'; it has none"),
], ids=['nothing', 'no evaluations', 'no metrics'])
def test_invalid_plots_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
    given: list[str], sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(['plot', *given]) == 2
    assert sentence in capsys.readouterr().err


def test_metrics_are_kept_once_and_go_on_after_a_restart(tmp_path: Path) -> None:
    metrics = {'updates': 3.0, 'critic_loss': math.nan}
    book = MetricsLog(tmp_path, tensorboard=False)
    book.write({})
    book.write(metrics)
    book.write(metrics)  # nothing new
    MetricsLog(tmp_path, tensorboard=False).write({'updates': 4.0, 'critic_loss': 0.5})
    with (tmp_path / 'metrics.jsonl').open('a') as file:
        file.write('{"updates": 5.0, "crit')  # killed here
    found = read_metrics(tmp_path)
    assert [(line['updates'], line['critic_loss']) for line in found] == [(3.0, None), (4.0, 0.5)]
    assert found[1]['time'] >= found[0]['time'] > 1.7e9
    lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    (tmp_path / 'metrics.jsonl').write_text('\n'.join([lines[2], *lines[:2]]))
    with pytest.raises(InvalidInput, match=r'line 1 of .* is no JSON'):
        read_metrics(tmp_path)


def test_a_full_disk_is_reported_until_the_next_write(tmp_path: Path) -> None:
    book = MetricsLog(tmp_path, tensorboard=False)
    (tmp_path / 'metrics.jsonl').mkdir()  # cannot be written
    book.write({'updates': 1.0})
    assert book.error == 'metrics are not written (Is a directory); make space'
    (tmp_path / 'metrics.jsonl').rmdir()
    book.write({'updates': 2.0})
    assert book.error == '' and len(read_metrics(tmp_path)) == 1


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator')
    book = MetricsLog(tmp_path, tensorboard=True)
    for updates in (10.0, 20.0):
        book.write({'updates': updates, 'critic_loss': updates / 4})
    read = accumulator.EventAccumulator(str(tmp_path / 'tensorboard')).Reload()
    assert [(e.step, e.value) for e in read.Scalars('critic_loss')] == [(10, 2.5), (20, 5.0)]


def test_tensorboard_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, 'tensorboard.summary.writer.event_file_writer', None)
    with pytest.raises(InvalidInput, match='pip install tensorboard, or leave it false'):
        MetricsLog(tmp_path, tensorboard=True)


def test_a_policy_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:
    policy, film = tmp_path / 'policy.onnx', tmp_path / 'film'
    exported().save(policy)
    assert main(['play', str(policy), '--gif', str(film), '--goals', '1']) == 0
    assert 'of 1 goals reached' in capsys.readouterr().out
    with Image.open(film) as frames:
        assert frames.format == 'GIF' and frames.n_frames == 25  # every other of fifty ticks
    monkeypatch.delenv('DISPLAY', raising=False)
    assert main(['play', str(policy)]) == 2
    assert 'there is no display (DISPLAY is not set); give --gif FILE' in capsys.readouterr().err
