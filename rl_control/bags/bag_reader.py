# SPDX-License-Identifier: Apache-2.0
"""Bag reader: stream the messages of any rosbag2 recording in the order of receipt."""

from collections.abc import Collection, Iterator
from pathlib import Path

import zstandard

from rl_control.bags.bag_types import ZSTD_MAGIC, Losses, Raw, Topic, same_topic
from rl_control.bags.mcap_reader import McapFile
from rl_control.bags.metadata import layout
from rl_control.bags.sqlite_reader import SqliteFile
from rl_control.bags.stream_merge import SIZE_LIMIT, WINDOW, in_order, merged
from rl_control.common.errors import InvalidInput


class Bag:
    """
    Rosbag2 recording: a directory or one of its files, MCAP or SQLite, compressed or not.

    `losses` collects the messages that cannot be read, so it is complete after the messages were
    read to their end. Raises InvalidInput where there is no bag.
    """

    def __init__(self, path: Path | str, losses: Losses | None = None) -> None:
        self.path = Path(path).expanduser()
        self.losses = Losses() if losses is None else losses
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
                    self.losses.note(f'{file.name}: has {topic.name} as {topic.type}; other files '
                                     f'of the bag have it as {known.type}')
        self._unpack = zstandard.ZstdDecompressor()

    @property
    def name(self) -> str:
        """Return the name of the directory or file."""
        return self.path.name

    @property
    def size(self) -> int:
        """Return the size of all files in bytes."""
        return sum(file.stat().st_size for file in self._layout.files)

    @property
    def expected(self) -> dict[str, int]:
        """Return the number of messages by topic that metadata.yaml states."""
        return self._layout.counts

    def messages(
        self, wanted: Collection[str] | None = None, *, ordered: bool = True,
    ) -> Iterator[Raw]:
        """
        Return the messages of the topics in `wanted`, or of all topics, sorted by receipt.

        With `ordered` false they come in the order of the files. A message that stands a second
        or more behind its receipt time is counted as a loss.
        """
        if not ordered or not self._files:
            for file in self._files:
                yield from self._plain(file.messages(wanted))
            return
        yield from merged([
            (self._start(file), lambda file=file: self._sorted(file.messages(wanted)))
            for file in self._files
        ])

    def matching(self, name: str | None, types: Collection[str], ending: str) -> list[Topic]:
        """Return the topics called `name`, or those of `types` whose name ends in `ending`."""
        if name is not None:
            return [topic for topic in self.topics.values() if same_topic(topic.name, name)]
        return [topic for topic in self.topics.values() if topic.type in types
                and topic.name.rsplit('/', 1)[-1] == ending.strip('/')]

    def find(self, name: str | None, types: Collection[str], ending: str, option: str) -> Topic:
        """
        Return the topic called `name`, or the only one of `types` whose name ends in `ending`.

        Raise InvalidInput with the candidates and the `option` that decides.
        """
        found = self.matching(name, types, ending)
        if len(found) == 1:
            return found[0]
        problem = f'no topic {name}' if name is not None else (
            f'{len(found)} topics named {ending}' if found else f'no topic named {ending}')
        candidates = [topic for topic in self.topics.values() if topic.type in types]
        names = ', '.join(topic.name for topic in (candidates or self.topics.values()))
        raise InvalidInput(
            f'bag {self.path} has {problem}; choose with {option} from: {names or "none"}'
        )

    def _start(self, file: McapFile | SqliteFile) -> int:
        """Return a time in ns before which the file has no message."""
        if len(self._files) == 1:
            return 0
        start = self._layout.starts.get(file.name)
        if start is None:
            first = next(type(file)(file.path, Losses()).messages(None), None)
            start = 0 if first is None else first.receipt
        return start - WINDOW

    def _sorted(self, messages: Iterator[Raw]) -> Iterator[Raw]:
        def late(raw: Raw, behind: int) -> None:
            self.losses.count(raw.topic.name, (
                'is stored more than 1 s behind its receipt time' if behind >= WINDOW else
                f'is out of order among more than {SIZE_LIMIT} bytes within 1 s'))

        return in_order(self._plain(messages), late, size=lambda raw: 200 + len(raw.data))

    def _plain(self, messages: Iterator[Raw]) -> Iterator[Raw]:
        """Decompress messages that were compressed one by one; no CDR message begins like zstd."""
        for raw in messages:
            if raw.data[:4] == ZSTD_MAGIC:
                try:
                    data = self._unpack.decompressobj().decompress(raw.data)
                except (zstandard.ZstdError, MemoryError) as error:
                    self.losses.count(raw.topic.name, f'cannot be decompressed ({error})')
                    continue
                raw = raw._replace(data=data)
            yield raw
