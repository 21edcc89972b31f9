"""`sqlite`: segments are rows of one SQLite file. Each commit is the next row; two who write are told apart by the
primary key, and the later one fences the other.

    orders.db   the database        orders.db-wal, orders.db-shm   SQLite's own, while anybody has it open

Two connections: one writes, one reads, so that no reader waits for a sync.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import weakref
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from walogs import Locked, Missing, StoreCapabilities, StoreError, Unavailable
from walogs_sqlite import database
from walogs_sqlite.connections import Connection
from walogs_sqlite.failures import code_of, damaged, explained, is_harmless
from walogs_sqlite.options import BUSY_SECONDS, SqliteOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer


class SqliteStore:
    """A `SegmentStore` in the SQLite file *path*, which is made where it is missing.

    Raises `ValueError` for what is no path or no option. Nothing is opened before it is needed.
    """

    def __init__(self, path: str | os.PathLike[str], busy_seconds: float = BUSY_SECONDS) -> None:
        options = SqliteOptions(busy_seconds)
        self.path = os.path.abspath(os.fspath(path))
        self.name = self.path
        self.capabilities = StoreCapabilities(
            appendable=False,
            torn_tail=False,
            exclusion="chain",
            numbers_reused=True,
            exists_means_durable=True,
            segment_bytes_max=database.segment_bytes_max(),
            durability="disk",
        )
        self._reading = Connection(self.path, partial(database.connect_to_read, self.path, options.busy_seconds))
        self._writing = Connection(self.path, partial(database.connect_to_write, self.path, options.busy_seconds))
        self._is_acquired = False
        self._failure: BaseException | None = None
        # Readers are let go of, and not closed; and SQLite's connections want to be closed.
        weakref.finalize(self, close_both, self._writing, self._reading)

    # Reading: changes nothing

    def segment_name(self, number: int) -> str:
        """As messages call it."""
        return f"segment {number}"

    def segments(self) -> Sequence[int]:
        """The numbers that are there, ascending; none where there is no file."""
        try:
            with self._reading.turn() as connection, explained(self.name):
                return [number for (number,) in connection.execute("SELECT number FROM segment ORDER BY number")]
        except Missing:
            return []

    def size(self, number: int) -> int:
        """Bytes in the segment. Raises `Missing`."""
        with self._reading.turn() as connection, explained(self.name, number):
            row = connection.execute(
                "SELECT length(data), typeof(data) FROM segment WHERE number = ?", (number,)
            ).fetchone()
        if row is None:
            raise self._missing(number)
        size, kind = row
        if kind != "blob":
            raise damaged(f"{self.name}: segment {number} is of type {kind}", number)
        return int(size)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """The bytes [start, end); what is not asked for is not loaded. Raises `Missing`."""
        with self._reading.turn() as connection, explained(self.name, number):
            try:
                data = connection.blobopen("segment", "data", number, readonly=True)
            except sqlite3.OperationalError as error:
                if code_of(error) != sqlite3.SQLITE_ERROR:
                    raise
                if not database.is_row(connection, number):
                    raise self._missing(number) from None
                raise damaged(f"{self.name}: segment {number}: {error}", number) from error
            with data:
                wanted = max(len(data) if end is None else min(end, len(data)), start) - start
                data.seek(min(start, len(data)))
                found = data.read(wanted)
        if len(found) < wanted:
            raise OSError(errno.EIO, "read fewer bytes than the row has", self.name)
        return found

    def _missing(self, number: int) -> Missing:
        return Missing(f"{self.segment_name(number)} is not in {self.name}")

    # Writing

    def acquire(self) -> None:
        """Make the file and its table where they are missing, and all that is there durable.

        It keeps nobody out: `create` does. Raises `Locked` (this very object has it), `Unsafe` (another's database, or
        no place for one), `UnsupportedFormat`, `Unavailable`, `OSError`.
        """
        if self._is_acquired:
            raise Locked(f"{self.name} is open for writing through this very store object. Close that handle first.")
        with self._writing.turn():
            self._is_acquired = True

    def create(self, number: int, data: Buffer) -> None:
        """Insert the row, in a transaction of its own, which SQLite has synced on return.

        Raises `Exists` or `NoSpace`: nothing changed. Raises `Unavailable`: another process keeps the file busy; or a
        write or sync has failed, and the row may come back after a crash: then for every further call, too.
        """
        with self._commit("create", number) as connection:
            connection.execute("INSERT INTO segment (number, data) VALUES (?, ?)", (number, data))

    def remove(self, numbers: Sequence[int]) -> None:
        """Delete the rows, all of them or none; and where more of the file is free than used, give that back."""
        if not numbers:
            return
        with self._commit("remove") as connection, database.commit(connection):
            connection.executemany("DELETE FROM segment WHERE number = ?", [(number,) for number in numbers])
        try:
            with self._commit("shrink") as connection:
                database.shrink(connection)
        except (OSError, StoreError):
            pass  # what was asked for is done; a later removal gives the room back

    @contextmanager
    def _commit(self, what: str, number: int | None = None) -> Iterator[sqlite3.Connection]:
        """A turn of the writing connection, which is the last one when a write or sync fails in it: the same bytes
        written again might be synced without those before them."""
        if self._failure is not None:
            raise Unavailable(f"{self.name}: {self._failure!r} came before, and nothing is written after that")
        with self._writing.turn() as connection, explained(self.name, number):
            try:
                yield connection
            except sqlite3.Error as error:
                if is_harmless(error) or code_of(error) is None:
                    raise
                self._failure = error
                if what == "create":
                    raise Unavailable(
                        f"{self.name}: {error}. Whether segment {number} is there, a later open will tell."
                    ) from error
                raise

    def close(self) -> None:
        """Close both connections. The last one to leave a file has SQLite move the WAL into the database."""
        close_both(self._writing, self._reading)


def close_both(writing: Connection, reading: Connection) -> None:
    reading.close()
    writing.close()
