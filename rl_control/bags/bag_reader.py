# SPDX-License-Identifier: Apache-2.0
"""Open a bag, whatever its storage and state, and stream its messages in the order of time."""

from collections.abc import Collection, Iterator
from pathlib import Path

import zstandard

from rl_control.bags.bag_types import ZSTD_MAGIC, Losses, Raw, Topic, same_topic
from rl_control.bags.mcap_reader import McapFile
from rl_control.bags.metadata import layout
from rl_control.bags.sqlite_reader import SqliteFile
from rl_control.bags.stream_merge import WINDOW, in_order, merged
from rl_control.common.errors import InvalidInput


class Bag:
    """
    A recording: rosbag2's directory or one of its files, MCAP or SQLite, compressed or not.

    What cannot be read is told in `losses` as it is met, so it is complete after the messages
    were read to their end. Raises InvalidInput where there is no bag.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser()
        self.losses = Losses()
        self._layout = layout(self.path, self.losses)
        self._files = [
            (McapFile if '.mcap' in file.name else SqliteFile)(file, self.losses)
            for file in self._layout.files
        ]
        self.topics: dict[str, Topic] = {}
        for file in self._files:
            for topic in file.topics():
                known = self.topics.setdefault(topic.name, topic)
                if known.type != topic.type:
                    self.losses.note(f'{file.name}: has {topic.name} as {topic.type}, which is '
                                     f'{known.type} elsewhere in the bag')
        self._unpack = zstandard.ZstdDecompressor()

    @property
    def size(self) -> int:
        """Return how many bytes the files have."""
        return sum(file.stat().st_size for file in self._layout.files)

    @property
    def expected(self) -> dict[str, int]:
        """Return the number of messages by topic that metadata.yaml speaks of."""
        return self._layout.counts

    def messages(
        self, wanted: Collection[str] | None = None, *, ordered: bool = True,
    ) -> Iterator[Raw]:
        """
        Return the messages of the topics in `wanted`, or of all, sorted by receipt.

        With `ordered` false they come as they stand in the files. One that stands a second or
        more behind its time is counted as a loss.
        """
        if not ordered or not self._files:
            for file in self._files:
                yield from self._plain(file.messages(wanted))
            return
        yield from merged([
            (self._start(file), lambda file=file: self._sorted(file.messages(wanted)))
            for file in self._files
        ])

    def find(self, name: str | None, types: Collection[str], ending: str, option: str) -> Topic:
        """
        Return the topic called `name`, or without a name the only one that it can be.

        That is one of `types` whose name ends in `ending`. Raise InvalidInput, saying what there
        is and which `option` decides.
        """
        candidates = [topic for topic in self.topics.values() if topic.type in types]
        if name is not None:
            found = [topic for topic in self.topics.values() if same_topic(topic.name, name)]
        else:
            found = [topic for topic in candidates
                     if topic.name.rsplit('/', 1)[-1] == ending.strip('/')]
        if len(found) == 1:
            return found[0]
        asked = f'no topic {name}' if name is not None else (
            f'{len(found)} topics named {ending}' if found else f'no topic named {ending}')
        names = ', '.join(topic.name for topic in (candidates or self.topics.values()))
        raise InvalidInput(
            f'bag {self.path} has {asked}; choose with {option} from: {names or "none"}'
        )

    def _start(self, file: McapFile | SqliteFile) -> int:
        """Return a time in ns before which the file has nothing."""
        if len(self._files) == 1:
            return 0
        start = self._layout.starts.get(file.name)
        if start is None:
            first = next(type(file)(file.path, Losses()).messages(None), None)
            start = 0 if first is None else first.receipt
        return start - WINDOW

    def _sorted(self, messages: Iterator[Raw]) -> Iterator[Raw]:
        def late(raw: Raw) -> None:
            self.losses.count(raw.topic.name, 'stands more than 1 s behind its time in the file')

        return in_order(self._plain(messages), late, size=lambda raw: 200 + len(raw.data))

    def _plain(self, messages: Iterator[Raw]) -> Iterator[Raw]:
        """Unpack messages that were compressed one by one; nothing in CDR begins like zstd."""
        for raw in messages:
            if raw.data[:4] == ZSTD_MAGIC:
                try:
                    data = self._unpack.decompressobj().decompress(raw.data)
                except (zstandard.ZstdError, MemoryError) as error:
                    self.losses.count(raw.topic.name, f'cannot be unpacked ({error})')
                    continue
                raw = raw._replace(data=data)
            yield raw
