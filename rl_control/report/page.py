# SPDX-License-Identifier: Apache-2.0
"""HTML page: a run's report in one self-contained file."""

import base64
from collections.abc import Mapping
import html
from pathlib import Path
from string import Template
from typing import Any

PAGE = Template('''<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
       padding: 0 1rem; color: #222; }
table { border-collapse: collapse; } td { padding: .2rem 1rem .2rem 0; vertical-align: top; }
td:first-child { color: #666; } .pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
img { max-width: 100%; border: 1px solid #ddd; }
code { background: #f4f4f4; padding: .1rem .3rem; }
</style></head><body>
<h1>$title</h1>
<p>$summary</p>
<div class="pictures">$pictures</div>
$sections
$commands
</body></html>
''')


def write_page(
    path: Path, title: str, summary: str, sections: Mapping[str, Mapping[str, Any]],
    pictures: list[Path], commands: Mapping[str, str],
) -> None:
    """
    Write the page.

    `sections` maps headings to tables of figures, of which histograms are omitted; `commands`
    maps purposes to command lines. Existing files of `pictures` are embedded.
    """
    page = PAGE.substitute(
        title=html.escape(title),
        summary=html.escape(summary),
        sections=''.join(
            f'<h2>{html.escape(heading)}</h2>\n<table>{"".join(_rows(figures))}</table>\n'
            for heading, figures in sections.items()),
        commands=''.join(
            f'<h2>{html.escape(purpose)}</h2>\n<p><code>{html.escape(command)}</code></p>\n'
            for purpose, command in commands.items()),
        pictures=''.join(_picture(picture) for picture in pictures if picture.is_file()),
    )
    path.write_text(page, encoding='utf-8')


def _rows(figures: Mapping[str, Any], prefix: str = '') -> list[str]:
    rows = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += _rows(value, f'{prefix}{name}.')
        elif not name.endswith('_histogram'):
            rows.append(f'<tr><td>{html.escape(prefix + name)}</td>'
                        f'<td>{html.escape(_shown(value))}</td></tr>')
    return rows


def _shown(value: object) -> str:
    if value is None:
        return '-'
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, list):
        return ', '.join(_shown(item) for item in value)
    return str(value)


def _picture(path: Path) -> str:
    kind = path.suffix.lstrip('.')
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(path.stem)}" src="data:image/{kind};base64,{data}">'
