# SPDX-License-Identifier: Apache-2.0
"""CDR layout: read and write the numbers of serialized messages with a fixed structure."""

from functools import cached_property
import struct

import numpy as np

from rl_control.transport.table import ENCAPSULATION

AHEAD = len(ENCAPSULATION)


class Layout:
    """
    The bytes of a message, added field by field in the order of its definition.

    Fields with a value are equal in all messages of this layout; `numbers` differ. OMG CDR
    (formal/02-06-51, 15.3) aligns a number to its size, counted from after the encapsulation.
    Padding bytes between two fields may have any value.
    """

    def __init__(self) -> None:
        self._bytes = bytearray(ENCAPSULATION)
        self._fixed = list(range(AHEAD))

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
        """Add `number` numbers of `size` bytes; return their places (number,) in `seen_as`."""
        if number:  # else there is nothing to align
            self._align(size)
        first = (len(self._bytes) - AHEAD) // size
        self._bytes += bytes(number * size)
        return np.arange(first, first + number)

    def doubles(self, number: int) -> np.ndarray:
        """Add a sequence of float64 of that length; return the places of its numbers."""
        self.count(number)
        return self.numbers(number, 8)

    def fits(self, raw: bytes) -> bool:
        """Return True if a serialized message has this layout; bytes behind it are ignored."""
        return len(raw) >= len(self._bytes) and self._of(raw) == self._value

    def blank(self) -> np.ndarray:
        """Return a message of bytes (k,) whose numbers are 0, where `numbers` may be written."""
        # One more encapsulation in front brings what is aligned in it into line in memory.
        raw = np.zeros(AHEAD + len(self._bytes), np.uint8)[AHEAD:]
        raw[:] = np.frombuffer(self._bytes, np.uint8)
        return raw

    @cached_property
    def _places(self) -> np.ndarray:
        return np.array(self._fixed)

    @cached_property
    def _value(self) -> bytes:
        return self._of(self._bytes)

    def _of(self, raw: bytes | bytearray) -> bytes:
        """Return the bytes that are equal in all messages."""
        return np.frombuffer(raw, np.uint8)[self._places].tobytes()

    def _align(self, size: int) -> None:
        self._bytes += bytes((AHEAD - len(self._bytes)) % size)

    def _add(self, data: bytes) -> None:
        self._fixed += range(len(self._bytes), len(self._bytes) + len(data))
        self._bytes += data


def seen_as(kind: str, raw: bytes | np.ndarray) -> np.ndarray:
    """Return a whole serialized message as numbers of one `kind`: '<f8', '<i4'."""
    return np.frombuffer(raw, kind, (len(raw) - AHEAD) // int(kind[-1]), AHEAD)
