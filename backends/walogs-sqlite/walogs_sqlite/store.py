"""`sqlite`: a store whose segments are the rows of one SQLite file. Each commit is the next row.

If two writers insert the same number, the primary key lets only one of them succeed. So the later writer fences the
earlier one.

    orders.db                      the database
    orders.db-wal, orders.db-shm   SQLite's files, while a process has the log open
    orders.db.cursor-mailer.lock   the file that the owner of the cursor `mailer` locks, and nobody removes

The store has a connection for writing and one for reading, so that no reader waits for a sync. The owner of a cursor
writes by a third one, because it can be another process than the writer of the log.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import weakref
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from walogs import Locked, StoreError, Unavailable
from walogs.plugins import PathLock, SegmentNotFound, StoreCapabilities
from walogs_sqlite import database
from walogs_sqlite.connections import Connection
from walogs_sqlite.cursors import CursorTable
from walogs_sqlite.failures import code_of, damage_error, is_harmless, translate_errors
from walogs_sqlite.options import BUSY_SECONDS, SqliteOptions
from walogs_sqlite.places import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

    from walogs.plugins import CursorLock


class SqliteStore:
    """A `SegmentStore` in the SQLite file *path*. `acquire` makes the file if it is missing.

    A call waits at most *busy_seconds* for other processes that use the file. Raises `ValueError` for a path or an
    option that is not valid. The store opens the file when it first needs it.
    """

    def __init__(self, path: str | os.PathLike[str], busy_seconds: float = BUSY_SECONDS) -> None:
        options = SqliteOptions(busy_seconds)
        self.path = os.path.abspath(local_path(path))
        self.name = self.path
        self.capabilities = StoreCapabilities(
            appendable=False,
            torn_tail=False,
            exclusion="create_if_absent",
            numbers_reused=True,
            exists_means_durable=True,
            segment_bytes_max=database.segment_bytes_max(),
            persistence="disk",
            number_gaps=True,
        )
        self._reading = Connection(self.path, partial(database.connect_to_read, self.path, options.busy_seconds))
        self._writing = Connection(self.path, partial(database.connect_to_write, self.path, options.busy_seconds))
        self._committing = Connection(self.path, partial(database.connect_for_cursors, self.path, options.busy_seconds))
        """The connection that writes cursors."""
        self._cursors = CursorTable(self.path, self._reading, self._committing)
        self._is_acquired = False
        self._failure: BaseException | None = None
        # A caller may drop a reader without closing it, but SQLite's connections must be closed.
        weakref.finalize(self, close_all, self._reading, self._committing, self._writing)

    # Reading. It changes nothing.

    def segment_name(self, number: int) -> str:
        """Return the name of the segment in messages."""
        return f"segment {number}"

    def segments(self) -> Sequence[int]:
        """Return the numbers of all segments, ascending. Return none if there is no file."""
        return self.segments_after(0)

    def segments_after(self, number: int) -> Sequence[int]:
        """Return the numbers above *number*, ascending. The table's index makes older segments cost nothing."""
        select = "SELECT number FROM segment WHERE number > ? ORDER BY number"
        try:
            with self._reading.lock, translate_errors(self.name):
                return [found for (found,) in self._reading.open_if_needed().execute(select, (number,))]
        except SegmentNotFound:
            return []

    def size(self, number: int) -> int:
        """Return the number of bytes in the segment. Raises `SegmentNotFound`."""
        with self._reading.lock, translate_errors(self.name, number):
            connection = self._reading.open_if_needed()
            row = connection.execute(
                "SELECT length(data), typeof(data) FROM segment WHERE number = ?", (number,)
            ).fetchone()
        if row is None:
            raise self._missing(number)
        size, kind = row
        if kind != "blob":
            raise damage_error(f"{self.name}: segment {number} is of type {kind}", number)
        return int(size)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes [start, end) of the segment, and load no others. Raises `SegmentNotFound`."""
        with self._reading.lock, translate_errors(self.name, number):
            connection = self._reading.open_if_needed()
            try:
                data = connection.blobopen("segment", "data", number, readonly=True)
            except sqlite3.OperationalError as error:
                if code_of(error) != sqlite3.SQLITE_ERROR:
                    raise
                if not database.is_row(connection, number):
                    raise self._missing(number) from None
                raise damage_error(f"{self.name}: segment {number}: {error}", number) from error
            with data:
                wanted = max(len(data) if end is None else min(end, len(data)), start) - start
                data.seek(min(start, len(data)))
                found = data.read(wanted)
        if len(found) < wanted:
            raise OSError(errno.EIO, "read fewer bytes than the row has", self.name)
        return found

    def _missing(self, number: int) -> SegmentNotFound:
        return SegmentNotFound(f"{self.segment_name(number)} is not in {self.name}")

    # Writing

    def acquire(self) -> None:
        """Make the file and its table if they are missing, and make all that is in it durable.

        This does not keep other writers out; `create` does. Raises `Locked` if this object is acquired already,
        `UnsafeStore` for a database of another program or an unsafe place, `UnsupportedFormat`, `Unavailable` and
        `OSError`.
        """
        if self._is_acquired:
            raise Locked(f"{self.name} is open for writing through this very store object. Close that handle first.")
        with self._writing.lock:
            self._writing.open_if_needed()
            self._is_acquired = True

    def create(self, number: int, data: Buffer) -> None:
        """Insert the row in a transaction of its own. It is durable on return.

        Raises `SegmentExists` or `NoSpace`; then nothing has changed. Raises `Unavailable` if another process keeps the
        file busy, or if a write or a sync has failed. After a failed write or sync, the row may still appear after a
        crash, and every later call that writes raises `Unavailable`.
        """
        with self._writing.lock, self._commit("create", number) as connection:
            connection.execute("INSERT INTO segment (number, data) VALUES (?, ?)", (number, data))

    def remove(self, numbers: Sequence[int]) -> None:
        """Delete all of these rows, or none if it raises.

        If more of the file is free than in use afterwards, give the free pages back to the file system.
        """
        if not numbers:
            return
        rows = [(number,) for number in numbers]
        with self._writing.lock, self._commit("remove") as connection:
            delete = partial(connection.executemany, "DELETE FROM segment WHERE number = ?", rows)
            database.commit(connection, delete)
        try:
            with self._writing.lock, self._commit("shrink") as connection:
                database.shrink(connection)
        except (OSError, StoreError):
            pass  # The rows are gone. A later removal gives the space back.

    @contextmanager
    def _commit(self, what: str, number: int | None = None) -> Iterator[sqlite3.Connection]:
        """Yield the writing connection. The caller must hold its lock.

        After a write or a sync has failed, the store writes nothing more. If it wrote the same bytes again, they might
        become durable without the bytes before them.
        """
        if self._failure is not None:
            raise Unavailable(f"{self.name}: after {self._failure!r} nothing more is written. Open the log again.")
        with translate_errors(self.name, number):
            try:
                yield self._writing.open_if_needed()
            except sqlite3.Error as error:
                if is_harmless(error) or code_of(error) is None:
                    raise
                self._failure = error
                if what == "create":
                    raise Unavailable(
                        f"{self.name}: {error}. Segment {number} may be there or not: open the log again to see."
                    ) from error
                raise

    # Cursors. They need no `acquire`.

    def cursor_name(self, name: str) -> str:
        """Return the name of a cursor's value in messages."""
        return f"row {name!r} of the table cursors"

    def cursors(self) -> Sequence[str]:
        """Return the names of the cursors, ascending. Return none if there is no file."""
        return self._cursors.names()

    def read_cursor(self, name: str, *, durable: bool = False) -> bytes | None:
        """Return the value that was written last, or None. If *durable* is true, return the last one that was synced.

        Raises `Corrupt` if the table is damaged, `Unavailable` and `OSError`.
        """
        return self._cursors.read(name, durable=durable)

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        """Write the value. If *durable* is true, or if it is the first one, sync it too.

        It waits while the writer of the log commits. Raises `NoSpace`, or `Unavailable` if another process keeps the
        file busy: then nothing has changed. Raises `SegmentNotFound` if there is no log, `Corrupt` and `OSError`.
        """
        self._cursors.write(name, data, durable=durable)

    def remove_cursor(self, name: str) -> None:
        """Remove the value, durably. Do nothing if there is none."""
        self._cursors.remove(name)

    def cursor_lock(self, name: str) -> CursorLock:
        """Return an object that can take the lock of this cursor, which is a file beside the database."""
        return PathLock(f"{self.path}.cursor-{name}.lock", f"cursor {name!r} of {self.name} is open")

    def close(self) -> None:
        """Close all connections. SQLite moves the WAL into the database when the last connection to a file closes."""
        close_all(self._reading, self._committing, self._writing)


def close_all(*connections: Connection) -> None:
    """Close the connections, the one that writes the log last."""
    for connection in connections:
        connection.close()
