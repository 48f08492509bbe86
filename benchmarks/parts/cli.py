# SPDX-License-Identifier: Apache-2.0
"""Measure parts of the package beside peers and limits, which take turns in one run."""

import argparse
from datetime import UTC, datetime
import importlib
import json
from pathlib import Path
import sys

from benchmarks.parts import PARTS, history
from benchmarks.parts.comparison import Scale
from benchmarks.parts.machine import machine
from benchmarks.parts.page import replace_part, split_page, tables
from rl_control.common.errors import InvalidInput


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to `parser`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = 'parts:\n' + '\n'.join(
        f'  {name:12} {about}' for name, about in PARTS.items())
    parser.add_argument('parts', nargs='*', metavar='PART',
                        help='parts to measure; all but end-to-end by default')
    parser.add_argument('--rounds', type=int, default=7, help='turns of each contender')
    parser.add_argument('--seeds', type=int, default=3, help='runs of each, end-to-end')
    parser.add_argument('--keep', type=Path, metavar='DIR',
                        help='directory that keeps the runs of end-to-end, to resume from')
    parser.add_argument('--quick', action='store_true',
                        help='small sizes, one round: a smoke test')
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.add_argument('--picture', type=Path, help='file of the plot of growth')
    parser.add_argument('--page', type=Path,
                        help='write the tables into this page, between the marks of their part')
    parser.add_argument('--history', type=Path, metavar='FILE',
                        help='append each comparison to this file as a line of JSON')
    parser.add_argument('--compare', type=Path, metavar='FILE',
                        help='compare the two newest measurements of such a file; measure nothing')


def run(options: argparse.Namespace) -> int:
    """Measure and print each comparison; return 1 if a goal was missed."""
    for part in options.parts:
        if part not in PARTS:
            raise InvalidInput(f'part {part!r} is unknown; name some of {", ".join(PARTS)}')
    if options.compare:
        return _compare(options.compare, options.parts or list(PARTS))
    if options.quick and options.history:
        raise InvalidInput('--quick gives no figures to keep; remove --quick or --history')
    parts = options.parts or [name for name in PARTS if name != 'end-to-end']
    scale = Scale(
        1 if options.quick else max(1, options.rounds), options.quick, max(1, options.seeds),
        options.keep)
    about, missed, found = machine(), False, {}
    day = datetime.now(UTC).date().isoformat()
    if not options.json:
        print(', '.join(f'{name} {value}' for name, value in about.items()))
    if options.page:
        for part in parts:
            split_page(options.page, f'bench {part}')  # fail early where the marks are missing
    for part in parts:
        module = importlib.import_module(f'benchmarks.parts.{part.replace("-", "_")}')
        measured = []
        for comparison in module.measure(scale):
            missed = missed or not all(met for _, _, met in comparison.verdicts())
            found.setdefault(part, []).append(comparison.facts())
            measured.append(comparison)
            if options.history:
                history.append(options.history, part, comparison, about)
            if options.page:
                replace_part(options.page, f'bench {part}', tables(measured, about, day))
            if not options.json:
                print('\n'.join(['', *comparison.lines()]), flush=True)
        if part == 'growth' and options.picture:
            module.draw(options.picture, measured)
    if options.json:
        json.dump({'machine': about, 'parts': found}, sys.stdout, indent=2)
        print()
    return int(missed and not options.quick)


def _compare(path: Path, parts: list[str]) -> int:
    if not path.is_file():
        raise InvalidInput(f'history {path} is not a file; make one with --history FILE')
    lines = [line for part in parts for line in history.changes(path, part)]
    print('\n'.join(lines or [f'{path}: no comparison was measured twice on one kind of machine']))
    return 0
