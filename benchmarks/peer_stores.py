"""Stores and queues of Python that keep entries: SQLite and what is made of it, LMDB, LevelDB, RocksDB."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from benchmarks.measure import Work
from benchmarks.peers import Reader, Skipped, library, one_by_one


class Sqlite:
    """SQLite of the standard library, in WAL mode, with a commit for each insert."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "entries.sqlite3"
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        [(mode,)] = self.connection.execute("PRAGMA journal_mode=WAL")
        if mode != "wal":
            raise Skipped(f"journal_mode is {mode!r}: no WAL on this file system")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute("CREATE TABLE entries (lsn INTEGER PRIMARY KEY, data BLOB NOT NULL)")

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        execute = self.connection.execute

        def work() -> None:
            for lsn, data in enumerate(entries, first_lsn):
                execute("INSERT INTO entries VALUES (?, ?)", (lsn, data))

        return work

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        def work() -> None:
            self.connection.execute("BEGIN")
            self.connection.executemany("INSERT INTO entries VALUES (?, ?)", enumerate(entries, first_lsn))
            self.connection.execute("COMMIT")

        return work

    def close(self) -> None:
        self.connection.close()

    def reopen(self) -> Reader:
        connection = sqlite3.connect(self.path)

        def get(lsn: int) -> bytes | None:
            row = connection.execute("SELECT data FROM entries WHERE lsn = ?", (lsn,)).fetchone()
            return None if row is None else row[0]

        return Reader(
            walk=lambda: connection.execute("SELECT lsn, data FROM entries ORDER BY lsn"),
            close=connection.close,
            get=get,
        )


class Lmdb:
    def __init__(self, directory: Path) -> None:
        self.library = library("lmdb")
        self.directory = directory
        self.environment = self.library.open(str(directory), map_size=8 << 30, sync=True, metasync=True)

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        begin = self.environment.begin

        def work() -> None:
            for lsn, data in enumerate(entries, first_lsn):
                with begin(write=True) as commit:
                    commit.put(lsn.to_bytes(8, "big"), data, append=True)

        return work

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        def work() -> None:
            with self.environment.begin(write=True) as commit:
                for lsn, data in enumerate(entries, first_lsn):
                    commit.put(lsn.to_bytes(8, "big"), data, append=True)

        return work

    def close(self) -> None:
        self.environment.close()

    def reopen(self) -> Reader:
        environment = self.library.open(str(self.directory), map_size=8 << 30, readonly=True, lock=False)
        view = environment.begin()

        def close() -> None:
            view.abort()
            environment.close()

        return Reader(
            walk=lambda: view.cursor().iternext(keys=True, values=True),
            close=close,
            get=lambda lsn: view.get(lsn.to_bytes(8, "big")),
        )


class Plyvel:
    """LevelDB."""

    def __init__(self, directory: Path) -> None:
        self.library = library("plyvel")
        self.directory = str(directory)
        self.store = self.library.DB(self.directory, create_if_missing=True)

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        put = self.store.put

        def work() -> None:
            for lsn, data in enumerate(entries, first_lsn):
                put(lsn.to_bytes(8, "big"), data, sync=True)

        return work

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        def work() -> None:
            with self.store.write_batch(sync=True) as commit:
                for lsn, data in enumerate(entries, first_lsn):
                    commit.put(lsn.to_bytes(8, "big"), data)

        return work

    def close(self) -> None:
        self.store.close()

    def reopen(self) -> Reader:
        store = self.library.DB(self.directory)
        return Reader(walk=store.iterator, close=store.close, get=lambda lsn: store.get(lsn.to_bytes(8, "big")))


class Rocksdict:
    """RocksDB."""

    def __init__(self, directory: Path) -> None:
        self.library = library("rocksdict")
        self.directory = str(directory)
        self.is_closed = False
        self.store = self._open()
        options = self.library.WriteOptions()
        options.sync = True
        self.options = options

    def _open(self) -> Any:
        return self.library.Rdict(self.directory, self.library.Options(raw_mode=True))

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        put, options = self.store.put, self.options

        def work() -> None:
            for lsn, data in enumerate(entries, first_lsn):
                put(lsn.to_bytes(8, "big"), data, write_opt=options)

        return work

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        def work() -> None:
            commit = self.library.WriteBatch(raw_mode=True)
            for lsn, data in enumerate(entries, first_lsn):
                commit.put(lsn.to_bytes(8, "big"), data)
            self.store.write(commit, write_opt=self.options)

        return work

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.store.close()

    def reopen(self) -> Reader:
        store = self._open()
        return Reader(walk=store.items, close=store.close, get=lambda lsn: store.get(lsn.to_bytes(8, "big")))


class Diskcache:
    """The deque of diskcache, which keeps its values in SQLite."""

    def __init__(self, directory: Path) -> None:
        self.library = library("diskcache")
        self.directory = str(directory)
        self.deque = self._open()

    def _open(self) -> Any:
        cache = self.library.Cache(self.directory, eviction_policy="none", sqlite_synchronous=2)
        return self.library.Deque.fromcache(cache)

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        return one_by_one(self.deque.append, entries)

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        def work() -> None:
            with self.deque.transact():
                self.deque.extend(entries)

        return work

    def close(self) -> None:
        self.deque.cache.close()

    def reopen(self) -> Reader:
        deque = self._open()
        return Reader(walk=lambda: enumerate(deque, 1), close=deque.cache.close)


class PersistQueue:
    """The queue of persist-queue, which keeps its values in SQLite, pickled."""

    def __init__(self, directory: Path) -> None:
        self.library = library("persistqueue")
        self.directory = str(directory)
        self.queue = self._open()

    def _open(self) -> Any:
        return self.library.SQLiteQueue(self.directory, auto_commit=True)

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        return one_by_one(self.queue.put, entries)

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        raise Skipped("it has no batches")

    def close(self) -> None:
        self.queue.close()

    def reopen(self) -> Reader:
        queue = self._open()
        return Reader(walk=lambda: ((item["id"], item["data"]) for item in queue.queue()), close=queue.close)


class LiteQueue:
    """The queue of litequeue, which keeps its values in SQLite. Its own setting is synchronous=NORMAL."""

    def __init__(self, directory: Path) -> None:
        self.library = library("litequeue")
        self.path = str(directory / "queue.sqlite3")
        self.queue = self.library.LiteQueue(self.path)
        self.queue.conn.execute("PRAGMA synchronous=FULL")

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        return one_by_one(self.queue.put, entries)

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        def work() -> None:
            with self.queue.transaction():
                for data in entries:
                    self.queue.put(data)

        return work

    def close(self) -> None:
        self.queue.conn.close()

    def reopen(self) -> Reader:
        queue = self.library.LiteQueue(self.path)
        # Each `pop` sorts all messages that wait, so that taking all of them this way would last for hours.
        select = f"SELECT message_id, data FROM {queue.table} ORDER BY message_id"
        return Reader(
            walk=lambda: ((row["message_id"], row["data"]) for row in queue.conn.execute(select)),
            close=queue.conn.close,
        )
