# SPDX-License-Identifier: Apache-2.0
"""The page of faults has all rows, and names tests and commands that there are."""

from pathlib import Path
import re

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'faults.md').read_text(encoding='utf-8')


def test_every_row_is_there() -> None:
    rows = re.findall(r'^\| (\d+) \| (?=.*`)', PAGE.split('## Figures')[0], re.M)
    assert [int(row) for row in rows] == list(range(1, 21))


def test_every_test_that_it_names_is_there() -> None:
    named = re.findall(r'`([\w/]+/test_\w+\.py)::(test_\w+)`', PAGE)
    assert len(named) > 30
    for file, name in named:
        text = (ROOT / 'test' / file).read_text(encoding='utf-8')
        assert re.search(rf'^def {name}\(', text, re.M), f'{file} has no {name}'


def test_every_command_that_it_names_is_there() -> None:
    named = re.findall(r'`python (\S+?\.py)( [^`]*)?`', PAGE)
    assert len(named) > 8
    for file, arguments in named:
        text = (ROOT / file).read_text(encoding='utf-8')
        for option in re.findall(r'--[a-z-]+', arguments):
            assert f"'{option}'" in text, f'{file} has no {option}'
