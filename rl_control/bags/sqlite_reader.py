# SPDX-License-Identifier: Apache-2.0
"""SQLite reader: read the rows of a rosbag2 file one by one, past damage."""

from collections.abc import Collection, Iterator
from pathlib import Path
import shutil
import sqlite3
import tempfile
from urllib.parse import quote

import zstandard

from rl_control.bags.bag_types import Losses, Raw, Topic

MAX_ROW_SKIP = 2**40  # rows to skip in search of a readable one
# Views, triggers, virtual tables, and columns that are computed or named like row numbers.
COMPUTED_OBJECTS = '''
    SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR NOT rootpage
    UNION ALL SELECT kept.name FROM sqlite_master AS kept, pragma_table_xinfo(kept.name) AS found
    WHERE kept.type = 'table' AND (found.hidden OR lower(found.name) = '_rowid_')'''


class _OversizedError(sqlite3.DatabaseError):
    """Rows have more bytes than the file: it computes them, or refers to one part many times."""


class SqliteFile:
    """SQLite file (.db3); a compressed one is unpacked into a temporary file while it is read."""

    def __init__(self, path: Path, losses: Losses) -> None:
        self.name = path.name
        self.path = path
        self._losses = losses

    def topics(self) -> list[Topic]:
        """Return the topics; add a note where they cannot be read."""
        with _Database(self.path, self.name, self._losses) as database:
            return list(self._topics(database).values())

    def messages(self, wanted: Collection[str] | None) -> Iterator[Raw]:
        """Return the messages of the topics named in `wanted`, or of all, in file order."""
        with _Database(self.path, self.name, self._losses) as database:
            topics = self._topics(database)
            used = {number: topic for number, topic in topics.items()
                    if wanted is None or topic.name in wanted}
            yield from self._rows(database, used)

    def _rows(self, database: '_Database', used: dict[int, Topic]) -> Iterator[Raw]:
        # By row number, which is the order of writing. The plus keeps SQLite from using an index,
        # which may be torn, and sorting would need memory or the disk.
        query = ('SELECT _rowid_, topic_id, timestamp, data FROM messages WHERE _rowid_ > ? AND '
                 f'+topic_id IN ({",".join("?" * len(used))}) ORDER BY _rowid_')
        last, step = -2**62, 1
        while step < MAX_ROW_SKIP:
            try:
                for row, topic, timestamp, data in database.rows(query, last, *used):
                    last, step = row, 1
                    if isinstance(data, bytes) and isinstance(timestamp, int):
                        yield Raw(timestamp, used[topic], data)
                    else:
                        self._losses.count(used[topic].name, 'is no row of bytes and a time')
                return
            except _OversizedError as error:
                self._losses.note(f'{self.name}: {error}; rows after {last} are not read')
                return
            except sqlite3.DatabaseError as error:
                self._losses.note(f'{self.name}: is damaged after row {max(last, 0)} ({error}); '
                                  'readable rows behind the damage are read')
                last, step = max(last, 0) + step, 2 * step

    def _topics(self, database: '_Database') -> dict[int, Topic]:
        try:
            for (name,) in database.rows(COMPUTED_OBJECTS):
                self._losses.note(f'{self.name}: computes the content of {name}, as no bag '
                                  'does; the file is not read')
                return {}
            rows = list(database.rows('SELECT id, name, type, serialization_format FROM topics'))
        except sqlite3.DatabaseError as error:
            self._losses.note(f'{self.name}: has no readable topics ({error}); the file '
                              'is not read')
            return {}
        try:
            texts = dict(database.rows(
                "SELECT topic_type, encoded_message_definition FROM message_definitions "
                "WHERE encoding = 'ros2msg'"))
        except sqlite3.DatabaseError:
            texts = {}  # files older than ROS 2 Iron have no such table
        return {number: Topic(name, kind, encoding, texts.get(kind, ''))
                for number, name, kind, encoding in rows}


class _Database:
    """SQLite connection, read-only, also in a directory without write permission."""

    def __init__(self, path: Path, name: str, losses: Losses) -> None:
        self._path = path
        self._name = name
        self._losses = losses
        self._unpacked: tempfile.TemporaryDirectory | None = None
        self._connection: sqlite3.Connection | None = None
        self._left = 0  # bytes that its rows may still have

    def rows(self, query: str, *values: int) -> Iterator[tuple]:
        """Yield the rows of `query`; raise _OversizedError beyond the bytes of the file."""
        assert self._connection is not None, 'it is not open'
        for row in self._connection.execute(query, values):
            self._left -= 1 + sum(len(value) for value in row if isinstance(value, (bytes, str)))
            if self._left < 0:
                raise _OversizedError('has rows of more bytes than the file')
            yield row

    def __enter__(self) -> '_Database':
        path = self._path
        if path.suffix == '.zstd':
            self._unpacked = tempfile.TemporaryDirectory(prefix='rl_control-bag-')
            path = Path(self._unpacked.name) / path.stem
            with self._path.open('rb') as packed, path.open('wb') as plain:
                try:
                    stream = zstandard.ZstdDecompressor().stream_reader(
                        packed, read_across_frames=True)
                    shutil.copyfileobj(stream, plain, 2**20)
                except zstandard.ZstdError as error:
                    self._losses.note(f'{self._name}: cannot be decompressed to its end ({error})')
        beside = [path.with_name(path.name + ending) for ending in ('-wal', '-journal')]
        unfinished = any(one.exists() for one in beside)
        self._left = sum(one.stat().st_size for one in (path, *beside) if one.exists())
        self._connection = self._connect(path, 'mode=ro' if unfinished else 'immutable=1')
        if unfinished and not _readable(self._connection):
            self._connection.close()
            self._losses.note(
                f'{self._name}: was being written, and its -wal or -journal file cannot be '
                'applied in a read-only directory; copy the bag to read it')
            self._connection = self._connect(path, 'immutable=1')
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._unpacked is not None:
            self._unpacked.cleanup()

    def _connect(self, path: Path, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(f'file:{quote(str(path))}?{mode}', uri=True)
        # The connection is read-only; this lets SQLite read a file shorter than its header states.
        connection.execute('PRAGMA writable_schema = ON')
        # A file may compute its content: limit a value to the size of the file.
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(2**20, path.stat().st_size))
        connection.text_factory = lambda data: data.decode(errors='replace')
        return connection


def _readable(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute('SELECT count(*) FROM topics').fetchone()
    except sqlite3.Error:
        return False
    return True
