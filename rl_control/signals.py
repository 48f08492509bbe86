# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as something to look at, for what must save its work first."""

from collections.abc import Iterator
from contextlib import contextmanager
import signal

INTERRUPTED = 130  # the exit status that shells give after Ctrl-C


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
