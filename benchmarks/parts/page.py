# SPDX-License-Identifier: Apache-2.0
"""Markdown tables of measurements, written between the marks of their part in a page."""

from collections.abc import Sequence
import math
from pathlib import Path

from benchmarks.parts.comparison import OURS, Comparison, short
from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_atomically


def split_page(path: Path, name: str) -> tuple[str, str]:
    """
    Return the text before and after the part `name` of the page `path`.

    The part lies between the comments `name: begin` and `name: end`, which are returned with the
    text around it. Raise InvalidInput unless each occurs once.
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


def replace_part(path: Path, name: str, text: str) -> None:
    """Replace the part `name` of the page `path`."""
    before, after = split_page(path, name)
    write_atomically(path, f'{before}\n{text.strip()}\n{after}'.encode())


def tables(comparisons: Sequence[Comparison], machine: dict[str, str | int], day: str) -> str:
    """Return the comparisons of a part in Markdown, and the machine that they were measured on."""
    about = ', '.join(f'{name} {value}' for name, value in machine.items())
    groups: list[list[Comparison]] = []
    for found in comparisons:
        if groups and _like(found, groups[-1]):
            groups[-1].append(found)
        else:
            groups.append([found])
    return '\n\n'.join([
        *(table(group[0]) if len(group) == 1 else wide_table(group) for group in groups),
        f'Measured on {day}: {about}.'])


def table(found: Comparison) -> str:
    """Return one comparison: a row for each contender, or for each series of numbered ones."""
    figures = _figures(found)
    series = [name.rpartition(' ') for name in found.values]
    if len(figures) == 1 and len(series) > 1 and all(size.isdigit() for *_, size in series):
        rows = _series(found, series)
    else:
        rows = [[f'{found.what}, {found.unit}', *figures]]
        rows += [[name, *(_cell(found, name, figure) for figure in figures)]
                 for name in found.values]
    verdicts = '; '.join(f'{goal.by}: {goal}: {short(value)}, {_met(met)}'
                         for goal, value, met in found.verdicts())
    lines = [_markdown(rows), *([verdicts] if verdicts else ()), *found.absent]
    return '\n\n'.join(lines)


def wide_table(group: Sequence[Comparison]) -> str:
    """Return comparisons of the same contenders: a row for each, its goals in the last column."""
    figures, contenders = _figures(group[0]), list(max((found.values for found in group), key=len))
    columns = [(name, figure) for name in contenders for figure in figures]
    alone = len(figures) == 1  # its name says no more than the unit
    rows = [[group[0].unit, *(name if alone else f'{name}, {figure}' for name, figure in columns),
             'goals']]
    for found in group:
        goals = '; '.join(f'{str(goal).removeprefix(f"{figures[0]} " if alone else "")}: '
                          f'{_met(met)}' for goal, _, met in found.verdicts())
        rows.append([found.what, *(_cell(found, *column) for column in columns), goals])
    absent = dict.fromkeys(line for found in group for line in found.absent)
    return '\n\n'.join([_markdown(rows), *absent])


def _like(found: Comparison, group: Sequence[Comparison]) -> bool:
    """Return whether `found` fits into a table of `group`: its unit, figures and contenders."""
    ours, theirs = set(found.values), set().union(*(other.values for other in group))
    return (found.unit == group[0].unit and _figures(found) == _figures(group[0])
            and (ours <= theirs or ours >= theirs))


def _figures(found: Comparison) -> list[str]:
    return list(dict.fromkeys(name for one in found.values.values() for name in one))


def _series(found: Comparison, series: list[tuple[str, str, str]]) -> list[list[str]]:
    """Return a row for each series, a column for each number."""
    (figure,), sizes = _figures(found), list(dict.fromkeys(size for *_, size in series))
    rows = [[f'{found.what}, {found.unit}', *sizes]]
    for who in dict.fromkeys(who for who, *_ in series):
        rows.append([who, *(_cell(found, f'{who} {size}', figure) for size in sizes)])
    return rows


def _markdown(rows: list[list[str]]) -> str:
    return '\n'.join('| ' + ' | '.join(row) + ' |'
                     for row in [rows[0], ['---'] * len(rows[0]), *rows[1:]])


def _met(met: bool) -> str:
    return 'met' if met else '**missed**'


def _cell(found: Comparison, name: str, figure: str) -> str:
    values = found.values.get(name, {}).get(figure)
    if not values:
        return ''
    ratio = found.ratio(name, figure)
    ahead = '' if name == OURS or math.isnan(ratio) else f'; ours {ratio:.2f} x'
    least, most = short(min(values)), short(max(values))
    span = f' ({least} to {most})' if least != most else ''
    return f'{short(found.median(name, figure))}{span}{ahead}'
