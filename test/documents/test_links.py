# SPDX-License-Identifier: Apache-2.0
"""Links between pages: their files and their headings exist."""

from pathlib import Path
import re

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob('*.md')), *sorted((ROOT / 'docs').rglob('*.md'))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and MyST give to the headings of a page."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_each_link_has_its_target() -> None:
    links = [(page, link) for page in PAGES for link in re.findall(
        r'\]\(([^)\s]+)\)', page.read_text(encoding='utf-8')) if '://' not in link]
    assert len(links) > 100
    broken = []
    for page, link in links:
        file, _, anchor = link.partition('#')
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f'{page.relative_to(ROOT)}: {link}')
    assert not broken, '\n'.join(broken)
