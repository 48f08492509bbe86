# SPDX-License-Identifier: Apache-2.0
"""The page, the pictures, and the count of what was lost."""

from html.parser import HTMLParser
from itertools import count, pairwise
import json
from pathlib import Path

from arms import acting
import numpy as np
from PIL import Image
from rclpy.serialization import serialize_message

from rl_control.environments.make import load_arm, simulate
from rl_control.report.account import journaled, produced, transitions_lost
from rl_control.report.page import write_page
from rl_control.report.pictures import animation
from rl_control.ros import codec
from rl_control.ros.journal import Journal


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
                 '<i>$x</i>', 'None', 'rl-control demo --seed 3'):
        assert part in page.text


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


def journal(out: Path, *batches: tuple[str, int, int], topic: str = '/transitions') -> None:
    """Write batches of (run, first sequence, rows) as a learner does."""
    kept, stamps = Journal(out / 'journal'), count(1)
    for run, first, rows in batches:
        origin = codec.Origin(run.partition('-')[0], run, 'hash', first)
        table = codec.Table(('x',), np.zeros((rows, 1)), origin.to_header())
        data = bytes(serialize_message(codec.encode_table(table)))
        kept.write(topic, 'std_msgs/msg/Float64MultiArray', data, next(stamps))
    kept.close()


def accounts(out: Path, **made: int) -> None:
    (out / 'collectors').mkdir()
    for run, number in made.items():
        run = run.replace('_', '-')
        (out / 'collectors' / f'{run}.json').write_text(
            json.dumps({'run': run, 'produced': number, 'acknowledged': 0}))


def test_nothing_is_lost_where_all_is_journaled(tmp_path: Path) -> None:
    journal(tmp_path, ('a-1', 0, 64), ('b-1', 0, 10), ('a-1', 64, 36), ('b-1', 10, 5))
    accounts(tmp_path, a_1=100, b_1=15)
    assert produced(tmp_path) == {'a-1': 100, 'b-1': 15}
    assert journaled(tmp_path) == {'a-1': 100, 'b-1': 15}
    assert transitions_lost(tmp_path) == 0


def test_a_hole_is_counted_exactly(tmp_path: Path) -> None:
    # Of 100 rows of a-1 those from 20 to 49 are missing, of b-1 the last three.
    journal(tmp_path, ('a-1', 0, 20), ('b-1', 0, 12), ('a-1', 50, 30), ('a-1', 80, 20))
    accounts(tmp_path, a_1=100, b_1=15)
    assert journaled(tmp_path) == {'a-1': 70, 'b-1': 12}
    assert transitions_lost(tmp_path) == 33


def test_what_was_sent_again_counts_once(tmp_path: Path) -> None:
    journal(tmp_path, ('a-1', 30, 20), ('a-1', 0, 20), ('a-1', 10, 15), ('a-1', 0, 5),
            ('a-1', 30, 20))
    accounts(tmp_path, a_1=50)
    assert journaled(tmp_path) == {'a-1': 45}  # 0 to 24 and 30 to 49
    assert transitions_lost(tmp_path) == 5


def test_runs_are_not_mixed_up(tmp_path: Path) -> None:
    journal(tmp_path, ('a-1', 0, 10), ('a-2', 0, 10))
    accounts(tmp_path, a_1=10, a_2=12, a_3=4)
    assert transitions_lost(tmp_path) == 2 + 4


def test_topics_in_a_namespace_count_and_others_do_not(tmp_path: Path) -> None:
    journal(tmp_path, ('a-1', 0, 10), topic='/cell/transitions')
    journal(tmp_path, ('a-1', 10, 10), topic='/cell/episodes')
    accounts(tmp_path, a_1=20)
    assert transitions_lost(tmp_path) == 10
