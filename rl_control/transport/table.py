# SPDX-License-Identifier: Apache-2.0
"""Table codec: rows with named columns, and their CDR bytes as std_msgs/Float64MultiArray."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import json
import struct

import numpy as np

from rl_control.common.errors import InvalidInput

MESSAGE_LIMIT = 64 * 2**20
HEADER_LIMIT = 2**20
COLUMN_LIMIT = 4096

# The encapsulation that rmw layers write on every platform of ROS 2: plain CDR version 1,
# little-endian. The last two bytes count the padding at the end, of which a table, a multiple of
# four bytes long, has none.
ENCAPSULATION = b'\x00\x01\x00\x00'


@dataclass(frozen=True, eq=False)
class Table:
    """`rows` (n, m) float64, the m names `columns`, and a `header` that describes all rows."""

    columns: tuple[str, ...]
    rows: np.ndarray
    header: Mapping[str, str | int | list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = np.ascontiguousarray(self.rows, dtype=np.float64)
        object.__setattr__(self, 'rows', rows)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise InvalidInput(
                f'table has {len(self.columns)} column names but rows of shape {rows.shape}; '
                'give one name per column'
            )


def write_labels(table: Table) -> tuple[str, str]:
    """Return the two dimension labels: the header as compact JSON, the column names."""
    for name in table.columns:
        if not name or ',' in name or '\0' in name:
            raise InvalidInput(f'column {name!r} cannot be sent; use a name without commas')
    header = json.dumps(_checked_header(dict(table.header)), separators=(',', ':'))
    if len(header) > HEADER_LIMIT:
        raise InvalidInput(
            f'table header has {len(header)} bytes; at most {HEADER_LIMIT} are sent'
        )
    return header, ','.join(table.columns)


def read_labels(header: str, names: str) -> tuple[dict, tuple[str, ...]]:
    """
    Return header and column names from the two labels.

    Raise InvalidInput if `write_labels` did not write them.
    """
    return read_header(header), tuple(names.split(',')) if names else ()


def read_header(text: str) -> dict[str, str | int | list[str]]:
    """Return the header from its JSON; raise InvalidInput for any other text."""
    if len(text) > HEADER_LIMIT:
        raise InvalidInput(f'header has {len(text)} characters; at most {HEADER_LIMIT} are read')
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f'header {text[:40]!r} is no JSON; use a sender of this package'
        ) from error
    return _checked_header(header)


def _checked_header(header: object) -> dict[str, str | int | list[str]]:
    if not isinstance(header, dict):
        raise InvalidInput(f'header is a {type(header).__name__}; it must be a JSON object')
    for name, value in header.items():
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        if not (isinstance(value, str) or number or texts):
            raise InvalidInput(
                f'header field {name!r} is {str(value)[:40]}; '
                'it must be a text, an integer or a list of texts'
            )
    return header


def require_columns(found: tuple[str, ...], expected: tuple[str, ...] | None) -> None:
    """Raise InvalidInput showing both lists unless `expected` is None or the same."""
    if expected is not None and found != expected:
        raise InvalidInput(
            f'table has columns [{", ".join(found)}] but [{", ".join(expected)}] are expected; '
            'use a sender of the same contract'
        )


def require_shape(
    sizes: tuple[int, int], strides: tuple[int, int], offset: int, columns: int, numbers: int
) -> None:
    """Raise InvalidInput unless the layout describes exactly the data."""
    n, m = sizes
    if m != columns or n * m != numbers or strides != (n * m, m) or offset != 0:
        raise InvalidInput(
            f'table claims {n} x {m} with strides {strides} and offset {offset} but has {columns} '
            f'columns and {numbers} numbers; use a sender of this package'
        )
    if m > COLUMN_LIMIT or n > MESSAGE_LIMIT // 8:
        raise InvalidInput(f'table has {n} rows and {m} columns; at most {COLUMN_LIMIT} are read')


def decode_table_cdr(raw: bytes, columns: tuple[str, ...] | None = None) -> Table:
    """
    Return the table in `raw`, a serialized std_msgs/Float64MultiArray.

    The same result as rclpy's deserialisation and `codec.decode_table`, for readers that have the
    bytes and want to save rclpy's copy. Layout: OMG CDR (formal/02-06-51,
    15.3), where alignment counts from after the 4 bytes of encapsulation. Bytes behind the message
    are ignored. Raise InvalidInput for anything else.
    """
    if len(raw) > MESSAGE_LIMIT:
        raise InvalidInput(f'table has {len(raw)} bytes; at most {MESSAGE_LIMIT} are read')
    if bytes(raw[:4]) != ENCAPSULATION:
        raise InvalidInput(
            f'table has CDR encapsulation 0x{bytes(raw[:4]).hex()}; only little-endian plain CDR '
            '(0x00010000) is read, so use an rmw that writes it, such as rmw_fastrtps_cpp'
        )
    try:
        cursor = _Cursor(raw)
        dimensions = cursor.uint32()
        if dimensions != 2:
            raise InvalidInput(f'table has {dimensions} dimensions; it must have 2')
        labels, sizes, strides = [], [], []
        for _ in range(2):
            labels.append(cursor.text())
            sizes.append(cursor.uint32())
            strides.append(cursor.uint32())
        offset = cursor.uint32()
        data = cursor.doubles()
    except (struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(
            f'table of {len(raw)} bytes cannot be read ({error}); the message is cut or damaged'
        ) from error
    header, found = read_labels(*labels)
    require_columns(found, columns)
    require_shape(tuple(sizes), tuple(strides), offset, len(found), data.size)
    return Table(found, data.reshape(sizes), header)


class _Cursor:
    """Read position in serialized bytes; each method reads a value and advances."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 4

    def uint32(self) -> int:
        self.at = 4 + (self.at - 4 + 3) // 4 * 4
        (value,) = struct.unpack_from('<I', self.raw, self.at)
        self.at += 4
        return value

    def text(self) -> str:
        length = self.uint32()
        end = self.at + length
        if length < 1 or end > len(self.raw) or self.raw[end - 1] != 0:
            raise struct.error('a text goes beyond the end')
        value = bytes(self.raw[self.at:end - 1]).decode()
        if '\0' in value:
            raise struct.error('a text has a zero in it')
        self.at = end
        return value

    def doubles(self) -> np.ndarray:
        count = self.uint32()
        # An empty sequence has no first element to align to.
        start = 4 + (self.at - 4 + 7) // 8 * 8 if count else self.at
        if start + 8 * count > len(self.raw):
            raise struct.error(f'{count} numbers go beyond the end')
        self.at = start + 8 * count
        return np.frombuffer(self.raw, '<f8', count, start).astype(np.float64)
