# SPDX-License-Identifier: Apache-2.0
"""CDR layout: read and write the numbers of serialized messages with a fixed structure."""

from functools import cached_property
import struct

import numpy as np

from rl_control.transport.table import ENCAPSULATION

HEADER_SIZE = len(ENCAPSULATION)


class Layout:
    """
    The bytes of a message, added field by field in the order of its definition.

    Fields with a value are equal in all messages of this layout; `numbers` differ. OMG CDR
    (formal/02-06-51, 15.3) aligns a number to its size, counted from after the encapsulation.
    Padding bytes between two fields may have any value.
    """

    def __init__(self) -> None:
        self._bytes = bytearray(ENCAPSULATION)
        self._fixed = list(range(HEADER_SIZE))

    def count(self, value: int) -> None:
        """Add the length of the sequence that follows."""
        self._align(4)
        self._add(struct.pack('<I', value))

    def text(self, value: str) -> None:
        """Add a string."""
        data = value.encode() + b'\0'
        self.count(len(data))
        self._add(data)

    def texts(self, values: list[str]) -> None:
        """Add a sequence of strings."""
        self.count(len(values))
        for value in values:
            self.text(value)

    def numbers(self, number: int, size: int) -> np.ndarray:
        """Add `number` numbers of `size` bytes; return their indices (number,) in `as_numbers`."""
        if number:  # an empty sequence is not aligned
            self._align(size)
        first = (len(self._bytes) - HEADER_SIZE) // size
        self._bytes += bytes(number * size)
        return np.arange(first, first + number)

    def doubles(self, number: int) -> np.ndarray:
        """Add a sequence of float64 of that length; return the indices of its numbers."""
        self.count(number)
        return self.numbers(number, 8)

    def fits(self, raw: bytes) -> bool:
        """Return True if a serialized message has this layout; bytes behind it are ignored."""
        return len(raw) >= len(self._bytes) and self._constant(raw) == self._expected

    def blank(self) -> np.ndarray:
        """Return the bytes (k,) of a message whose numbers are 0, to be written into."""
        # Four more bytes in front align the numbers in memory as well.
        raw = np.zeros(HEADER_SIZE + len(self._bytes), np.uint8)[HEADER_SIZE:]
        raw[:] = np.frombuffer(self._bytes, np.uint8)
        return raw

    @cached_property
    def _places(self) -> np.ndarray:
        return np.array(self._fixed)

    @cached_property
    def _expected(self) -> bytes:
        return self._constant(self._bytes)

    def _constant(self, raw: bytes | bytearray) -> bytes:
        """Return the bytes that are equal in all messages."""
        return np.frombuffer(raw, np.uint8)[self._places].tobytes()

    def _align(self, size: int) -> None:
        self._bytes += bytes((HEADER_SIZE - len(self._bytes)) % size)

    def _add(self, data: bytes) -> None:
        self._fixed += range(len(self._bytes), len(self._bytes) + len(data))
        self._bytes += data


def as_numbers(kind: str, raw: bytes | np.ndarray) -> np.ndarray:
    """Return a whole serialized message as numbers of one `kind`: '<f8', '<i4'."""
    return np.frombuffer(raw, kind, (len(raw) - HEADER_SIZE) // int(kind[-1]), HEADER_SIZE)
