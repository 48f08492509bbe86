# SPDX-License-Identifier: Apache-2.0
"""What was measured as tables of a page, between marks that name the part."""

from collections.abc import Sequence
import math
from pathlib import Path

from benchmarks.parts.comparison import OURS, Comparison, short
from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_atomically


def around(path: Path, name: str) -> tuple[str, str]:
    """
    Return what stands before and behind the part `name` of the page `path`.

    It lies between the marks `name: begin` and `name: end`, comments on lines of their own, which
    belong to what is around. Raise InvalidInput where they are not, once each.
    """
    begin, end = marks = [f'<!-- {name}: {which} -->' for which in ('begin', 'end')]
    page = path.read_text(encoding='utf-8')
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    if [page.count(mark) for mark in marks] != [1, 1] or end in before:
        raise InvalidInput(
            f'{path} has no one place for {name}; put the lines {begin} and {end} there'
        )
    return before + begin, end + after


def put_between(path: Path, name: str, text: str) -> None:
    """Replace the part `name` of the page `path`."""
    before, after = around(path, name)
    write_atomically(path, f'{before}\n{text.strip()}\n{after}'.encode())


def tables(comparisons: Sequence[Comparison], machine: dict[str, str | int], day: str) -> str:
    """Return the comparisons of a part in Markdown, with what they were measured on."""
    about = ', '.join(f'{name} {value}' for name, value in machine.items())
    return '\n\n'.join([*map(table, comparisons), f'Measured on {day}: {about}.'])


def table(found: Comparison) -> str:
    """Return one comparison: a row a contender, then a line a goal and a line an absent peer."""
    figures = list(dict.fromkeys(name for one in found.values.values() for name in one))
    rows = [[f'{found.what}, {found.unit}', *figures],
            ['---'] * (1 + len(figures))]
    rows += [[name, *(_cell(found, name, figure) for figure in figures)] for name in found.values]
    lines = ['| ' + ' | '.join(row) + ' |' for row in rows]
    verdicts = [f'* {goal.by}: {goal}: {short(value)}, {"met" if met else "**missed**"}'
                for goal, value, met in found.verdicts()]
    return '\n'.join([*lines, '', *verdicts, *(f'* {line}' for line in found.absent)]).strip()


def _cell(found: Comparison, name: str, figure: str) -> str:
    values = found.values[name].get(figure)
    if not values:
        return ''
    ratio = found.ratio(name, figure)
    ahead = '' if name == OURS or math.isnan(ratio) else f'; ours {ratio:.2f} x'
    return (f'{short(found.median(name, figure))} '
            f'({short(min(values))} to {short(max(values))}){ahead}')
