# SPDX-License-Identifier: Apache-2.0
"""Journal repair: scan files of former runs and cut off a torn last record."""

import fcntl
from io import BytesIO
import logging
import os
from pathlib import Path
import struct
from typing import BinaryIO

from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, DataEnd, Footer, Schema
from mcap.writer import MCAP0_MAGIC, IndexType, Writer

from rl_control.common.errors import InvalidInput
from rl_control.ros.rosbag2_metadata import BagFile

RECORD_LIMIT = 128 * 2**20

logger = logging.getLogger(__name__)


def _end_mark() -> bytes:
    builder = RecordBuilder()
    DataEnd(0).write(builder)
    Footer(0, 0, 0).write(builder)
    return builder.end() + MCAP0_MAGIC


END_MARK = _end_mark()


class Buffer:
    """Stream of the MCAP writer: the bytes that are not yet in the file."""

    def __init__(self) -> None:
        self.start = 0
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        """Append `data`."""
        self.data += data
        return len(data)

    def tell(self) -> int:
        """Return the file offset of the next byte."""
        return self.start + len(self.data)


def start_writer(buffer: Buffer) -> Writer:
    """Return a writer into `buffer`, with the header of the file written."""
    writer = Writer(buffer, use_chunking=False, index_types=IndexType.NONE)
    writer.start(profile='ros2', library='rl_control')
    return writer


def write_all(descriptor: int, data: bytes | bytearray, offset: int) -> None:
    """Write all of `data` at `offset`."""
    written = 0
    with memoryview(data) as view:
        while written < len(view):
            with view[written:] as rest:
                written += os.pwrite(descriptor, rest, offset + written)


def repair(path: Path, ours: bool) -> BagFile:
    """
    Return the contents of a former file; cut the torn record off the end of one of `ours`.

    Only bytes that cannot be a record are cut. A file that is damaged before its end, and one
    of another program, stays as it is. Raise InvalidInput if another process writes the file.
    """
    with path.open('r+b' if ours else 'rb') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInput(
                f'journal {path} is being written by another process; choose another directory'
            ) from error
        found, whole, finished = scan(file, path.name)
        if finished or not ours:
            return found
        if not _torn(file, whole):
            logger.warning('journal %s is damaged after byte %d and left as it is; copy it '
                           'before you try to repair it', path, whole)
            return found
        start = Buffer()
        if whole == 0:
            start_writer(start)
        file.truncate(whole)
        write_all(file.fileno(), bytes(start.data) + END_MARK, whole)
    return found


def _torn(file: BinaryIO, whole: int) -> bool:
    """
    Return True if the bytes at `whole`, behind the last whole record, are of a torn record.

    That is a part of an end mark, or of a record whose rest is missing, or zeros, and no end of
    the file behind it. All else may have records behind it.
    """
    size = os.fstat(file.fileno()).st_size
    start = whole or len(MCAP0_MAGIC)
    if size - start <= len(END_MARK):
        return True
    file.seek(-len(MCAP0_MAGIC), os.SEEK_END)
    if file.read() == MCAP0_MAGIC:
        return False
    file.seek(start)
    opcode, length = struct.unpack('<BQ', file.read(9))
    if 0 < opcode <= max(Opcode):
        return opcode == Opcode.DATA_END or size < start + 9 + length <= start + RECORD_LIMIT
    file.seek(whole)
    return not any(map(any, iter(lambda: file.read(2**20), b'')))


def scan(file: BinaryIO, name: str) -> tuple[BagFile, int, bool]:
    """
    Return contents, end of the last whole record and completeness of an unchunked MCAP file.

    Only the headers of messages are read. A file without a whole header ends at 0.
    """
    found = BagFile(name)
    size = os.fstat(file.fileno()).st_size
    if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
        return found, 0, False
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    whole, start = 0, len(MCAP0_MAGIC)
    while len(head := file.read(9)) == 9:
        opcode, length = struct.unpack('<BQ', head)
        end = start + 9 + length
        if end > size or opcode == 0 or (whole == 0 and opcode != Opcode.HEADER):
            break
        if opcode == Opcode.DATA_END:
            file.seek(-len(MCAP0_MAGIC), os.SEEK_END)
            return found, whole, file.read() == MCAP0_MAGIC
        try:
            if opcode == Opcode.MESSAGE:
                channel, _, log_time = struct.unpack('<HIQ', file.read(14))
                found.count(channels[channel], log_time)
            elif opcode == Opcode.SCHEMA:
                schema = Schema.read(ReadDataStream(BytesIO(file.read(length))))
                schemas[schema.id] = schema.name
            elif opcode == Opcode.CHANNEL:
                record = Channel.read(ReadDataStream(BytesIO(file.read(length))))
                channels[record.id] = (record.topic, schemas[record.schema_id])
        except (McapError, struct.error, UnicodeDecodeError, KeyError):
            break
        file.seek(end)
        whole = start = end
    return found, whole, False
