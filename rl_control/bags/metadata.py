# SPDX-License-Identifier: Apache-2.0
"""Layout of a bag: the files that metadata.yaml names and those that exist."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rl_control.bags.bag_types import Losses
from rl_control.common.errors import InvalidInput

ENDINGS = ('.mcap', '.db3', '.mcap.zstd', '.db3.zstd')
SIZE_LIMIT = 2**20  # bytes of metadata.yaml: parsed it needs a hundred times as many


@dataclass
class Layout:
    """Files of a bag in order, their start times in ns where known, and message counts."""

    files: list[Path]
    starts: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def layout(path: Path, losses: Losses) -> Layout:
    """
    Return the layout of the bag at `path`, a directory or a file.

    Raise InvalidInput for any other path.
    """
    if path.name == 'metadata.yaml':
        path = path.parent
    if path.suffix == '.bag':
        raise InvalidInput(f'{path} is a bag of ROS 1; convert it with rosbags-convert first')
    if path.is_file():
        if not path.name.endswith(ENDINGS):
            raise InvalidInput(f'{path} is no bag; name a directory or a file that ends in '
                          f'{", ".join(ENDINGS)}')
        return Layout([path])
    if not path.is_dir():
        raise InvalidInput(
            f'there is no bag {path}; name a directory or file that rosbag2 recorded'
        )
    present = {file.name: file for file in _present(path)}
    described = _described(path / 'metadata.yaml', losses)
    found = Layout([])
    for name in described.get('relative_file_paths') or []:
        name = Path(str(name)).name  # bags older than ROS 2 Foxy prefix their own directory
        file = present.pop(name, None)
        if file is None:
            losses.note(f'{name}: is named by metadata.yaml but does not exist')
        else:
            found.files.append(file)
    if described and present:
        losses.note(f'{", ".join(present)}: not named by metadata.yaml; read as well')
    found.files += present.values()
    if not found.files:
        raise InvalidInput(f'{path} has no bag files; name a directory with {", ".join(ENDINGS)}')
    _read_facts(described, found)
    return found


def _present(path: Path) -> list[Path]:
    """Return the existing files by number, omitting a compressed copy of a plain file."""
    files = [file for file in path.iterdir() if file.name.endswith(ENDINGS)]
    names = {file.name for file in files}
    kept = [file for file in files if file.name.removesuffix('.zstd') not in names - {file.name}]
    return sorted(kept, key=lambda file: (_number(file.name), file.name))


def _number(name: str) -> int:
    last = name.split('.', 1)[0].rsplit('_', 1)[-1]
    return int(last) if last.isdecimal() else 0


def _described(path: Path, losses: Losses) -> dict[str, Any]:
    if not path.is_file():
        losses.note('metadata.yaml: is missing; topics and counts come from the files')
        return {}
    try:
        if (size := path.stat().st_size) > SIZE_LIMIT:
            losses.note(f'metadata.yaml: has {size} bytes, of which at most {SIZE_LIMIT} are '
                        'read; topics and counts come from the files')
            return {}
        described = yaml.safe_load(path.read_text())['rosbag2_bagfile_information']
        return dict(described)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError) as error:
        losses.note(f'metadata.yaml: cannot be read ({type(error).__name__}); topics and '
                    'counts come from the files')
        return {}


def _read_facts(described: dict[str, Any], found: Layout) -> None:
    """Take start times and counts if they are well formed; the files have precedence."""
    try:
        for file in described.get('files') or []:
            start = file['starting_time']['nanoseconds_since_epoch']
            found.starts[Path(str(file['path'])).name] = int(start)
        for topic in described.get('topics_with_message_count') or []:
            name = str(topic['topic_metadata']['name'])
            found.counts[name] = found.counts.get(name, 0) + int(topic['message_count'])
    except (TypeError, KeyError, ValueError):
        found.starts.clear()
        found.counts.clear()
