# SPDX-License-Identifier: Apache-2.0
"""Outboxes of a collector: its own run, and the spill files of its dead runs to deliver."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_json
from rl_control.transport.outbox import Outbox
from rl_control.transport.spill_file import SUFFIX, Identity, SpillFile, spill_files

SPILL, ACCOUNTS = 'spill', 'collectors'  # directories below `out`
FINAL_RESEND_PERIOD = 0.2  # s to the next resend while shutting down; above the flush period


class Outboxes:
    """
    The outbox of this collector run, and one for each earlier run that was killed.

    Below the directory `out` (None: keep nothing on disk) lie `spill/<run>.rows` while a run has
    rows to deliver, and afterwards its account `collectors/<run>.json`. `start` is the number of
    earlier runs. `log_error` gets a sentence for each file that cannot be delivered. To be used
    from one thread.
    """

    def __init__(
        self, identity: Identity, width: int, out: Path | None, log_error: Callable[[str], None],
    ) -> None:
        self._out = out
        self._log_error = log_error
        self._inherited: list[tuple[Identity, Outbox]] = []
        self.start = 0
        file = None
        if out is not None:
            self.start = len(_runs(out, identity.collector))
            for path in spill_files(out / SPILL, identity.collector):
                self._take_over(path, identity)
            file = SpillFile.create(out / SPILL / f'{identity.run}{SUFFIX}', identity, width)
        self.identity = identity
        self.own = Outbox(width, file=file)

    @property
    def backlog(self) -> int:
        """Return how many rows are not acknowledged, those of earlier runs included."""
        return self.own.backlog + sum(outbox.backlog for _, outbox in self._inherited)

    @property
    def runs(self) -> set[str]:
        """Return the collector runs that have an outbox here."""
        return {self.identity.run, *(identity.run for identity, _ in self._inherited)}

    def acknowledge(self, acknowledged: Mapping[str, tuple[int, int]], now: float) -> None:
        """
        Apply the learner's (next expected, granted) by run, and close what is delivered.

        Raise InvalidInput for an acknowledgement of rows that were never appended.
        """
        for identity, outbox in [(self.identity, self.own), *self._inherited]:
            if identity.run in acknowledged:
                outbox.acknowledge(*acknowledged[identity.run], now)
        for identity, outbox in self._inherited:
            if not outbox.backlog:
                self._finish(identity, outbox)
        self._inherited = [one for one in self._inherited if one[1].backlog]

    def pending(self, now: float) -> Iterator[tuple[Identity, int, np.ndarray, int]]:
        """Yield (identity, first number, rows, oldest number kept) of each message to send."""
        for identity, outbox in [*self._inherited, (self.identity, self.own)]:
            while (batch := outbox.pending(now)) is not None:
                yield identity, *batch, outbox.oldest

    def shorten_resend_period(self) -> None:
        """Resend sooner while shutting down: the learner may have just been discovered."""
        for outbox in (self.own, *(outbox for _, outbox in self._inherited)):
            outbox.resend_period = min(outbox.resend_period, FINAL_RESEND_PERIOD)

    def account(self) -> dict[str, str | int]:
        """Return the delivery counts of this run."""
        return _account(self.identity, self.own) | {
            'left_by_killed': sum(outbox.backlog for _, outbox in self._inherited)}

    def close(self) -> None:
        """Write the accounts of delivered runs; leave the files of the others for the next run."""
        self._finish(self.identity, self.own)
        for _, outbox in self._inherited:
            outbox.close()

    def _take_over(self, path: Path, own: Identity) -> None:
        """Open the spill file of an earlier run, to deliver its rows with those of `own`."""
        try:
            file = SpillFile.open_existing(path)
            if file is None:
                raise InvalidInput(f'{path} is in use; give each collector a name of its own')
        except InvalidInput as refused:
            self._log_error(str(refused))
            return
        outbox = Outbox(file.width, file=file)
        if not outbox.backlog:
            self._finish(file.identity, outbox)
        elif file.identity.contract_hash != own.contract_hash:
            outbox.close()
            self._log_error(f'{path} has {outbox.backlog} rows of another contract, which stay '
                            'there; start the collector that made them again, or remove it')
        else:
            self._inherited.append((file.identity, outbox))

    def _finish(self, identity: Identity, outbox: Outbox) -> None:
        if self._out is not None:
            path = self._out / ACCOUNTS / f'{identity.run}.json'
            try:
                write_json(path, _account(identity, outbox))
            except OSError as error:
                self._log_error(f'account {path} cannot be written: {error.strerror}')
        outbox.close()


def _account(identity: Identity, outbox: Outbox) -> dict[str, str | int]:
    return {
        'collector': identity.collector,
        'run': identity.run,
        'produced': outbox.produced,
        'acknowledged': outbox.oldest,
        'lost': outbox.lost,
        'resends': outbox.resends,
    }


def _runs(out: Path, collector: str) -> set[str]:
    """Return the runs of one collector that have a file below `out`."""
    accounts = (out / ACCOUNTS).glob('*.json') if (out / ACCOUNTS).is_dir() else ()
    return {path.stem for path in (*accounts, *spill_files(out / SPILL))
            if path.stem.rpartition('-')[0] == collector}
