# SPDX-License-Identifier: Apache-2.0
"""The listings of docs/python.md run, in their order, at a small size."""

from pathlib import Path
import re

import matplotlib as mpl
import pytest

import rl_control as rc

PAGE = (Path(__file__).parents[2] / 'docs' / 'python.md').read_text(encoding='utf-8')
# What is learned takes minutes; that the listing runs takes seconds.
SMALL = [('20_000', '120'), ('2_000', '60'), ('10_000', '120'), ('3_000', '60'),
         ('episodes=100', 'episodes=2'), ('range(3)', 'range(2)')]


def test_the_listings_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:
    mpl.use('Agg')
    monkeypatch.chdir(tmp_path)
    listings = re.findall(r'```python\n(.*?)```', PAGE, re.S)
    assert len(listings) == 4
    for number, listing in enumerate(listings):
        for large, small in SMALL:
            listing = listing.replace(large, small)
        path = tmp_path / f'listing_{number}.py'
        path.write_text(listing)
    program = ''.join((tmp_path / f'listing_{k}.py').read_text() for k in range(4))
    (tmp_path / 'listings.py').write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    import listings as module

    assert module.result.transitions == 120
    assert (tmp_path / 'runs' / 'notebook' / 'learning.png').is_file()
    assert (tmp_path / 'pendulum.png').is_file()
    assert 'Results(2 episodes, success' in capsys.readouterr().out


def test_the_page_names_what_is_public() -> None:
    table = PAGE.partition('## Reference')[2]
    for name in set(rc.__all__) - {'__version__'}:
        assert re.search(rf'`[^`]*\b{name}\b', table), name
        assert getattr(rc, name).__doc__, name
