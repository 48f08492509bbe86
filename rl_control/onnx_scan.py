# SPDX-License-Identifier: Apache-2.0
"""How many parts an ONNX file has, counted in its bytes before a parser makes objects of them."""

from google.protobuf.descriptor import Descriptor, FieldDescriptor
import onnx

from rl_control.errors import Refused

PART_LIMIT = 300_000  # fields of all messages: an empty one has two bytes and becomes a hundred
PACKED_LIMIT = 2**20  # bytes of numbers that take one byte in a file and eight in memory
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; all else is out of use


def require_few_parts(data: bytes, name: str) -> None:
    """Raise Refused, calling it `name`, unless `data` is made of few enough protobuf fields."""
    parts = packed = 0
    waiting: list[tuple[int, int, Descriptor]] = [(0, len(data), onnx.ModelProto.DESCRIPTOR)]
    while waiting:
        at, end, kind = waiting.pop()
        while at < end:
            parts += 1
            if parts > PART_LIMIT:
                raise Refused(f'{name} has more than {PART_LIMIT} parts; use a smaller network')
            tag, at = _varint(data, at, end, name)
            field = kind.fields_by_number.get(tag >> 3)
            if tag & 7 == VARINT:
                _, at = _varint(data, at, end, name)
            elif tag & 7 in (FIXED32, FIXED64):
                at += 4 if tag & 7 == FIXED32 else 8
            elif tag & 7 == BYTES:
                length, at = _varint(data, at, end, name)
                if at + length > end:
                    raise Refused(f'{name} is no whole ONNX file; export or copy it again')
                if field is not None and field.type == FieldDescriptor.TYPE_MESSAGE:
                    waiting.append((at, at + length, field.message_type))
                elif field is not None and field.type not in (
                        FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING):
                    packed += length
                    if packed > PACKED_LIMIT:
                        raise Refused(
                            f'{name} has {packed} bytes of packed numbers in {field.name} and '
                            'before it; take a file that rl_control exported')
                at += length
            else:
                raise Refused(f'{name} is no whole ONNX file; export or copy it again')


def _varint(data: bytes, at: int, end: int, name: str) -> tuple[int, int]:
    """Return a number of the wire format and where the next one begins."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise Refused(f'{name} is no whole ONNX file; export or copy it again')
