# SPDX-License-Identifier: Apache-2.0
"""
MCAP reader: read front to back, up to a cut and past a damaged chunk.

The `mcap` package drops a torn chunk and stops at a damaged one. This reader returns the records
before the tear, and skips messages of other topics without parsing them.
Format: https://mcap.dev/spec
"""

from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path
import struct
from typing import BinaryIO
import zlib

import lz4.frame
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Schema
from mcap.writer import MCAP0_MAGIC
import zstandard

from rl_control.bags.bag_types import Losses, Raw, Topic

RECORD_LIMIT = 2**30  # bytes: a longer record counts as damage
CHUNK_LIMIT = 32 * 2**20  # bytes that a chunk may have unpacked, and twice what it has packed
_HEAD = struct.Struct('<BQ')
_MESSAGE = struct.Struct('<HIQQ')
_CHUNK = struct.Struct('<QQQII')
_FOOTER = struct.Struct('<QQI')


class McapFile:
    """MCAP file, plain or compressed as a whole."""

    def __init__(self, path: Path, losses: Losses) -> None:
        self.name = path.name
        self.path = path
        self._losses = losses

    def open(self) -> BinaryIO:
        """Return the file's stream, decompressed where the whole file is compressed."""
        if self.path.suffix == '.zstd':
            file = self.path.open('rb')
            return zstandard.ZstdDecompressor().stream_reader(
                file, read_across_frames=True, closefd=True)
        return self.path.open('rb', buffering=2**20)

    def topics(self) -> list[Topic]:
        """Return the topics: from the summary of a finished file, else from all its records."""
        with self.open() as file:
            if self.path.suffix == '.zstd' or not _seek_summary(file):
                if self.path.suffix != '.zstd':
                    file.seek(0)
                scan = _Scan(self.name, Losses(), ())
                for _ in scan.messages(file):
                    continue
                return list(scan.topics.values())
            scan = _Scan(self.name, Losses(), None)
            for opcode, content in scan.records(file):
                scan.register(opcode, content)
            return list(scan.topics.values())

    def messages(self, wanted: Collection[str] | None) -> Iterator[Raw]:
        """Return the messages of the topics named in `wanted`, or of all, in file order."""
        with self.open() as file:
            yield from _Scan(self.name, self._losses, wanted).messages(file)


def _seek_summary(file: BinaryIO) -> bool:
    """Seek the summary of a finished file; return False where there is none."""
    size = file.seek(0, 2)
    length = _HEAD.size + _FOOTER.size + len(MCAP0_MAGIC)
    if size < length:
        return False
    file.seek(size - length)
    end = file.read(length)
    opcode, _ = _HEAD.unpack_from(end)
    start, _, _ = _FOOTER.unpack_from(end, _HEAD.size)
    if opcode != Opcode.FOOTER or not end.endswith(MCAP0_MAGIC) or not 0 < start < size:
        return False
    file.seek(start)
    return True


class _Scan:
    """One pass over a file: its channels and the position of a cut."""

    def __init__(self, name: str, losses: Losses, wanted: Collection[str] | None) -> None:
        self.topics: dict[int, Topic] = {}
        self._name = name
        self._losses = losses
        self._wanted = wanted
        self._schemas: dict[int, Schema] = {}
        self._used: dict[int, Topic] = {}
        self._at = 0
        self._torn = False  # the current chunk is the last one and incomplete

    def messages(self, file: BinaryIO) -> Iterator[Raw]:
        magic = self._read(file, len(MCAP0_MAGIC))
        self._at = len(magic)
        if magic != MCAP0_MAGIC:
            self._losses.note(f'{self._name}: begins with {magic!r}, not with the bytes of an '
                              'MCAP file; it is not read')
            return
        for opcode, content in self.records(file):
            if opcode == Opcode.MESSAGE:
                yield from self._message(content, 0, len(content))
            elif opcode == Opcode.CHUNK:
                yield from self._chunk(content)
            elif opcode == Opcode.DATA_END:
                return
            else:
                self.register(opcode, content)

    def records(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """Return (opcode, content) up to the footer; of a torn chunk what is there."""
        while True:
            head = self._read(file, _HEAD.size)
            if len(head) < _HEAD.size:
                self._cut(f'after {self._at + len(head)} bytes, without its end')
                return
            opcode, length = _HEAD.unpack(head)
            if opcode == 0:
                self._cut(f'at byte {self._at}, where no record begins')
                return
            if length > RECORD_LIMIT:
                self._cut(f'at byte {self._at}, where a record claims {length} bytes; at most '
                          f'{RECORD_LIMIT} are read')
                return
            content = self._read(file, length)
            if len(content) < length:
                self._cut(f'after {self._at + _HEAD.size + len(content)} bytes, within a record')
                if opcode == Opcode.CHUNK:
                    self._torn = True
                    yield opcode, content
                return
            self._at += _HEAD.size + length
            if opcode == Opcode.FOOTER:
                return
            yield opcode, content

    def register(self, opcode: int, content: bytes) -> None:
        """Register a schema or a channel; ignore other records."""
        try:
            if opcode == Opcode.SCHEMA:
                schema = Schema.read(ReadDataStream(BytesIO(content)))
                self._schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                channel = Channel.read(ReadDataStream(BytesIO(content)))
                schema = self._schemas.get(channel.schema_id)
                text = ''
                if schema is not None and schema.encoding == 'ros2msg':
                    text = schema.data.decode()
                topic = Topic(channel.topic, schema.name if schema else '',
                              channel.message_encoding, text)
                self.topics[channel.id] = topic
                if self._wanted is None or topic.name in self._wanted:
                    self._used[channel.id] = topic
        except (McapError, struct.error, UnicodeDecodeError) as error:
            self._losses.note(f'{self._name}: a description at byte {self._at} is damaged '
                              f'({type(error).__name__})')

    def _message(self, buffer: bytes, at: int, end: int) -> Iterator[Raw]:
        if end - at < _MESSAGE.size:
            self._losses.note(f'{self._name}: a message before byte {self._at} is damaged')
            return
        channel, _, log_time, publish_time = _MESSAGE.unpack_from(buffer, at)
        if not log_time and publish_time:
            self._losses.note(f'{self._name}: has receive times of 0; the times of publication '
                              'are used for them')
            log_time = publish_time
        topic = self._used.get(channel)
        if topic is not None:
            yield Raw(log_time, topic, buffer[at + _MESSAGE.size:end])
        elif channel not in self.topics:
            self._losses.count(f'channel {channel} of {self._name}', 'its topic is unknown')

    def _chunk(self, content: bytes) -> Iterator[Raw]:
        if (data := self._unpacked(content)) is None:
            return
        at = 0
        while at + _HEAD.size <= len(data):
            opcode, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            if at + length > len(data):
                return
            if opcode == Opcode.MESSAGE:
                yield from self._message(data, at, at + length)
            else:
                self.register(opcode, data[at:at + length])
            at += length

    def _unpacked(self, content: bytes) -> bytes | None:
        """Return a chunk's records, those before a tear, or None if it is damaged."""
        try:
            _, _, size, crc, length = _CHUNK.unpack_from(content)
            at = _CHUNK.size + length
            compression = content[_CHUNK.size:at].decode()
            (packed,) = struct.unpack_from('<Q', content, at)
            records = content[at + 8:at + 8 + packed]
            if size > CHUNK_LIMIT + 2 * len(records):
                raise ValueError(f'claims to unpack to {size} bytes; at most '
                                 f'{CHUNK_LIMIT + 2 * len(records)} are unpacked')
            if compression == 'zstd':
                with zstandard.ZstdDecompressor().stream_reader(records) as stream:
                    records = stream.read(size)
            elif compression == 'lz4':
                records = lz4.frame.LZ4FrameDecompressor().decompress(records, size)
            elif compression:
                raise ValueError(f'is compressed by {compression!r}, which is not supported')
            if len(records) == size and crc and zlib.crc32(records) != crc:
                raise ValueError('has a wrong checksum')
        except (struct.error, ValueError, RuntimeError, zstandard.ZstdError) as error:
            if not self._torn:
                self._losses.note(f'{self._name}: the chunk before byte {self._at} {error}; '
                                  'its messages are not read')
            return None
        return records

    def _cut(self, where: str) -> None:
        self._losses.note(f'{self._name}: ends {where}; what precedes it is read')

    def _read(self, file: BinaryIO, length: int) -> bytes:
        """Return `length` bytes, or fewer at the end; a decompressing stream returns parts."""
        try:
            data = file.read(length)
            while len(data) < length and (more := file.read(length - len(data))):
                data += more
        except zstandard.ZstdError as error:
            self._losses.note(f'{self._name}: cannot be decompressed to its end ({error})')
            return b''
        return data
