# SPDX-License-Identifier: Apache-2.0
"""History of measurements: a line of JSON per comparison, and differences of the newest."""

from collections.abc import Iterator
from datetime import UTC, datetime
import json
from pathlib import Path
import subprocess
from typing import Any

from benchmarks.parts.comparison import OURS, Comparison, short
import rl_control
from rl_control.common.metrics_log import read_lines

SOURCES = Path(rl_control.__file__).parent
ABOUT = ('processor', 'cores')  # only measurements with equal values are compared


def append(path: Path, part: str, found: Comparison, machine: dict[str, str | int]) -> None:
    """Add one comparison of `part`, with the time, the commit and the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = {
        'date': datetime.now(UTC).isoformat(timespec='seconds'), 'commit': commit(),
        'machine': machine, 'part': part, **found.facts()}
    with path.open('a', encoding='utf-8') as file:
        file.write(json.dumps(line) + '\n')


def commit() -> str:
    """Return the commit of the sources, with `+` where they differ from it; '' outside of git."""
    try:
        named = _git('log', '-1', '--format=%h', '--abbrev=12')
        return '' if named.returncode else (
            named.stdout.strip() + '+' * (_git('diff', '--quiet', 'HEAD', '--', '.').returncode))
    except (OSError, subprocess.TimeoutExpired):
        return ''


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(['git', *words], cwd=SOURCES, capture_output=True, text=True,
                          timeout=10.0, check=False)


def changes(path: Path, part: str) -> Iterator[str]:
    """
    Yield a line for each figure of `part` that was measured twice on one kind of machine.

    It has the medians of the two newest measurements, and for peers our ratio to them: absolute
    figures depend on the machine's load, ratios within a round hardly.
    """
    before: dict[tuple[Any, ...], tuple[dict[str, Any], dict[str, Any] | None]] = {}
    for line in read_lines(path):
        if line['part'] == part:
            key = (line['what'], *(line['machine'].get(name) for name in ABOUT))
            before[key] = (line, before[key][0] if key in before else None)
    for newest, old in before.values():
        if old is None:
            continue
        yield (f'{newest["what"]} [{newest["unit"]}]: {old["date"]} {old["commit"]} -> '
               f'{newest["date"]} {newest["commit"]}')
        for name, figures in newest['contenders'].items():
            for figure, now in figures.items():
                then = old['contenders'].get(name, {}).get(figure)
                if then is not None:
                    yield f'  {name}, {figure}: {_change(then, now, name == OURS)}'


def _change(then: dict[str, Any], now: dict[str, Any], ours: bool) -> str:
    said = f'{short(then["median"])} -> {short(now["median"])}'
    ratios = [one['ours_is_better_by'] for one in (then, now)]
    if ours or None in ratios:
        return said
    return f'{said}; ours {ratios[0]:.2f} x -> {ratios[1]:.2f} x'
