# SPDX-License-Identifier: Apache-2.0
"""Delivery accounting: compare produced transitions with journaled and spilled ones."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
import json
from pathlib import Path

from rl_control.ros.journal import read_journal
from rl_control.transport.outboxes import ACCOUNTS, SPILL
from rl_control.transport.spill_file import read_account, spill_files
from rl_control.transport.table import decode_table_cdr
from rl_control.transport.transition_rows import Origin

Ranges = list[tuple[int, int]]  # of row numbers, half-open


@dataclass(frozen=True)
class DeliveryAccount:
    """
    Counts of the transitions of a run: produced is the sum of journaled, waiting and lost.

    `waiting` transitions are in `spill/`, to be delivered at the next start of their collector;
    `lost` ones are in no file.
    """

    produced: int
    journaled: int
    waiting: int
    lost: int


def account(out: Path) -> DeliveryAccount:
    """Return the account of all transitions that collectors of the run `out` produced."""
    held, kept, made = _journaled(out), _spilled(out), produced(out)
    safe = {run: _size(held.get(run, ())) for run in made}
    here = {run: _size([*held.get(run, ()), *kept.get(run, ())]) for run in made}
    return DeliveryAccount(
        sum(made.values()), sum(safe.values()), sum(here[run] - safe[run] for run in made),
        sum(max(0, count - here[run]) for run, count in made.items()))


def produced(out: Path) -> dict[str, int]:
    """
    Return the transitions that each collector run produced.

    A run that ended normally wrote an account; a killed one has its count in its spill file.
    """
    paths = sorted((out / ACCOUNTS).glob('*.json'))
    accounts = [json.loads(path.read_text()) for path in paths]
    left = [read_account(path) for path in spill_files(out / SPILL)]
    return {
        **{identity.run: made for identity, made, _ in left},
        **{account['run']: account['produced'] for account in accounts},
    }


def journaled(out: Path) -> dict[str, int]:
    """
    Return the number of distinct transitions of each collector run in the journal.

    They are counted by sequence number, independently of the learner's figures.
    """
    return {run: _size(held) for run, held in _journaled(out).items()}


def _journaled(out: Path) -> dict[str, Ranges]:
    ranges: defaultdict[str, Ranges] = defaultdict(list)
    for topic, _, _, data in read_journal(out / 'journal'):
        if topic.endswith('/transitions'):
            table = decode_table_cdr(data)
            origin = Origin.from_header(table.header)
            first = origin.first_sequence
            ranges[origin.run].append((first, first + len(table.rows)))
    return ranges


def _spilled(out: Path) -> dict[str, Ranges]:
    """Return the rows in spill files, by collector run."""
    left = [read_account(path) for path in spill_files(out / SPILL)]
    return {identity.run: [(end - count, end)] for identity, end, count in left}


def _size(ranges: Iterable[tuple[int, int]]) -> int:
    """Return how many numbers lie in at least one of the half-open `ranges`."""
    total = end = 0
    for first, last in sorted(ranges):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total
