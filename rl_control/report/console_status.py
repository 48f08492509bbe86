# SPDX-License-Identifier: Apache-2.0
"""Console status: a live table in a terminal, plain lines elsewhere."""

from collections.abc import Mapping
import sys
import time
from types import TracebackType

from rich.live import Live
from rich.table import Table
from rich.text import Text


class Status:
    """Context manager that shows named values; a live display changes the terminal's state."""

    def __init__(self, title: str, plain_period: float) -> None:
        self._title = title
        self._plain_period = plain_period
        self._printed = -plain_period
        self._live = Live(refresh_per_second=4) if sys.stdout.isatty() else None

    def __enter__(self) -> 'Status':
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, values: Mapping[str, str]) -> None:
        """
        Show `values` now, or as a line when one is due.

        They are untrusted text: control characters and markup are shown, not interpreted.
        """
        values = {_plain(name): _plain(value) for name, value in values.items()}
        if self._live is not None:
            table = Table('name', 'value', title=self._title)
            for name, value in values.items():
                table.add_row(Text(name), Text(value))
            self._live.update(table)
        elif time.monotonic() - self._printed >= self._plain_period:
            self._printed = time.monotonic()
            print(f'{self._title}: ' + ', '.join(f'{k} {v}' for k, v in values.items()),
                  flush=True)


def _plain(text: str) -> str:
    return ''.join(one if one.isprintable() else '?' for one in text)
