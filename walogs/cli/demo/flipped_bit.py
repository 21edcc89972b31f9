"""The comparison of SQLite and walogs after the same bit is flipped in the write-ahead log of each.

Both hold the same 20 rows, committed one by one and synced. Their files are copied while the writer still has them
open, as a crash would leave them. In each copy, one bit of row 11 is flipped. Then the copies are opened.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Final

from walogs.assembly.opening import open as open_log
from walogs.cli.demo.facts import FlippedBit, SqliteAnswer
from walogs.errors import Corrupt
from walogs.inspection.salvage import salvage
from walogs.types import Gap

if TYPE_CHECKING:
    from pathlib import Path

ROWS: Final = tuple(b"row %02d of the table" % number for number in range(1, 21))
DAMAGED_ROW: Final = 11
SEGMENT: Final = "wal-000001.log"


def compare(directory: Path) -> FlippedBit:
    """Make both logs in *directory*, flip the bit in each, open both, and return what they gave back."""
    log = write_log(directory)
    flip_bit(log / SEGMENT)
    sqlite = ask_sqlite(directory)
    intact = sum(not isinstance(item, Gap) for item in salvage(log))
    try:
        with open_log(log) as wal:
            found = len(list(wal))
    except Corrupt as error:
        wrong = None if intact == len(ROWS) - 1 else f"the salvage of the damaged log found {intact} entries"
        return FlippedBit(
            rows=len(ROWS),
            damaged_row=DAMAGED_ROW,
            sqlite=sqlite,
            refused=error.damage,
            lsn=error.lsn,
            salvaged=intact,
            wrong=wrong,
        )
    return FlippedBit(
        rows=len(ROWS),
        damaged_row=DAMAGED_ROW,
        sqlite=sqlite,
        refused=None,
        lsn=None,
        salvaged=intact,
        wrong=f"the damaged log was opened, with {found} entries",
    )


def write_log(directory: Path) -> Path:
    """Return a copy of a walogs log with the rows, made before its writer closes it."""
    log, copy = directory / "rows.wal", directory / "flipped.wal"
    with open_log(log) as wal:
        for row in ROWS:
            wal.append(row)
        shutil.copytree(log, copy)
    return copy


def ask_sqlite(directory: Path) -> SqliteAnswer | None:
    """Return what SQLite reads from the damaged copy; None if this Python was built without SQLite."""
    try:
        import sqlite3
    except ModuleNotFoundError:
        return None
    database, copy = directory / "rows.db", directory / "flipped.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA synchronous=FULL")
        writer.execute("CREATE TABLE log (lsn INTEGER PRIMARY KEY, data BLOB)")
        for row in ROWS:
            writer.execute("INSERT INTO log (data) VALUES (?)", (row,))
        shutil.copyfile(database, copy)
        shutil.copyfile(f"{database}-wal", f"{copy}-wal")
    flip_bit(f"{copy}-wal")
    with closing(sqlite3.connect(copy, isolation_level=None)) as reader:
        try:
            rows = reader.execute("SELECT data FROM log ORDER BY lsn").fetchall()
            (check,) = reader.execute("PRAGMA integrity_check").fetchone()
        except sqlite3.DatabaseError as error:
            return SqliteAnswer(sqlite3.sqlite_version, 0, str(error))
    return SqliteAnswer(sqlite3.sqlite_version, len(rows), str(check))


def flip_bit(path: str | os.PathLike[str]) -> None:
    """Flip the lowest bit of the first byte of row 11, at the first place where the file contains the row."""
    with open(path, "r+b") as file:
        at = file.read().index(ROWS[DAMAGED_ROW - 1])
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ 1,)))
