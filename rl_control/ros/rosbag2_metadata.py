# SPDX-License-Identifier: Apache-2.0
"""metadata.yaml of rosbag2: files, topics, counts and times of a bag."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import os
from pathlib import Path
from typing import Any

import yaml

from rl_control.ros.message_definitions import type_hash

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
        """Return the number of messages in the file."""
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
    Write metadata.yaml by a rename, so that it is complete at any moment.

    `offered` are the QoS profiles of each topic's publishers, for a player of the bag.
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
