# SPDX-License-Identifier: Apache-2.0
"""Time quality of a topic: rate, gaps, jitter and clocks, in constant memory."""

from dataclasses import dataclass, field
import math
from typing import Any

import numpy as np

LEAST, DECADES, PER_DECADE = 1e-6, 11, 200  # bins of 1.2 % from 1 us to 28 h
GAP_FACTOR = 1.5  # of the usual interval: a longer one has messages missing
CLOCK_WINDOW = 1_000_000_000  # ns of receipt over which the stamps' pace is measured


class Histogram:
    """Histogram of positive numbers in bins of equal ratio; quantiles are accurate to 1 %."""

    def __init__(self) -> None:
        self._counts = np.zeros(DECADES * PER_DECADE + 2, dtype=np.int64)
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Count `value`."""
        index = 0
        if value > LEAST:
            index = min(1 + int(PER_DECADE * math.log10(value / LEAST)), len(self._counts) - 1)
        self._counts[index] += 1
        self.largest = max(self.largest, value)

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (values, counts) of the bins that are not empty."""
        index = np.flatnonzero(self._counts)
        values = LEAST * 10.0 ** ((index - 0.5) / PER_DECADE)
        values[index == 0] = 0.0
        return np.minimum(values, self.largest), self._counts[index]

    def quantile(self, share: float) -> float | None:
        """Return the value that `share` of the numbers do not exceed, None without numbers."""
        return quantile(*self.bins(), share)


def quantile(values: np.ndarray, counts: np.ndarray, share: float) -> float | None:
    """Return the value that `share` of all do not exceed, each of `values` seen `counts` times."""
    if not len(values):
        return None
    order = np.argsort(values)
    reached = np.cumsum(counts[order]) >= share * counts.sum()
    return float(values[order][int(np.argmax(reached))])


@dataclass
class TopicTime:
    """Times of one topic, message by message in the order of receipt."""

    count: int = 0
    stamped: int = 0
    still: int = 0  # stamps equal to the one before
    backward: int = 0  # stamps before the one before
    begins: bool = False  # whether stamps say when a command begins, not when it was sent
    _first: int = 0
    _last: int = 0
    _intervals: Histogram = field(default_factory=Histogram)
    _stamp: int | None = None
    _offset: tuple[int, int] | None = None
    _ends: tuple[tuple[int, int], tuple[int, int]] | None = None
    _window: tuple[int, int] | None = None
    _paces: list[float] = field(default_factory=list)

    def add(self, receipt: int, stamp: int | None) -> None:
        """Add the receipt and the header's stamp of the next message, both in ns."""
        if self.count:
            self._intervals.add((receipt - self._last) * 1e-9)
        else:
            self._first = receipt
        self._last = receipt
        self.count += 1
        if stamp is None:
            return
        self.stamped += 1
        if self._stamp is not None:
            self.still += stamp == self._stamp
            self.backward += stamp < self._stamp
        self._stamp = stamp
        offset = receipt - stamp
        low, high = self._offset or (offset, offset)
        self._offset = min(low, offset), max(high, offset)
        first = self._ends[0] if self._ends else (receipt, stamp)
        self._ends = first, (receipt, stamp)
        if self._window is None:
            self._window = receipt, stamp
        elif (passed := receipt - self._window[0]) >= CLOCK_WINDOW:
            pace = (stamp - self._window[1]) / passed
            self._paces = [min([pace, *self._paces[:1]]), max([pace, *self._paces[1:]])]
            self._window = receipt, stamp

    def figures(self) -> dict[str, Any]:
        """Return the figures of a report: times in s, rates in Hz, None where unknown."""
        figures: dict[str, Any] = {'messages': self.count}
        if self.begins:
            figures |= {'stamped': self.stamped} | ({} if self._offset is None else {
                'begins_least': -self._offset[1] * 1e-9,
                'begins_largest': -self._offset[0] * 1e-9})
        if self.count < 2:
            return figures
        values, counts = self._intervals.bins()
        usual = quantile(values, counts, 0.5)
        figures |= {
            'duration': (self._last - self._first) * 1e-9,
            'rate': _ratio(self.count - 1, (self._last - self._first) * 1e-9),
            'interval_p50': usual,
            'jitter_p50': quantile(np.abs(values - usual), counts, 0.5),
            'jitter_p99': quantile(np.abs(values - usual), counts, 0.99),
            'largest_gap': self._intervals.largest,
            'gaps': int(counts[values > GAP_FACTOR * usual].sum()) if usual else None,
            'missing_estimate': _missing(values, counts, usual) if usual else None,
        }
        if self.begins:
            return figures
        if self._ends is None or self._offset is None:
            return figures | {'clock': 'no stamps'}
        (receipt, stamp), (last_receipt, last_stamp) = self._ends
        return figures | {
            'stamped': self.stamped,
            'stamps_equal_to_the_last': self.still,
            'stamps_before_the_last': self.backward,
            'offset_least': self._offset[0] * 1e-9,
            'offset_largest': self._offset[1] * 1e-9,
            # 1 for a clock that keeps pace, less for a simulation slower than real time.
            'stamp_pace': _ratio(last_stamp - stamp, last_receipt - receipt),
            'stamp_pace_least': self._paces[0] if self._paces else None,
            'stamp_pace_largest': self._paces[-1] if self._paces else None,
        }


def _missing(values: np.ndarray, counts: np.ndarray, usual: float) -> int:
    """Return the number of messages that fit into the gaps at the usual rate."""
    long = values > GAP_FACTOR * usual
    return int(((np.round(values[long] / usual) - 1) * counts[long]).sum())


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
