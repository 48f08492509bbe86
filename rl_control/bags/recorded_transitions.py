# SPDX-License-Identifier: Apache-2.0
"""Recorded transitions: the rows of `transitions` topics, each once and in order."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
import heapq
from typing import Any

import numpy as np

from rl_control.bags.bag_reader import Bag
from rl_control.bags.bag_types import Losses, Raw
from rl_control.bags.joint_mapping import TABLE
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.transport.inbox import Inbox, Received
from rl_control.transport.outbox import WINDOW
from rl_control.transport.table import Table, decode_table_cdr
from rl_control.transport.transition_rows import (
    EPISODE_COLUMNS,
    EpisodeRow,
    Origin,
    TransitionRows,
    transition_columns,
    validate_rows,
)

BATCH = 2048  # rows that are validated at once


def own_topics(bag: Bag, ending: str) -> list[str]:
    """Return the names of the topics with this package's tables `ending`, in any namespace."""
    return [topic.name for topic in bag.topics.values()
            if topic.type == TABLE and topic.name.rsplit('/', 1)[-1] == ending
            and topic.encoding == 'cdr']


@dataclass(order=True)
class _Waiting:
    """Batch received before its predecessor."""

    first: int
    number: int
    rows: np.ndarray = field(compare=False)


class InOrder:
    """
    Reorder buffer: return each row once, in the order of its sequence number.

    A recorder may have missed messages. A gap is held open as long as the collector could still
    resend it; then it counts as lost. Rows that come later, as from a second recording, are
    returned when they come.
    """

    def __init__(self) -> None:
        self.inbox = Inbox()
        self._waiting: dict[str, list[_Waiting]] = {}
        self._batches = 0

    def take(self, origin: Origin, rows: np.ndarray) -> Iterator[tuple[str, int, np.ndarray]]:
        """
        Add `rows` (k, m); return (run, number of the first row, rows) of what is in order.

        Raise InvalidInput if another collector already uses the run.
        """
        known = self.inbox.runs.get(origin.run)
        if known is not None and known.collector != origin.collector:
            raise InvalidInput(f'run {origin.run} is also used by {known.collector}')
        self._batches += 1
        heapq.heappush(self._waiting.setdefault(origin.run, []),
                       _Waiting(origin.first_sequence, self._batches, rows))
        # Rows before `oldest` were acknowledged and will not be sent again.
        yield from self._ready(origin.collector, origin.run, origin.oldest)

    def finish(self) -> Iterator[tuple[str, int, np.ndarray]]:
        """Return the remaining rows, also behind an open gap; call it at the end."""
        for run, waiting in self._waiting.items():
            while waiting:
                yield from self._ready(self.inbox.runs[run].collector, run, waiting[0].first)

    def _ready(
        self, collector: str, run: str, given_up: int,
    ) -> Iterator[tuple[str, int, np.ndarray]]:
        waiting = self._waiting[run]
        while waiting:
            known = self.inbox.runs.setdefault(run, Received(collector))
            first = waiting[0].first
            held = sum(len(batch.rows) for batch in waiting) if first > known.expected else 0
            if first > known.expected and first > given_up and held <= 2 * WINDOW:
                return
            rows = heapq.heappop(waiting).rows
            new = known.add(first, first + len(rows))
            known.give_up_before(
                max(known.oldest, first) if first > known.expected else known.oldest)
            for start, end in new:
                yield run, start, rows[start - first:end - first]


class Rows:
    """
    Reader of transition tables: return each valid row once, see `InOrder`.

    Use one object for several bags: repeated rows are dropped. `refused` counts invalid rows.
    """

    def __init__(self, contract: Contract) -> None:
        self.refused: dict[str, int] = {}
        self._contract = contract
        self._hash = contract.hash  # computed anew at each access
        self._columns = transition_columns(contract)
        self._order = InOrder()
        self._held: dict[str, list[np.ndarray]] = {}

    def take(self, raw: Raw, losses: Losses) -> Iterator[tuple[str, TransitionRows]]:
        """
        Add one message; return (collector run, rows) in batches.

        Raise InvalidInput for another contract.
        """
        try:
            table = decode_table_cdr(raw.data, None)
            origin = Origin.from_header(table.header)
        except InvalidInput as refused:
            losses.count(raw.topic.name, str(refused))
            return
        self._require_contract(table, origin, raw)
        try:
            for run, _, rows in self._order.take(origin, table.rows):
                held = self._held.setdefault(run, [])
                held.append(rows)
                if sum(map(len, held)) >= BATCH:
                    yield from self._usable(run)
        except InvalidInput as refused:
            losses.count(raw.topic.name, str(refused))

    def finish(self) -> Iterator[tuple[str, TransitionRows]]:
        """Return the remaining rows; call it at the end."""
        for run, _, rows in self._order.finish():
            self._held.setdefault(run, []).append(rows)
        for run in list(self._held):
            yield from self._usable(run)

    def figures(self) -> dict[str, Any]:
        """Return the counts of each collector run, in rows."""
        runs = {run: asdict(known) for run, known in self._order.inbox.runs.items()}
        for known in runs.values():
            # Counts of the live connection, without meaning here.
            del known['gaps'], known['refused'], known['oldest'], known['ranges']
        return {'runs': runs, 'refused': dict(self.refused)}

    def _usable(self, run: str) -> Iterator[tuple[str, TransitionRows]]:
        """Validate and return the held rows of a run, many at once."""
        fresh = np.concatenate(self._held.pop(run))
        good, reasons = validate_rows(fresh, self._contract)
        for reason, count in reasons.items():
            self.refused[reason] = self.refused.get(reason, 0) + count
        if good.any():
            yield run, TransitionRows.read(fresh[good], self._contract)

    def _require_contract(self, table: Table, origin: Origin, raw: Raw) -> None:
        if origin.contract_hash != self._hash or table.columns != self._columns:
            raise InvalidInput(
                f'{raw.topic.name} was recorded with contract {origin.contract_hash[:12]} and '
                f'columns [{", ".join(table.columns)}] but robot {self._contract.robot} and task '
                f'{self._contract.task} have {self._hash[:12]} and '
                f'[{", ".join(self._columns)}]; give the robot and task of the recording')


def read_episodes(bag: Bag) -> Iterator[tuple[str, EpisodeRow]]:
    """Return (collector run, episode) of each table of episodes, each once."""
    seen: set[tuple[str, int]] = set()
    for raw in bag.messages(own_topics(bag, 'episodes'), ordered=False):
        try:
            table = decode_table_cdr(raw.data, EPISODE_COLUMNS)
            origin = Origin.from_header(table.header)
            rows = [EpisodeRow.from_row(row) for row in table.rows]
        except InvalidInput as refused:
            bag.losses.count(raw.topic.name, str(refused))
            continue
        for number, row in enumerate(rows, origin.first_sequence):
            if (origin.run, number) not in seen:
                seen.add((origin.run, number))
                yield origin.run, row
