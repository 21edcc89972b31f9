"""The database. It has one table with a row for each segment, and one for the cursors (`walogs_sqlite.cursors`).

Two numbers in SQLite's header identify it:

    application_id  0x77616C67, "walg"        user_version  1, the version of the tables

An empty file is not a log yet, and neither is a database with no table and neither number (its set-up was killed).

SQLite makes commits durable. In WAL mode with synchronous=FULL, a commit returns after its frames in NAME-wal are
synced. SQLite syncs what it copies from there into NAME before it begins the WAL again.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from walogs import Corrupt, Unavailable, UnsafeStore, UnsupportedFormat
from walogs.plugins import SegmentNotFound, TurnLock, sync_ancestors
from walogs_sqlite import places
from walogs_sqlite.failures import code_of, translate_errors

if TYPE_CHECKING:
    from collections.abc import Callable

APPLICATION_ID: Final = 0x77616C67
USER_VERSION: Final = 1
TABLE: Final = """\
CREATE TABLE segment (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    data BLOB NOT NULL CHECK (typeof(data) = 'blob')
)"""
WHOSE: Final = """
SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
       (SELECT count(*) FROM sqlite_master), (SELECT CAST(sql AS BLOB) FROM sqlite_master WHERE name = 'segment')"""
"""This is one statement, so that it never sees half of another process's set-up."""

ROW_BYTES: Final = 16
"""The bytes besides the data that count for SQLite's limit on a row. In fact there are at most 11: the length of the
record's header, a NULL, and the type and length of the data."""
WAL_BYTES_KEPT: Final = 16 << 20
"""When SQLite begins the WAL again, it cuts a larger file to this size."""
RETRY_SECONDS: Final = 0.02

MAKING: Final = TurnLock()
"""A thread holds this lock while it makes and closes a file, or opens one with SQLite. Closing a file would free the
locks that another thread's SQLite has just taken on it."""

WRITING: Final = (
    "synchronous = FULL",
    "fullfsync = ON",  # This is for macOS. Other systems ignore it.
    "checkpoint_fullfsync = ON",
    "secure_delete = OFF",  # ON would make a removal write as many zeros as it frees.
    f"journal_size_limit = {WAL_BYTES_KEPT}",
)


def segment_bytes_max() -> int:
    """Return the number of bytes that one row of this SQLite can hold. In the usual build it is about 10^9."""
    connection = sqlite3.connect(":memory:")
    try:
        return connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) - ROW_BYTES
    finally:
        connection.close()


def connect(path: str, mode: Literal["ro", "rw"], busy_seconds: float) -> sqlite3.Connection:
    uri = f"{Path(path).as_uri()}?mode={mode}"  # as_uri() quotes special characters.
    with MAKING:
        connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: str, busy_seconds: float) -> sqlite3.Connection:
    """Return a read-only connection. Every commit that it reads is durable, and it changes no byte of the database.

    Raises `SegmentNotFound` if there is no log yet, `UnsafeStore`, `UnsupportedFormat`, and what `translate_errors`
    raises.
    """
    if not places.is_there(path):
        raise SegmentNotFound(f"{path} is not there")
    with translate_errors(path):
        connection = connect(path, "ro", busy_seconds)
        try:
            if not is_ours(connection, path):
                raise SegmentNotFound(f"{path} holds no log yet")
            places.sync_commits(path)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_to_write(path: str, busy_seconds: float) -> sqlite3.Connection:
    """Return a connection for writing. Make the file and its table if they are missing.

    All that can be read in the database is then durable.
    """
    if not places.is_there(path):
        with MAKING:
            places.make(path)
    with translate_errors(path):
        connection = connect(path, "rw", busy_seconds)
        try:
            set_up(connection, path, busy_seconds)
            make_durable(connection, path, busy_seconds)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_for_cursors(path: str, busy_seconds: float) -> sqlite3.Connection:
    """Return a connection that writes cursors beside the writer of the log. All that can be read is then durable.

    This makes no log. Raises `SegmentNotFound` if there is none, and what `connect_to_write` raises.
    """
    if not places.is_there(path):
        raise SegmentNotFound(f"{path} is not there, so it can have no cursor. Nothing was changed.")
    with translate_errors(path):
        connection = connect(path, "rw", busy_seconds)
        try:
            if not is_ours(connection, path):
                raise SegmentNotFound(f"{path} holds no log yet, so it can have no cursor. Nothing was changed.")
            for pragma in WRITING:
                connection.execute(f"PRAGMA {pragma}")
            in_wal_mode(connection, path, busy_seconds)
            make_durable(connection, path, busy_seconds)
        except BaseException:
            connection.close()
            raise
    return connection


def is_ours(connection: sqlite3.Connection, path: str) -> bool:
    """Return True if the database contains a log, and False if it is empty.

    Raises `UnsafeStore` for a database of another program, `UnsupportedFormat` for one of a later release, and
    `Corrupt` for one of ours whose table description is damaged.
    """
    application, version, tables, table = connection.execute(WHOSE).fetchone()
    if (application, version, tables) == (0, 0, 0):
        return False
    if application != APPLICATION_ID:
        raise UnsafeStore(
            f"{path} is an SQLite database, and not a log of walogs. Name another file; nothing was changed."
        )
    if version != USER_VERSION:
        raise UnsupportedFormat(
            f"{path} has version {version} of its tables, and this release knows {USER_VERSION}. Upgrade walogs-sqlite;"
            " nothing was changed.",
            found=f"sqlite {version}",
        )
    if table != TABLE.encode():  # SQLite parses this text at each open. A damaged name would be another column.
        move = "Nothing was changed. Restore it from a copy"
        raise Corrupt(f"{path}: the description of its table is not the one that walogs wrote. {move}.")
    return True


def set_up(connection: sqlite3.Connection, path: str, busy_seconds: float) -> None:
    """Set WAL mode, and make the table if it is missing. Several processes can do this at the same time."""
    for pragma in WRITING:
        connection.execute(f"PRAGMA {pragma}")
    if not is_ours(connection, path):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # It has no effect after the first page is written.
    in_wal_mode(connection, path, busy_seconds)

    def make_table() -> None:
        if not is_ours(connection, path):
            connection.execute(TABLE)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {USER_VERSION}")

    commit(connection, make_table)


def in_wal_mode(connection: sqlite3.Connection, path: str, busy_seconds: float) -> None:
    """Set WAL mode. Try again until *busy_seconds* are over, because SQLite does not wait for other processes here."""
    until = time.monotonic() + busy_seconds
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            if mode != "wal":
                raise UnsafeStore(f"{path}: SQLite cannot have a WAL here (it says {mode!r}). Nothing was changed.")
            return


def make_durable(connection: sqlite3.Connection, path: str, busy_seconds: float) -> None:
    """Copy all commits into the database, sync it, and empty the WAL. Raises `Unavailable` after *busy_seconds*.

    After a failed sync, the page cache can show bytes of the WAL that are not on the disk, and a later sync of the WAL
    would not report this. So all that the WAL shows is written again, into the database.

    SQLite waits here for readers, but not for another process that copies. This function tries again in that case.
    """
    until = time.monotonic() + busy_seconds
    while True:
        (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_busy:
            break
        if time.monotonic() >= until:
            raise Unavailable(f"{path} is kept busy by others for too long. Try again, or raise busy_seconds.")
        time.sleep(RETRY_SECONDS)
    places.sync_commits(path)
    sync_ancestors(path)


def commit(connection: sqlite3.Connection, work: Callable[[], object]) -> None:
    """Call *work* in one transaction. If it raises, nothing of it is kept."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        work()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_row(connection: sqlite3.Connection, number: int) -> bool:
    return connection.execute("SELECT 1 FROM segment WHERE number = ?", (number,)).fetchone() is not None


def shrink(connection: sqlite3.Connection) -> None:
    """Give free pages back to the file system if there are more of them than pages in use.

    SQLite then moves no more pages than are in use.
    """
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if free * 2 > pages:
        connection.executescript(f"PRAGMA incremental_vacuum({free})")  # `execute` would stop after one page.
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
