# SPDX-License-Identifier: Apache-2.0
"""Comparison of contenders that take turns round by round, with goals for their figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path
from statistics import median
import sys
from typing import Any, NamedTuple

OURS = 'rl_control'
LIMIT = 'limit: '  # prefix of a contender that is a lower bound of the cost
INSTALL = "pip install -e '.[bench]'"

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Scale:
    """
    The amount of measurement: a number of `rounds`; `quick` is a smoke test.

    `keep` is a directory for the results of runs that last minutes, to resume from.
    """

    rounds: int = 7
    quick: bool = False
    seeds: int = 3
    keep: Path | None = None

    def size(self, full: int, quick: int) -> int:
        """Return `full`, or `quick` in a smoke test."""
        return quick if self.quick else full


class Contender(NamedTuple):
    """`make` prepares it once and returns a function that measures one round, or ImportError."""

    name: str
    make: Callable[[], Callable[[], Figures]]


@dataclass(frozen=True)
class Goal:
    """
    A bound of one figure of one contender.

    With `of` the bounds are shares of that contender's figure: the median over rounds of the
    ratio within a round, so that other load on the machine affects both.
    """

    figure: str
    at_most: float = math.inf
    at_least: float = -math.inf
    of: str = ''
    by: str = OURS

    def __str__(self) -> str:
        bound = f'at most {self.at_most:g}' if self.at_most < math.inf else (
            f'at least {self.at_least:g}')
        return f'{self.figure} {bound}{f" of {self.of}" if self.of else ""}'


@dataclass
class Comparison:
    """
    One quantity of several contenders: `values[contender][figure]` has one value per round.

    `more` means that more is better; `absent` has a line for each peer that is not installed.
    """

    what: str
    unit: str
    more: bool = False
    goals: Sequence[Goal] = ()
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def add(self, contender: str, figures: Figures) -> None:
        """Add the figures of one round of one contender."""
        known = self.values.setdefault(contender, {})
        for name, value in figures.items():
            known.setdefault(name, []).append(float(value))

    def median(self, contender: str, figure: str) -> float:
        """Return the median over the rounds."""
        return median(self.values[contender][figure])

    def ratio(self, contender: str, figure: str, by: str = OURS) -> float:
        """Return how many times better `by` is, the median over rounds; NaN if missing."""
        ours = self.values.get(by, {}).get(figure, [])
        theirs = self.values.get(contender, {}).get(figure, [])
        pairs = [(a, b) if self.more else (b, a) for a, b in zip(ours, theirs, strict=False)]
        return median(a / b if b else math.nan for a, b in pairs) if pairs else math.nan

    def verdicts(self) -> Iterator[tuple[Goal, float, bool]]:
        """Yield each goal that has figures, its value, and whether it is met."""
        for goal in self.goals:
            ours = self.values.get(goal.by, {}).get(goal.figure)
            if not ours:
                continue
            value = median(ours)
            if goal.of:
                theirs = self.values.get(goal.of, {}).get(goal.figure)
                if not theirs:
                    continue
                value = median(a / b for a, b in zip(ours, theirs, strict=False))
            yield goal, value, goal.at_least <= value <= goal.at_most

    def facts(self) -> dict[str, Any]:
        """Return the comparison as plain values for JSON."""
        return {
            'what': self.what, 'unit': self.unit, 'more_is_better': self.more,
            'contenders': {
                name: {figure: {
                    'median': median(values), 'least': min(values), 'most': max(values),
                    'rounds': len(values), 'ours_is_better_by': _number(self.ratio(name, figure)),
                } for figure, values in figures.items()}
                for name, figures in self.values.items()},
            'goals': [{'goal': str(goal), 'by': goal.by, 'value': value, 'met': met}
                      for goal, value, met in self.verdicts()],
            'absent': self.absent,
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines of a text table: medians, spans of the rounds, ratios, verdicts."""
        yield f'{self.what} [{self.unit}]'
        width = max(map(len, self.values), default=0)
        for name, figures in self.values.items():
            cells = []
            for figure, values in figures.items():
                ratio = self.ratio(name, figure)
                ahead = '' if name == OURS or math.isnan(ratio) else f', ours {ratio:.2f} x'
                cells.append(f'{figure} {short(median(values))} '
                             f'({short(min(values))} to {short(max(values))}{ahead})')
            yield f'  {name:{width}}  {"  ".join(cells)}'
        for goal, value, met in self.verdicts():
            yield f'  goal for {goal.by}: {goal}: {short(value)}, {"met" if met else "MISSED"}'
        yield from (f'  {line}' for line in self.absent)


def compare(
    what: str, unit: str, contenders: Sequence[Contender], rounds: int,
    goals: Sequence[Goal] = (), more: bool = False,
) -> Comparison:
    """Measure contenders in turns for `rounds` rounds; leave out those that are not installed."""
    found = Comparison(what, unit, more, goals)
    running = []
    for name, make in contenders:
        try:
            running.append((name, make()))
        except ModuleNotFoundError as error:
            found.absent.append(f'{name}: {error.name} is not installed: {INSTALL}')
    for number in range(rounds):
        for name, run in running:
            if sys.stderr.isatty():
                print(f'\r\033[K{what}: round {number + 1} of {rounds}: {name}', end='',
                      file=sys.stderr, flush=True)
            found.add(name, run())
    if sys.stderr.isatty():
        print('\r\033[K', end='', file=sys.stderr, flush=True)
    return found


def short(value: float) -> str:
    """Return a figure as text: three digits, or whole thousands."""
    return f'{value:,.0f}' if abs(value) >= 1000.0 else f'{value:.3g}'


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
