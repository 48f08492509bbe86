# SPDX-License-Identifier: Apache-2.0
"""Word list: docstrings, help texts and pages use the field's words and no dialect."""

from collections.abc import Iterator
from pathlib import Path
import re

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ('README.md', 'CHANGELOG.rst', 'CONTRIBUTING.md', 'SECURITY.md')]
PAGES += sorted(path for path in (ROOT / 'docs').rglob('*.md') if path.name != 'commands.md')
DIALECT = re.compile(
    r'\b(nobody|whoever|anybody|somebody|(is|are) told|not taken(?! from)|hears?|heard|speaks?|'
    r'spoken|mend(s|ed|ing)?|amiss|taught|it is made of|(go|goes|gone) on from)\b',
    re.IGNORECASE)
# Names of before: the changelog alone may tell what was renamed.
FORMER = re.compile(r'\bexaminer|randomis|rl-control bench|\bRefused\b|algorithm\.speed')


def offences(place: str, text: str, former: bool = True) -> Iterator[str]:
    """Yield a line for each word of `text` that is not the field's."""
    for pattern in (DIALECT, FORMER) if former else (DIALECT,):
        for found in pattern.finditer(text):
            line = text.count('\n', 0, found.start()) + 1
            yield f'{place}:{line}: {found[0]!r} in {text.splitlines()[line - 1].strip()!r}'


def test_pages_use_the_words_of_the_field() -> None:
    """Settings and graphs are on pages that test_reference.py holds to the code."""
    assert len(PAGES) > 30
    found = [line for page in PAGES for line in offences(
        str(page.relative_to(ROOT)), page.read_text(encoding='utf-8'),
        former=page.name != 'CHANGELOG.rst')]
    assert not found, '\n'.join(found)
