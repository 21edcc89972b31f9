"""The cursors of a log: a table beside the one of the segments. It is made together with the first cursor.

A row has two values. `value` is the one that was written last. `durable` is the last one that had to be durable. A
commit that need not be durable writes `value` alone, with synchronous=NORMAL: SQLite appends a page to NAME-wal, and
syncs nothing. After a power cut, SQLite takes the frames of NAME-wal up to the first one that is not whole. So the row
is as it was after some commit, and never before the last one that was synced.

The version of the tables stays 1, because a release that does not know this table ignores it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from walogs.plugins import SegmentNotFound
from walogs_sqlite import database
from walogs_sqlite.failures import damage_error, is_harmless, translate_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from walogs_sqlite.connections import Connection

TABLE: Final = """\
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    durable BLOB NOT NULL
) WITHOUT ROWID"""
DESCRIPTION: Final = """
SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_master
WHERE name = 'cursors' OR tbl_name = 'cursors' OR sql LIKE 'CREATE TABLE cursors%'"""
"""If one byte of the description is damaged, this still finds it."""
WRITE_DURABLY: Final = """
INSERT INTO cursors (name, value, durable) VALUES (:name, :data, :data)
ON CONFLICT (name) DO UPDATE SET value = :data, durable = :data"""
WRITE: Final = "UPDATE cursors SET value = :data WHERE name = :name"
NO_TEXT: Final = b"\xff"
"""This stands for a name that is NULL, which only damage causes."""
REMOVE: Final = "DELETE FROM cursors WHERE name = ?"


class CursorTable:
    """The cursors in the SQLite file *path*. It reads by one connection, and writes by another one."""

    def __init__(self, path: str, reading: Connection, writing: Connection) -> None:
        self._path = path
        self._reading = reading
        self._writing = writing

    def names(self) -> Sequence[str]:
        """Return the names of the cursors, ascending. Raises `Corrupt` if one of them is damaged."""
        rows = self._read("SELECT CAST(name AS BLOB) FROM cursors")
        try:
            return sorted((name or NO_TEXT).decode("ascii") for (name,) in rows)
        except UnicodeDecodeError as error:
            raise damage_error(f"{self._path}: the name of a cursor is not valid text", None) from error

    def read(self, name: str, *, durable: bool) -> bytes | None:
        """Return the value, or None if there is none. If *durable* is true, return the one that was synced."""
        column = "durable" if durable else "value"
        rows = self._read(f"SELECT CAST({column} AS BLOB) FROM cursors WHERE name = ?", name)
        return (rows[0][0] or b"") if rows else None  # A NULL is damage, and not the absence of a cursor.

    def write(self, name: str, data: bytes, *, durable: bool) -> None:
        """Write the value. The first one of a cursor is always durable. Raises `NoSpace`, `Unavailable`, `OSError`."""

        def write(connection: sqlite3.Connection) -> None:
            is_made = is_table(connection, self._path)
            if is_made and not durable:
                connection.execute("PRAGMA synchronous = NORMAL")
                if connection.execute(WRITE, {"name": name, "data": data}).rowcount:
                    return
            connection.execute("PRAGMA synchronous = FULL")
            if is_made:
                connection.execute(WRITE_DURABLY, {"name": name, "data": data})
            else:
                database.commit(connection, lambda: self._make_with(connection, name, data))

        self._change(write)

    def _make_with(self, connection: sqlite3.Connection, name: str, data: bytes) -> None:
        """Make the table, unless another process was quicker, and write the value. The caller has a transaction."""
        if not is_table(connection, self._path):
            connection.execute(TABLE)
        connection.execute(WRITE_DURABLY, {"name": name, "data": data})

    def remove(self, name: str) -> None:
        """Remove the row, durably. Do nothing if there is none."""
        if self.read(name, durable=False) is None:
            return

        def remove(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(REMOVE, (name,))

        self._change(remove)

    def _read(self, select: str, *values: str) -> list[tuple[bytes | None, ...]]:
        """Return the rows that the statement selects. Return none if there is no table, or no file."""
        try:
            with self._reading.lock, translate_errors(self._path):
                connection = self._reading.open_if_needed()
                return connection.execute(select, values).fetchall() if is_table(connection, self._path) else []
        except SegmentNotFound:
            return []

    def _change(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Call *work* with the writing connection.

        After a failed write or sync, the connection is closed. The next call opens it again, and so writes all that
        the page cache shows into the database before it relies on it.
        """
        with self._writing.lock, translate_errors(self._path):
            connection = self._writing.open_if_needed()
            try:
                work(connection)
            except sqlite3.Error as error:
                if not is_harmless(error):
                    self._writing.let_go()
                raise


def is_table(connection: sqlite3.Connection, path: str) -> bool:
    """Return whether the database has the table. Raises `Corrupt` if the description of the table is damaged."""
    found = connection.execute(DESCRIPTION).fetchall()
    if found and found != [(b"cursors", TABLE.encode())]:
        raise damage_error(f"{path}: the description of the table of cursors is not the one that walogs wrote", None)
    return bool(found)
