# SPDX-License-Identifier: Apache-2.0
"""
Learner's journal: the recorded bag, as MCAP files in the layout of rosbag2.

A file is complete after every flush: its end mark is written with the records and overwritten by
the next ones, so that a bag whose writer was killed opens without repair. Records stand outside
chunks, as in rosbag2's `fastwrite` profile, so that a kill loses what was not flushed and no more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import fcntl
import os
from pathlib import Path
import re
import struct
from typing import Any

from mcap.exceptions import McapError
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
import yaml

from rl_control.common.errors import InvalidInput, Unavailable
from rl_control.ros.journal_repair import (
    END_MARK,
    RECORD_LIMIT,
    Buffer,
    repair,
    start_writer,
    write_all,
)
from rl_control.ros.message_definitions import message_definition, type_hash
from rl_control.ros.rosbag2_metadata import BagFile, write_metadata

BUFFER_LIMIT = 64 * 2**20
METADATA_PERIOD = 1_000_000_000  # ns of recorded time between updates of metadata.yaml


class Journal:
    """
    Append messages to a bag; one thread uses it.

    `write` only buffers; after `flush` the messages survive the death of the process, and with
    `sync` that of the machine. When the disk is full or gone, `flush` raises OSError, the file
    stays complete, nothing is forgotten, and the next `flush` tries again.
    """

    def __init__(self, directory: Path, name: str = 'journal') -> None:
        """
        Start the next file in `directory`, which is created if necessary.

        Files of earlier runs stay as they are; one of this name that was torn by a power loss is
        cut after its last whole record. Raise Unavailable when the directory cannot be written,
        InvalidInput when it is in use.
        """
        self.directory = Path(directory)
        self._descriptor = -1
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            earlier = journal_files(self.directory)
            self._files = [
                repair(path, bool(re.fullmatch(rf'{re.escape(name)}_\d+', path.stem)))
                for path in earlier]
            number = 1 + max((_number(path) for path in earlier), default=-1)
            self._path = self.directory / f'{name}_{number}.mcap'
            self._descriptor = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self._buffer = Buffer()
            self._writer = start_writer(self._buffer)
            self._file = BagFile(self._path.name)
            self._files.append(self._file)
            self._channels: dict[tuple[str, str], int] = {}
            self._schemas: dict[str, int] = {}
            self._offered: dict[str, list[Mapping[str, Any]]] = {}
            self._described = 0  # log time of the newest metadata.yaml
            self._undescribed = True  # True if metadata.yaml lacks a topic or a file
            self.flush()
        except OSError as error:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
                self._path.unlink(missing_ok=True)
            raise Unavailable(
                f'journal cannot write to {self.directory} ({error.strerror}); '
                'choose a writable directory with free space'
            ) from error

    @property
    def path(self) -> Path:
        """Return the file that is written."""
        return self._path

    @property
    def message_count(self) -> int:
        """Return how many messages this file has, flushed or not."""
        return self._file.message_count

    @property
    def full(self) -> bool:
        """Return True if more than 64 MiB wait for the disk, so that `write` would raise."""
        return len(self._buffer.data) > BUFFER_LIMIT

    def offer(self, topic: str, profiles: Sequence[Mapping[str, Any]]) -> None:
        """
        Declare the QoS that a topic's publishers offer, before its first message.

        A player offers the same; without it, our own subscriptions would receive nothing.
        """
        self._offered[topic] = list(profiles)

    def write(self, topic: str, type_name: str, data: bytes, log_time: int) -> None:
        """
        Buffer one serialized message that was received at `log_time` ns.

        Times are kept from going backwards, since readers of unchunked files demand it. Raise
        InvalidInput when `full`, closed, or for an unknown type.
        """
        if self._descriptor < 0:
            raise InvalidInput(f'journal {self._path} is closed; open a new one')
        if self.full:
            raise InvalidInput(
                f'journal {self._path} has {len(self._buffer.data)} unwritten bytes; make '
                'space on the disk'
            )
        channel = self._channels.get((topic, type_name))
        if channel is None:
            channel = self._register(topic, type_name)
        log_time = max(log_time, self._file.end)
        self._writer.add_message(channel, log_time, data, log_time)
        self._file.count((topic, type_name), log_time)

    def flush(self, sync: bool = False) -> None:
        """Write the buffer to the system, with `sync` to the disk; raise OSError on failure."""
        if self._buffer.data or self._buffer.start == 0:
            self._store(END_MARK)
        if self._undescribed or self._file.end - self._described >= METADATA_PERIOD:
            self._describe()
        if sync:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Finish the file with its summary; the file is closed even when that raises OSError."""
        if self._descriptor < 0:
            return
        try:
            self.flush()
            self._writer.finish()
            self._store(b'')
            self._describe()
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def _register(self, topic: str, type_name: str) -> int:
        if type_name not in self._schemas:
            text = message_definition(type_name).encode()
            self._schemas[type_name] = self._writer.register_schema(type_name, 'ros2msg', text)
        channel = self._writer.register_channel(topic, 'cdr', self._schemas[type_name], {
            'topic_type_hash': type_hash(type_name),
            'offered_qos_profiles': yaml.safe_dump(self._offered.get(topic, []), sort_keys=False),
        })
        self._channels[topic, type_name] = channel
        self._undescribed = True
        return channel

    def _store(self, mark: bytes) -> None:
        """Append the buffer and `mark` to the file, all or nothing."""
        start, data = self._buffer.start, self._buffer.data
        try:
            data += mark  # in place: a copy of a long buffer costs more than writing it
            write_all(self._descriptor, data, start)
        except OSError:
            del data[len(data) - len(mark):]
            os.ftruncate(self._descriptor, start)
            if start:
                write_all(self._descriptor, END_MARK, start)
            raise
        self._buffer.start += len(data) - len(mark)
        data.clear()

    def _describe(self) -> None:
        write_metadata(self.directory, self._files, self._offered)
        self._described, self._undescribed = self._file.end, False


def journal_files(directory: Path) -> list[Path]:
    """Return the MCAP files of a bag in the order they were written."""
    return sorted(directory.glob('*.mcap'), key=lambda path: (_number(path), path.name))


def _number(path: Path) -> int:
    found = re.search(r'_(\d+)$', path.stem)
    return int(found[1]) if found else 0


def read_journal(
    directory: Path, on_cut: Callable[[Path, str], None] | None = None
) -> Iterator[tuple[str, str, int, bytes]]:
    """
    Return an iterator over (topic, type name, log time ns, serialized message) of all files.

    A truncated file is read up to its end; `on_cut` gets the reason. Raise InvalidInput if the
    directory does not exist.
    """
    if not directory.is_dir():
        raise InvalidInput(f'journal {directory} is no directory; name that of a recorded bag')
    return _read_files(journal_files(directory), on_cut)


def _read_files(
    paths: list[Path], on_cut: Callable[[Path, str], None] | None
) -> Iterator[tuple[str, str, int, bytes]]:
    for path in paths:
        schemas: dict[int, str] = {}
        channels: dict[int, Channel] = {}
        with open(path, 'rb') as file:
            try:
                for record in StreamReader(file, record_size_limit=RECORD_LIMIT).records:
                    if isinstance(record, Schema):
                        schemas[record.id] = record.name
                    elif isinstance(record, Channel):
                        channels[record.id] = record
                    elif isinstance(record, Message):
                        channel = channels[record.channel_id]
                        name = schemas[channel.schema_id]
                        yield channel.topic, name, record.log_time, record.data
            except (McapError, struct.error, UnicodeDecodeError, KeyError) as error:
                if on_cut is not None:
                    on_cut(path, f'{type(error).__name__} {error}'.strip())
