# SPDX-License-Identifier: Apache-2.0
"""Journal reader: transitions in the order of their receipt, each once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.transition_batch import TransitionBatch
from rl_control.common.types import Contract
from rl_control.ros.journal import read_journal
from rl_control.transport.inbox import Inbox
from rl_control.transport.table import decode_table_cdr
from rl_control.transport.transition_rows import (
    Origin,
    TransitionRows,
    transition_columns,
    validate_rows,
)

CHUNK_ROWS = 16384  # rows that are decoded at once


def to_transition_batch(
    received: list[np.ndarray], runs: list[str], contract: Contract, inbox: Inbox,
) -> tuple[TransitionBatch, dict[str, int]]:
    """
    Return the steps in the rows of several messages, the k-th of which is of the run runs[k].

    Rejected rows are left out, counted in `inbox`, and by reason in the second value. Many rows
    at once cost little each.
    """
    streams = tuple(dict.fromkeys(runs))
    index = {run: number for number, run in enumerate(streams)}
    stream = np.repeat([index[run] for run in runs], [len(rows) for rows in received])
    rows = np.concatenate(received)
    good, reasons = validate_rows(rows, contract)
    read = TransitionRows.read(rows[good], contract)
    for number, count in enumerate(np.bincount(stream[~good], minlength=len(streams))):
        inbox.refuse(streams[number], int(count))
    return read.steps(streams, stream[good]), reasons


def read_history(
    directory: Path, topic: str, contract: Contract, inbox: Inbox,
    on_cut: Callable[[Path, str], None] | None = None,
) -> Iterator[TransitionBatch]:
    """
    Yield the transitions on `topic` in order of receipt, and restore the state of `inbox`.

    The inbox drops duplicates, as it did when recording. Raise InvalidInput for a journal of
    another contract.
    """
    columns, contract_hash = transition_columns(contract), contract.hash
    chunk: list[np.ndarray] = []
    runs: list[str] = []
    waiting = 0
    for name, _, _, raw in read_journal(directory, on_cut):
        if name != topic:
            continue
        try:
            table = decode_table_cdr(raw, columns)
            origin = Origin.from_header(table.header, contract_hash)
        except InvalidInput as refused:
            raise InvalidInput(
                f'journal {directory} is of another contract: {refused}'
            ) from refused
        new = inbox.accept(
            origin.collector, origin.run, origin.first_sequence, table.rows, origin.oldest)
        chunk.append(new)
        runs.append(origin.run)
        waiting += len(new)
        if waiting >= CHUNK_ROWS:
            yield to_transition_batch(chunk, runs, contract, inbox)[0]
            chunk, runs, waiting = [], [], 0
    if chunk:
        yield to_transition_batch(chunk, runs, contract, inbox)[0]
