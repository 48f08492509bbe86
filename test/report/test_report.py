# SPDX-License-Identifier: Apache-2.0
"""Report: its page, summary and animation."""

from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

from arms import acting
import numpy as np
from PIL import Image
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.environments.make import load_arm, simulate
from rl_control.report.animation import animation
from rl_control.report.page import write_page
from rl_control.report.run import make
from rl_control.report.training import summary


class Page(HTMLParser):
    """Keeps what a page loads, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.text = ''
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or '' for name, value in attributes if name in ('src', 'href')]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    picture = tmp_path / 'arm.png'
    Image.new('RGB', (4, 4), 'red').save(picture)
    path = tmp_path / 'report.html'
    figures = {'rate': 1 / 3, 'lost': 0, 'deploy': {'p99': 50.12345}, 'note': '<i>$x</i>',
               'none': None}
    write_page(path, 'a <title>', 'a $summary & more: μ', {'Figures': figures},
               [picture, tmp_path / 'absent.png'], {'Again': 'rl-control demo --seed 3'})
    page = Page(path)
    assert len(page.loaded) == 1 and page.loaded[0].startswith('data:image/png;base64,')
    assert not {'script', 'link', 'iframe', 'i'} & set(page.tags)
    assert 'url(' not in path.read_text() and '//' not in path.read_text().split('base64')[0]
    for part in ('a <title>', 'a $summary & more: μ', 'rate', '0.3333', 'deploy.p99', '50.12',
                 '<i>$x</i>', 'none-', 'rl-control demo --seed 3'):
        assert part in page.text


def test_the_summary_says_how_many_goals_there_were() -> None:
    report = {'confirmed': True, 'success_rate': 0.9, 'success_interval': (0.7, 0.97),
              'confirmation_episodes': 20, 'train_seconds': 34.2, 'transitions': 5000}
    assert summary(report) == (
        '90% of 20 new goals reached (70% to 97%), after 34 s and 5000 transitions.')
    assert summary({**report, 'confirmed': False}) == 'No version was confirmed within 34 s.'


def test_the_animation_is_in_real_time_and_moves(tmp_path: Path) -> None:
    environment = simulate(load_arm('iiwa', 'reach', {'episode_period': 0.3}))
    path = tmp_path / 'arm.gif'
    assert animation(acting(lambda observation: np.full(7, 0.9)), environment, 0, path) == 0
    environment.close()
    with Image.open(path) as film:
        assert film.n_frames == 4 * 3  # goals, and every other of six ticks
        assert film.info['duration'] == 100
        frames = []
        for index in range(film.n_frames):
            film.seek(index)
            frames.append(np.asarray(film.convert('RGB')).astype(int))
    assert all((np.abs(a - b).max(axis=2) > 60).sum() > 50
               for a, b in pairwise(frames))


def test_a_report_is_made_of_a_training_that_has_ended(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r'has no training\.json, which the monitor w'):
        make(tmp_path)
