# SPDX-License-Identifier: Apache-2.0
"""Rooms of docs/design.md: all of them, in an order in which each imports those above it."""

import ast
from pathlib import Path
import re

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'rl_control'
PAGE = (ROOT / 'docs' / 'design.md').read_text(encoding='utf-8')
ROWS = re.findall(r'^\| `(\w+)` \| .*\|$', PAGE.partition('## Sixteen rooms')[2], re.M)


def imported(room: str) -> set[str]:
    """Return the rooms that the files of `room` import."""
    found = set()
    for path in (PACKAGE / room).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.module == 'rl_control':
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or '').removeprefix('rl_control.').partition('.')[0])
    return found & set(ROWS) - {room}


def test_the_page_lists_each_room() -> None:
    assert sorted(ROWS) == sorted(
        path.name for path in PACKAGE.iterdir() if (path / '__init__.py').is_file())


def test_each_room_imports_rooms_above_it() -> None:
    for number, room in enumerate(ROWS):
        below = imported(room) - set(ROWS[:number])
        assert not below, f'docs/design.md has {room} above {below}, which it imports'


def test_each_file_that_the_page_names_exists() -> None:
    named = re.findall(r'`((?:\w+/)+\w+\.py)`', PAGE.partition('Names that differ')[0])
    assert len(named) > 4
    for file in named:
        assert (PACKAGE / file).is_file() or (ROOT / file).is_file(), file
