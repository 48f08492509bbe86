# SPDX-License-Identifier: Apache-2.0
"""Signals: poll SIGINT and SIGTERM; signal a child when its parent ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import ctypes
import signal

INTERRUPTED = 130  # exit status after Ctrl-C, as shells report it
PR_SET_PDEATHSIG = 1  # prctl(2)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list instead of ending the process."""
    seen: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: seen.append(number)) for number in numbers]
    try:
        yield seen
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def end_with_parent(number: signal.Signals) -> Callable[[], object]:
    """Return a preexec_fn after which a child receives `number` when its parent ends."""
    library = ctypes.CDLL(None)  # before the fork: after it few calls are safe
    return lambda: library.prctl(PR_SET_PDEATHSIG, number)
