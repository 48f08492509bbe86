# SPDX-License-Identifier: Apache-2.0
"""What the pages put in quotes is what the package says."""

import ast
from functools import cache
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).parents[2]


@cache
def said() -> set[str]:
    """Return the texts in the sources, with NUL for each value that is put in."""
    texts = set()
    for path in (ROOT / 'rl_control').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.JoinedStr):
                texts.add(''.join(part.value if isinstance(part, ast.Constant) else '\0'
                                     for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return texts


@pytest.mark.parametrize(('page', 'least'), [('troubleshooting.md', 15), ('hardware.md', 5)])
def test_every_sentence_in_quotes_is_said(page: str, least: int) -> None:
    """A quote is found when its pieces around `...` come in one text, in their order."""
    quotes = re.findall(r'"([^"\n]+)"', (ROOT / 'docs' / page).read_text(encoding='utf-8'))
    assert len(quotes) >= least
    texts = said()
    for quote in quotes:
        pieces = [re.escape(piece.strip()) for piece in quote.split('...')]
        pattern = re.compile('.*'.join(pieces), re.S)
        assert any(map(pattern.search, texts)), f'{page}: nobody says "{quote}"'
