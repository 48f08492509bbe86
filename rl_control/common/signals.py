# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as something to look at, and the end of a parent as a signal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import ctypes
import signal

INTERRUPTED = 130  # the exit status that shells give after Ctrl-C
PR_SET_PDEATHSIG = 1  # prctl(2)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them."""
    seen: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: seen.append(number)) for number in numbers]
    try:
        yield seen
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def with_parent(number: signal.Signals) -> Callable[[], object]:
    """Return what makes a child be sent `number` when its parent ends, to be its preexec_fn."""
    library = ctypes.CDLL(None)  # before the fork, after which little may be done
    return lambda: library.prctl(PR_SET_PDEATHSIG, number)
