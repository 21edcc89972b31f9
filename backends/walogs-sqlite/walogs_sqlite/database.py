"""The database: one table, a row for each segment, and two numbers in SQLite's header that say whose it is.

    application_id  0x77616C67, "walg"        user_version  1, of the table below

A file of no bytes, and a database with no table and neither number (a set-up that was killed), are no log yet.

Durability is SQLite's own: in WAL mode with synchronous=FULL, a commit returns after its frames in NAME-wal are synced;
and what is copied from there into NAME is synced before the WAL is begun again.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from walogs import Corrupt, Missing, Unavailable, Unsafe, UnsupportedFormat
from walogs_sqlite import places
from walogs_sqlite.failures import code_of, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

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
"""One statement, so that nobody's set-up is seen half done."""

ROW_BYTES: Final = 16
"""What SQLite's limit on a row counts besides the data: at most 11 (the length of the record's header, a NULL, the type
and length of the data)."""
WAL_BYTES_KEPT: Final = 16 << 20
"""A WAL that a big commit has made larger is cut to this when it is begun again."""
RETRY_SECONDS: Final = 0.02

MAKING: Final = threading.Lock()
"""A file is made, and closed, while no other thread has SQLite open it: closing it would free that one's locks."""

WRITING: Final = (
    "synchronous = FULL",
    "fullfsync = ON",  # macOS; ignored elsewhere
    "checkpoint_fullfsync = ON",
    "secure_delete = OFF",  # else a removal writes as many bytes of zeros as it frees
    f"journal_size_limit = {WAL_BYTES_KEPT}",
)


def segment_bytes_max() -> int:
    """The most that one row of this SQLite holds; 10^9 as it is usually built."""
    connection = sqlite3.connect(":memory:")
    try:
        return connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) - ROW_BYTES
    finally:
        connection.close()


def connect(path: str, mode: Literal["ro", "rw"], busy_seconds: float) -> sqlite3.Connection:
    uri = f"{Path(path).as_uri()}?mode={mode}"  # quotes what a URI needs to have quoted
    with MAKING:
        connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: str, busy_seconds: float) -> sqlite3.Connection:
    """Raises `Missing` where there is no log yet, `Unsafe` and `UnsupportedFormat`. Changes no byte of the database."""
    if not places.is_there(path):
        raise Missing(f"{path} is not there")
    with explained(path):
        connection = connect(path, "ro", busy_seconds)
        try:
            if not is_ours(connection, path):
                raise Missing(f"{path} holds no log yet")
            places.sync_commits(path)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_to_write(path: str, busy_seconds: float) -> sqlite3.Connection:
    """The file is made where it is missing, and is ours; all that can be read in it is durable."""
    if not places.is_there(path):
        with MAKING:
            places.make(path)
    with explained(path):
        connection = connect(path, "rw", busy_seconds)
        try:
            set_up(connection, path, busy_seconds)
            make_durable(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def is_ours(connection: sqlite3.Connection, path: str) -> bool:
    """False: it is nobody's. Raises `Unsafe`: somebody else's; `UnsupportedFormat`: a later release's;
    `Corrupt`: it was ours."""
    application, version, tables, table = connection.execute(WHOSE).fetchone()
    if (application, version, tables) == (0, 0, 0):
        return False
    if application != APPLICATION_ID:
        raise Unsafe(f"{path} is an SQLite database, and not a log of walogs. Name another file; nothing was changed.")
    if version != USER_VERSION:
        raise UnsupportedFormat(
            f"{path} has version {version} of its tables, and this release knows {USER_VERSION}. Upgrade walogs-sqlite;"
            " nothing was changed.",
            found=f"sqlite {version}",
        )
    if table != TABLE.encode():  # text that SQLite parses anew each time: a column of another name is another column
        move = "Nothing was changed. Restore it from a copy"
        raise Corrupt(f"{path}: the description of its table is not what walogs has written. {move}.")
    return True


def set_up(connection: sqlite3.Connection, path: str, busy_seconds: float) -> None:
    """WAL mode, and the table where there is none. Whoever sets it up at the same time does the same."""
    for pragma in WRITING:
        connection.execute(f"PRAGMA {pragma}")
    if not is_ours(connection, path):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first page: else it has no effect
    in_wal_mode(connection, path, busy_seconds)
    with commit(connection):
        if not is_ours(connection, path):
            connection.execute(TABLE)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {USER_VERSION}")


def in_wal_mode(connection: sqlite3.Connection, path: str, busy_seconds: float) -> None:
    """SQLite does not itself wait for others here."""
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
                raise Unsafe(f"{path}: SQLite cannot have a WAL here (it says {mode!r}). Nothing was changed.")
            return


def make_durable(connection: sqlite3.Connection, path: str) -> None:
    """All that was committed is copied into the database and synced, and the WAL is empty. After a sync that failed,
    what the page cache shows of the WAL may not be on the disk, and no sync of it would say so: it is written anew."""
    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise Unavailable(f"{path} is being read by another process, which does not end. Try again.")
    places.sync_commits(path)
    places.sync_names(path)


@contextmanager
def commit(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_row(connection: sqlite3.Connection, number: int) -> bool:
    return connection.execute("SELECT 1 FROM segment WHERE number = ?", (number,)).fetchone() is not None


def shrink(connection: sqlite3.Connection) -> None:
    """Give free pages back to the file system, when they are more than those in use: so many at most are moved."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if free * 2 > pages:
        connection.executescript(f"PRAGMA incremental_vacuum({free})")  # `execute` stops after the first page
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
