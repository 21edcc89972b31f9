"""The errors that walogs raises for SQLite's result codes."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from walogs import Corrupt, NoSpace, StoreError, Unavailable, UnsafeStore
from walogs.plugins import SegmentExists

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIMARY: Final = 0xFF
"""This mask gives the primary result code, which is the lowest byte of an extended one."""

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
"""A statement that fails with one of these has changed nothing, also after a crash. The store stays usable."""


def code_of(error: sqlite3.Error) -> int | None:
    """Return the primary result code, or None if Python's module raised the error without calling SQLite."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & PRIMARY


def is_harmless(error: sqlite3.Error) -> bool:
    return code_of(error) in HARMLESS


@contextmanager
def translate_errors(name: str, segment: int | None = None) -> Iterator[None]:
    """Replace SQLite's errors by those of `SegmentStore`. *segment* is the segment that the call is about."""
    try:
        yield
    except sqlite3.Error as error:
        raise meaning(error, name, segment) from error
    except UnicodeDecodeError as error:  # SQLite's message quotes damaged bytes, which Python cannot decode.
        raise damage_error(f"{name}: the description of its table is not valid text", segment) from error


def damage_error(what: str, segment: int | None) -> Corrupt:
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
            return SegmentExists(f"segment {segment} is in {name} already")
        case sqlite3.SQLITE_FULL:
            return NoSpace(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        case sqlite3.SQLITE_TOOBIG:
            return NoSpace(errno.EFBIG, "the segment is larger than one row of SQLite can be", name)
        case sqlite3.SQLITE_NOTADB:
            return UnsafeStore(f"{name} is no SQLite database. Name another file; nothing was changed.")
        case sqlite3.SQLITE_CORRUPT:
            return damage_error(what, segment)
        case sqlite3.SQLITE_READONLY:
            return PermissionError(errno.EACCES, "cannot be written to; nothing was changed", name)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            needs = f"SQLite also needs to make {os.path.basename(name)}-wal and -shm beside it"
            return PermissionError(errno.EACCES, f"{error} ({needs}); nothing was changed", name)
        case _:
            return OSError(errno.EIO, str(error), name)
