"""What SQLite's result codes mean to walogs: a table, and the sentences around it."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from walogs import Corrupt, Exists, NoSpace, StoreError, Unavailable, Unsafe

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIMARY: Final = 0xFF
"""An extended result code has its primary one in the lowest byte."""

HARMLESS: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_READONLY,
    }
)
"""After these a statement has changed nothing, and will never be found to have: the next one may be tried."""


def code_of(error: sqlite3.Error) -> int | None:
    """The primary result code; None: Python's module refused, and SQLite was not asked."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & PRIMARY


def is_harmless(error: sqlite3.Error) -> bool:
    return code_of(error) in HARMLESS


@contextmanager
def explained(name: str, segment: int | None = None) -> Iterator[None]:
    """What SQLite raises becomes what the protocol of stores says. *segment*: the one that it is about."""
    try:
        yield
    except sqlite3.Error as error:
        raise meaning(error, name, segment) from error
    except UnicodeDecodeError as error:  # SQLite's message quotes what is damaged, and Python cannot read it
        raise damaged(f"{name}: its description of itself is no text", segment) from error


def damaged(what: str, segment: int | None) -> Corrupt:
    move = "Nothing was changed. Restore it from a copy, or read around the damage with walogs.salvage"
    return Corrupt(f"{what}. {move}.", segment=segment)


def meaning(error: sqlite3.Error, name: str, segment: int | None) -> StoreError | OSError | Corrupt | sqlite3.Error:
    what = f"{name}: {error}"
    match code_of(error):
        case None:
            return error
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return Unavailable(f"{what}. Another process keeps it busy; try again, or raise busy_seconds.")
        case sqlite3.SQLITE_CONSTRAINT:
            return Exists(f"segment {segment} is in {name} already")
        case sqlite3.SQLITE_FULL:
            return NoSpace(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        case sqlite3.SQLITE_TOOBIG:
            return NoSpace(errno.EFBIG, "more than SQLite holds in one row", name)
        case sqlite3.SQLITE_NOTADB:
            return Unsafe(f"{name} is no SQLite database. Name another file; nothing was changed.")
        case sqlite3.SQLITE_CORRUPT:
            return damaged(what, segment)
        case sqlite3.SQLITE_READONLY:
            return PermissionError(errno.EACCES, "cannot be written to; nothing was changed", name)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            needs = f"SQLite also needs to make {os.path.basename(name)}-wal and -shm beside it"
            return PermissionError(errno.EACCES, f"{error} ({needs}); nothing was changed", name)
        case _:
            return OSError(errno.EIO, str(error), name)
