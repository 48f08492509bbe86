# SPDX-License-Identifier: Apache-2.0
"""Measure parts of the package beside their peers and their limits, in one run by turns."""

import argparse
from datetime import UTC, datetime
import importlib
import json
from pathlib import Path
import sys

from benchmarks.parts import PARTS, history
from benchmarks.parts.comparison import Scale
from benchmarks.parts.machine import machine
from benchmarks.parts.page import around, put_between, tables
from rl_control.common.errors import InvalidInput


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = 'parts:\n' + '\n'.join(
        f'  {name:12} {about}' for name, about in PARTS.items())
    parser.add_argument('parts', nargs='*', metavar='PART',
                        help='what to measure; all but end-to-end by default')
    parser.add_argument('--rounds', type=int, default=7, help='turns of each contender')
    parser.add_argument('--seeds', type=int, default=3, help='runs of each, end-to-end')
    parser.add_argument('--keep', type=Path, metavar='DIR',
                        help='where the runs of end-to-end are kept, and not made twice')
    parser.add_argument('--quick', action='store_true',
                        help='small sizes, one round: shows that it runs, not how fast')
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.add_argument('--picture', type=Path, help='where growth is drawn')
    parser.add_argument('--page', type=Path,
                        help='a page in which the tables go between the marks of their part')
    parser.add_argument('--history', type=Path, metavar='FILE',
                        help='a file to which each comparison is added as a line of JSON')
    parser.add_argument('--compare', type=Path, metavar='FILE',
                        help='measure nothing, say how the two newest of such a file differ')


def run(options: argparse.Namespace) -> int:
    """Print what was measured, each comparison as soon as it is there; return 1 for a miss."""
    for part in options.parts:
        if part not in PARTS:
            raise InvalidInput(f'part {part!r} is not measured; name some of {", ".join(PARTS)}')
    if options.compare:
        return _compare(options.compare, options.parts or list(PARTS))
    if options.quick and options.history:
        raise InvalidInput('--quick gives no figures to keep; leave --quick or --history out')
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
            around(options.page, f'bench {part}')  # not found to be missing after minutes
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
                put_between(options.page, f'bench {part}', tables(measured, about, day))
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
        raise InvalidInput(f'history {path} is not a file; --history FILE makes one')
    lines = [line for part in parts for line in history.changes(path, part)]
    print('\n'.join(lines or [f'{path}: nothing was measured twice on one kind of machine']))
    return 0
