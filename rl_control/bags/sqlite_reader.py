# SPDX-License-Identifier: Apache-2.0
"""SQLite files of rosbag2, read row by row: past damage where there is some."""

from collections.abc import Collection, Iterator
from pathlib import Path
import shutil
import sqlite3
import tempfile
from urllib.parse import quote

import zstandard

from rl_control.bags.bag_types import Losses, Raw, Topic

FARTHEST = 2**40  # rows to look ahead for what is still readable
# Views, triggers, virtual tables, and columns that are computed or pass for the rows' numbers.
STRANGE = '''
    SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR NOT rootpage
    UNION ALL SELECT kept.name FROM sqlite_master AS kept, pragma_table_xinfo(kept.name) AS found
    WHERE kept.type = 'table' AND (found.hidden OR lower(found.name) = '_rowid_')'''


class _Swollen(sqlite3.DatabaseError):
    """A file computes what it says to hold, or has one part in many places."""


class SqliteFile:
    """One .db3 file; a compressed one is unpacked into a temporary file while it is read."""

    def __init__(self, path: Path, losses: Losses) -> None:
        self.name = path.name
        self.path = path
        self._losses = losses

    def topics(self) -> list[Topic]:
        """Return the topics; none, with a note, when the file does not say."""
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
        # By row number, which is the order of writing: an index may be torn, which the plus keeps
        # from being used, and sorting would need memory or the disk.
        query = ('SELECT _rowid_, topic_id, timestamp, data FROM messages WHERE _rowid_ > ? AND '
                 f'+topic_id IN ({",".join("?" * len(used))}) ORDER BY _rowid_')
        last, step = -2**62, 1
        while step < FARTHEST:
            try:
                for row, topic, timestamp, data in database.rows(query, last, *used):
                    last, step = row, 1
                    if isinstance(data, bytes) and isinstance(timestamp, int):
                        yield Raw(timestamp, used[topic], data)
                    else:
                        self._losses.count(used[topic].name, 'is no row of bytes and a time')
                return
            except _Swollen as error:
                self._losses.note(f'{self.name}: {error}; nothing behind row {last} is read')
                return
            except sqlite3.DatabaseError as error:
                self._losses.note(f'{self.name}: is damaged behind row {max(last, 0)} ({error}); '
                                  'what can still be found is read')
                last, step = max(last, 0) + step, 2 * step

    def _topics(self, database: '_Database') -> dict[int, Topic]:
        try:
            for (strange,) in database.rows(STRANGE):
                self._losses.note(f'{self.name}: computes what {strange} says to hold, as no bag '
                                  'does; nothing of it is read')
                return {}
            rows = list(database.rows('SELECT id, name, type, serialization_format FROM topics'))
        except sqlite3.DatabaseError as error:
            self._losses.note(f'{self.name}: does not say what its topics are ({error}); nothing '
                              'of it is read')
            return {}
        try:
            texts = dict(database.rows(
                "SELECT topic_type, encoded_message_definition FROM message_definitions "
                "WHERE encoding = 'ros2msg'"))
        except sqlite3.DatabaseError:
            texts = {}  # files of before ROS 2 Iron have no such table
        return {number: Topic(name, kind, encoding, texts.get(kind, ''))
                for number, name, kind, encoding in rows}


class _Database:
    """Opens a file read-only, whether or not its directory may be written."""

    def __init__(self, path: Path, name: str, losses: Losses) -> None:
        self._path = path
        self._name = name
        self._losses = losses
        self._unpacked: tempfile.TemporaryDirectory | None = None
        self._connection: sqlite3.Connection | None = None
        self._left = 0  # bytes that its rows may still have

    def rows(self, query: str, *values: int) -> Iterator[tuple]:
        """Yield the rows of `query`; raise _Swollen when all have more bytes than the file has."""
        assert self._connection is not None, 'it is not open'
        for row in self._connection.execute(query, values):
            self._left -= 1 + sum(len(value) for value in row if isinstance(value, (bytes, str)))
            if self._left < 0:
                raise _Swollen('has rows of more bytes than the file')
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
                    self._losses.note(f'{self._name}: cannot be unpacked to its end ({error})')
        beside = [path.with_name(path.name + ending) for ending in ('-wal', '-journal')]
        unfinished = any(one.exists() for one in beside)
        self._left = sum(one.stat().st_size for one in (path, *beside) if one.exists())
        self._connection = self._connect(path, 'mode=ro' if unfinished else 'immutable=1')
        if unfinished and not _readable(self._connection):
            self._connection.close()
            self._losses.note(
                f'{self._name}: was being written, and what its -wal or -journal file has cannot '
                'be joined where the directory may not be written; copy the bag to read it')
            self._connection = self._connect(path, 'immutable=1')
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._unpacked is not None:
            self._unpacked.cleanup()

    def _connect(self, path: Path, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(f'file:{quote(str(path))}?{mode}', uri=True)
        # Nothing can be written here; this lets SQLite read a file that is shorter than it says.
        connection.execute('PRAGMA writable_schema = ON')
        # A file may compute what it seems to hold: no more than it could hold, and from no views.
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(2**20, path.stat().st_size))
        connection.text_factory = lambda data: data.decode(errors='replace')
        return connection


def _readable(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute('SELECT count(*) FROM topics').fetchone()
    except sqlite3.Error:
        return False
    return True
