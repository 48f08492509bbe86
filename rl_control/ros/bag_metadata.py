# SPDX-License-Identifier: Apache-2.0
"""What metadata.yaml says of a bag: files, topics, counts and times, as rosbag2 writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
import os
from pathlib import Path
import struct
from typing import Any, BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Schema
from mcap.writer import MCAP0_MAGIC
import yaml

from rl_control.ros.definitions import type_hash

# rosbag2_storage::BagMetadata of ROS 2 Jazzy.
VERSION = 9


@dataclass
class BagFile:
    """One file of a bag: messages by (topic, type), first and last log time in ns."""

    path: str
    start: int = 0
    end: int = 0
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def message_count(self) -> int:
        """Return how many messages the file has."""
        return sum(self.counts.values())

    def count(self, topic: tuple[str, str], log_time: int) -> None:
        """Count one message."""
        if not self.counts:
            self.start = log_time
        self.end = log_time
        self.counts[topic] = self.counts.get(topic, 0) + 1


def write_metadata(
    directory: Path, files: list[BagFile], offered: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """
    Write metadata.yaml aside and put it in place, so that it is whole at every moment.

    `offered` are the qualities of service of each topic's publishers, for whoever plays the bag.
    """
    counts: dict[tuple[str, str], int] = {}
    for file in files:
        for topic, number in file.counts.items():
            counts[topic] = counts.get(topic, 0) + number
    filled = [file for file in files if file.counts]
    start = min((file.start for file in filled), default=0)
    end = max((file.end for file in filled), default=0)
    information = {
        'version': VERSION,
        'storage_identifier': 'mcap',
        'duration': {'nanoseconds': end - start},
        'starting_time': {'nanoseconds_since_epoch': start},
        'message_count': sum(counts.values()),
        'topics_with_message_count': [
            {
                'topic_metadata': {
                    'name': name,
                    'type': type_name,
                    'serialization_format': 'cdr',
                    'offered_qos_profiles': [dict(item) for item in offered.get(name, ())],
                    'type_description_hash': type_hash(type_name),
                },
                'message_count': number,
            }
            for (name, type_name), number in counts.items()
        ],
        'compression_format': '',
        'compression_mode': '',
        'relative_file_paths': [file.path for file in files],
        'files': [
            {
                'path': file.path,
                'starting_time': {'nanoseconds_since_epoch': file.start},
                'duration': {'nanoseconds': file.end - file.start},
                'message_count': file.message_count,
            }
            for file in files
        ],
        'custom_data': {},
        'ros_distro': os.environ.get('ROS_DISTRO', ''),
    }
    aside = directory / '.metadata.yaml'
    aside.write_text(
        yaml.safe_dump({'rosbag2_bagfile_information': information}, sort_keys=False))
    aside.replace(directory / 'metadata.yaml')


def scan(file: BinaryIO, name: str) -> tuple[BagFile, int, bool]:
    """
    Return what an unchunked MCAP file holds, where its last whole record ends, if it has an end.

    Only the heads of the messages are read. A file without a whole header ends at 0.
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
