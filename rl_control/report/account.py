# SPDX-License-Identifier: Apache-2.0
"""Count what was lost: what collectors say they produced, against what the journal holds."""

from collections import defaultdict
import json
from pathlib import Path

from rl_control.outboxes import ACCOUNTS, SPILL
from rl_control.ros.journal import read_journal
from rl_control.ros.rows import Origin
from rl_control.ros.table import decode_table_cdr
from rl_control.spill import left_behind, produced_by


def produced(out: Path) -> dict[str, int]:
    """
    Return the transitions that each collector run produced.

    A run that ended well left an account; one that was killed counted in the file of its rows.
    """
    paths = sorted((out / ACCOUNTS).glob('*.json'))
    accounts = [json.loads(path.read_text()) for path in paths]
    left = [produced_by(path) for path in left_behind(out / SPILL)]
    return {
        **{identity.run: made for identity, made, _ in left},
        **{account['run']: account['produced'] for account in accounts},
    }


def journaled(out: Path) -> dict[str, int]:
    """
    Return the distinct transitions of each collector run in the journal, read back whole.

    They are counted by sequence number, apart from what the learner says of them.
    """
    ranges: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for topic, _, _, data in read_journal(out / 'journal'):
        if topic.endswith('/transitions'):
            table = decode_table_cdr(data)
            origin = Origin.from_header(table.header)
            first = origin.first_sequence
            ranges[origin.run].append((first, first + len(table.rows)))
    return {run: _union(held) for run, held in ranges.items()}


def transitions_lost(out: Path) -> int:
    """Return how many transitions were produced and are not in the journal."""
    safe = journaled(out)
    return sum(max(0, made - safe.get(run, 0)) for run, made in produced(out).items())


def _union(ranges: list[tuple[int, int]]) -> int:
    """Return how many numbers lie in at least one of the half-open `ranges`."""
    total = end = 0
    for first, last in sorted(ranges):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total
