# SPDX-License-Identifier: Apache-2.0
"""SQLite files of rosbag2, read row by row: past damage where there is some."""

from collections.abc import Collection, Iterator
from pathlib import Path
import shutil
import sqlite3
import tempfile
from urllib.parse import quote

import zstandard

from rl_control.bags.raw import Losses, Raw, Topic

FARTHEST = 2**40  # rows to look ahead for what is still readable


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

    def _rows(self, database: sqlite3.Connection, used: dict[int, Topic]) -> Iterator[Raw]:
        # By row number, which is the order of writing: the index of the times may be torn, and
        # sorting would need the disk.
        query = ('SELECT id, topic_id, timestamp, data FROM messages WHERE id > ? AND topic_id IN '
                 f'({",".join("?" * len(used))}) ORDER BY id')
        last, step = -2**62, 1
        while step < FARTHEST:
            try:
                for row, topic, timestamp, data in database.execute(query, (last, *used)):
                    last, step = row, 1
                    if isinstance(data, bytes) and isinstance(timestamp, int):
                        yield Raw(timestamp, used[topic], data)
                    else:
                        self._losses.count(used[topic].name, 'is no row of bytes and a time')
                return
            except sqlite3.DatabaseError as error:
                self._losses.note(f'{self.name}: is damaged behind row {max(last, 0)} ({error}); '
                                  'what can still be found is read')
                last, step = max(last, 0) + step, 2 * step

    def _topics(self, database: sqlite3.Connection) -> dict[int, Topic]:
        try:
            strange = database.execute(
                "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index')").fetchall()
            if strange:
                self._losses.note(f'{self.name}: has a view or trigger {strange[0][0]}, which no '
                                  'bag has; nothing of it is read')
                return {}
            rows = database.execute(
                'SELECT id, name, type, serialization_format FROM topics').fetchall()
        except sqlite3.DatabaseError as error:
            self._losses.note(f'{self.name}: does not say what its topics are ({error}); nothing '
                              'of it is read')
            return {}
        try:
            texts = dict(database.execute(
                "SELECT topic_type, encoded_message_definition FROM message_definitions "
                "WHERE encoding = 'ros2msg'").fetchall())
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

    def __enter__(self) -> sqlite3.Connection:
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
        unfinished = any(path.with_name(path.name + ending).exists()
                         for ending in ('-wal', '-journal'))
        self._connection = self._connect(path, 'mode=ro' if unfinished else 'immutable=1')
        if unfinished and not _readable(self._connection):
            self._connection.close()
            self._losses.note(
                f'{self._name}: was being written, and what its -wal or -journal file has cannot '
                'be joined where the directory may not be written; copy the bag to read it')
            self._connection = self._connect(path, 'immutable=1')
        return self._connection

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
