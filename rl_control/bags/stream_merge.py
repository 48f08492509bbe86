# SPDX-License-Identifier: Apache-2.0
"""Merge and sort streams by time with bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import heapq
from typing import Any, TypeVar

T = TypeVar('T', bound=tuple)  # its first element is a time in ns

WINDOW = 1_000_000_000  # ns: a message further behind its successors is late
SIZE_LIMIT = 64 * 2**20  # bytes held for sorting at most


def in_order(
    items: Iterable[T], late: Callable[[T, int], Any], window: int = WINDOW,
    size: Callable[[T], int] = lambda _: 64, size_limit: int = SIZE_LIMIT,
) -> Iterator[T]:
    """
    Return `items` sorted by time, items of equal time in their order of arrival.

    An item is held until one that is `window` ns younger arrives, or until the held items exceed
    `size_limit`. An item that arrives after its successors were returned goes to `late`, with the
    ns that it is behind the newest: less than `window` where `size_limit` was the reason.
    """
    waiting: list[tuple[int, int, T]] = []
    held, passed, newest = 0, None, None
    for number, item in enumerate(items):
        time = item[0]
        if passed is not None and time < passed:
            late(item, newest - time)
            continue
        if newest is None or time > newest:
            newest = time
        heapq.heappush(waiting, (time, number, item))
        held += size(item)
        while waiting and (waiting[0][0] <= newest - window or held > size_limit):
            passed, _, out = heapq.heappop(waiting)
            held -= size(out)
            yield out
    while waiting:
        yield heapq.heappop(waiting)[2]


def merged(parts: Sequence[tuple[int, Callable[[], Iterator[T]]]]) -> Iterator[T]:
    """
    Return the items of several sorted streams in the order of time.

    Each part is (time of its first item, function that opens it): a stream is opened when its
    time is reached, so that the files of a long recording are open one after the other.
    """
    pending = sorted(((start, index, begin) for index, (start, begin) in enumerate(parts)),
                     key=lambda part: part[:2], reverse=True)
    running: list[tuple[int, int, T, Iterator[T]]] = []

    def advance(index: int, stream: Iterator[T]) -> None:
        item = next(stream, None)
        if item is not None:
            heapq.heappush(running, (item[0], index, item, stream))

    while pending or running:
        while pending and (not running or pending[-1][0] <= running[0][0]):
            _, index, begin = pending.pop()
            advance(index, begin())
        if running:
            _, index, item, stream = heapq.heappop(running)
            yield item
            advance(index, stream)
