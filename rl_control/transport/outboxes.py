# SPDX-License-Identifier: Apache-2.0
"""What a collector has to deliver: its own rows, and those that its dead forerunners left."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_json
from rl_control.transport.outbox import Outbox
from rl_control.transport.spill_file import SUFFIX, Identity, RowFile, left_behind

SPILL, ACCOUNTS = 'spill', 'collectors'  # directories below `out`
FINAL_RESEND_PERIOD = (
    0.2  # s after which rows are sent again at the end: longer than from flush to flush
)


class Outboxes:
    """
    The outbox of this start of a collector, and of each start before it that was killed.

    Below `out`, None for none, lie `spill/<run>.rows` while a run has something to deliver, and
    then its account `collectors/<run>.json`. `start` is how many starts there were before this
    one. `tell` is given what cannot be delivered. One thread uses them.
    """

    def __init__(
        self, identity: Identity, width: int, out: Path | None, tell: Callable[[str], None],
    ) -> None:
        self._out = out
        self._tell = tell
        self._left: list[tuple[Identity, Outbox]] = []
        self.start = 0
        file = None
        if out is not None:
            self.start = len(_runs(out, identity.collector))
            for path in left_behind(out / SPILL, identity.collector):
                self._adopt(path, identity)
            file = RowFile.create(out / SPILL / f'{identity.run}{SUFFIX}', identity, width)
        self.identity = identity
        self.own = Outbox(width, file=file)

    @property
    def backlog(self) -> int:
        """Return how many rows wait for an acknowledgement, those of forerunners too."""
        return self.own.backlog + sum(outbox.backlog for _, outbox in self._left)

    @property
    def runs(self) -> set[str]:
        """Return the collector runs whose rows are here."""
        return {self.identity.run, *(identity.run for identity, _ in self._left)}

    def acknowledge(self, acknowledged: Mapping[str, tuple[int, int]], now: float) -> None:
        """
        Take the learner's (next expected, granted) by run.

        Raise InvalidInput for what cannot be.
        """
        for identity, outbox in [(self.identity, self.own), *self._left]:
            if identity.run in acknowledged:
                outbox.acknowledge(*acknowledged[identity.run], now)
        for identity, outbox in self._left:
            if not outbox.backlog:
                self._end(identity, outbox)
        self._left = [(identity, outbox) for identity, outbox in self._left if outbox.backlog]

    def pending(self, now: float) -> Iterator[tuple[Identity, int, np.ndarray, int]]:
        """Yield (whose, first number, rows, oldest number kept) of what is to be sent now."""
        for identity, outbox in [*self._left, (self.identity, self.own)]:
            while (batch := outbox.pending(now)) is not None:
                yield identity, *batch, outbox.oldest

    def hurry(self) -> None:
        """Send again sooner: there is little time, and the learner may just have been found."""
        for outbox in (self.own, *(outbox for _, outbox in self._left)):
            outbox.resend_period = min(outbox.resend_period, FINAL_RESEND_PERIOD)

    def figures(self) -> dict[str, str | int]:
        """Return the account of this start."""
        return _figures(self.identity, self.own) | {
            'left_by_killed': sum(outbox.backlog for _, outbox in self._left)}

    def close(self) -> None:
        """Leave accounts of what is delivered, and for the next start what is not."""
        self._end(self.identity, self.own)
        for _, outbox in self._left:
            outbox.close()

    def _adopt(self, path: Path, heir: Identity) -> None:
        try:
            file = RowFile.open_existing(path)
            if file is None:
                raise InvalidInput(f'{path} is in use; give each collector a name of its own')
        except InvalidInput as refused:
            self._tell(str(refused))
            return
        outbox = Outbox(file.width, file=file)
        if not outbox.backlog:
            self._end(file.identity, outbox)
        elif file.identity.contract_hash != heir.contract_hash:
            outbox.close()
            self._tell(f'{path} has {outbox.backlog} rows of another contract, which are left '
                       'there; start what made them again, or remove it')
        else:
            self._left.append((file.identity, outbox))

    def _end(self, identity: Identity, outbox: Outbox) -> None:
        if self._out is not None:
            path = self._out / ACCOUNTS / f'{identity.run}.json'
            try:
                write_json(path, _figures(identity, outbox))
            except OSError as error:
                self._tell(f'no account in {path}: {error.strerror}')
        outbox.close()


def _figures(identity: Identity, outbox: Outbox) -> dict[str, str | int]:
    return {
        'collector': identity.collector,
        'run': identity.run,
        'produced': outbox.produced,
        'acknowledged': outbox.oldest,
        'lost': outbox.lost,
        'resends': outbox.resends,
    }


def _runs(out: Path, collector: str) -> set[str]:
    """Return the runs of one collector that left anything below `out`."""
    accounts = (out / ACCOUNTS).glob('*.json') if (out / ACCOUNTS).is_dir() else ()
    return {path.stem for path in (*accounts, *left_behind(out / SPILL))
            if path.stem.rpartition('-')[0] == collector}
