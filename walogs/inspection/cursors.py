"""The cursors of a log, for people: where each is, how far behind, and who has it; and setting and removing one.

To look takes no lock and writes nothing, so it works beside owners and writers, and on a read-only file system. A fact
is None or "" if it is not known.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from walogs.defaults.cursor_files import CURSORS, LOCK
from walogs.defaults.local_store import LocalStore
from walogs.engine.extent_finder import ExtentFinder
from walogs.engine.extent_reader import ExtentReader
from walogs.engine.observation import look_with_retry, observe_once
from walogs.errors import Corrupt, UnsupportedFormat
from walogs.formats import cursor as cursor_bytes
from walogs.foundation.foreign import error_text
from walogs.handles.cursor import check_name, cursor_store, read_value
from walogs.inspection.lock import holders, read_lock_file
from walogs.inspection.mount import mount_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import ReadableEnd
    from walogs.formats.cursor import CursorValue
    from walogs.inspection.mount import Mount


@dataclass(frozen=True, slots=True)
class CursorFacts:
    """One cursor."""

    name: str
    position: int | None
    """None: its value cannot be read."""
    committed_ns: int | None
    """When the position was committed: Unix time in nanoseconds."""
    lag_entries: int | None
    """How many entries are after the position. None if some of them are gone, or if the log ends before it."""
    lag_bytes: int | None
    """The bytes of their commits as they are stored. A little more, if commits of the first segment have no index."""
    lag_seconds: float | None
    """How long ago the first of them was committed. 0 if there is none."""
    is_locked: bool | None
    """Whether an owner has the cursor. None: the store cannot tell."""
    owner: str
    """The process id, the host and the time at which it took the cursor, as `4242 app-1 2026-01-31T12:00:00Z`."""
    problem: str = ""
    """Why its consumer cannot continue: the value is damaged, or the log no longer has the next entry."""

    def as_json(self) -> dict[str, Any]:
        """Return the facts, by the names that scripts use."""
        return {**asdict(self), "owner": self.owner or None, "problem": self.problem or None}


class Lag(NamedTuple):
    """How far a position is behind."""

    entries: int
    bytes: int
    since_ns: int | None
    """When the first of the entries was committed: Unix time in nanoseconds. None: there is none."""


def find_cursors(source: LogSource) -> list[CursorFacts]:
    """Return every cursor of the log, by name. A damaged one is among them.

    Raises `ConfigError` (the store keeps no cursors), and what reading the log raises.
    """
    log_id = look(source).newest.log_id
    found = (facts_of(source, name, log_id) for name in cursor_store(source).cursors())
    return [facts for facts in found if facts is not None]


def facts_of(source: LogSource, name: str, log_id: bytes) -> CursorFacts | None:
    """Return the facts of one cursor, or None if it was removed meanwhile."""
    is_locked, owner = owner_of(source, name)
    value: CursorValue | None = None
    lag: Lag | None = None
    try:
        value = read_value(source, name, log_id)
    except (Corrupt, UnsupportedFormat) as error:
        problem = error_text(error)
    else:
        if value is None:
            return None
        problem = shortcoming(look(source), value.lsn)  # looked at after the value, which may move
        lag = None if problem else lag_of(source, value.lsn)
    since_ns = None if lag is None else lag.since_ns
    return CursorFacts(
        name=name,
        position=None if value is None else value.lsn,
        committed_ns=None if value is None else value.time_ns,
        lag_entries=None if lag is None else lag.entries,
        lag_bytes=None if lag is None else lag.bytes,
        lag_seconds=None if lag is None else 0.0 if since_ns is None else max(time.time_ns() - since_ns, 0) / 1e9,
        is_locked=is_locked,
        owner=owner,
        problem=problem,
    )


def look(source: LogSource) -> ReadableEnd:
    """Return how far the log can be read, with all that is written: a position is never beyond what was durable."""
    return look_with_retry(source, lambda doubted: observe_once(source, "written", None, from_start=doubted))


def shortcoming(readable: ReadableEnd, position: int) -> str:
    """Return why a consumer cannot continue from there, or "" if it can."""
    if position + 1 < readable.log_first_lsn:
        return f"a checkpoint has removed the entries up to {readable.log_first_lsn - 1}"
    if position > readable.last_lsn:
        return f"the log ends before that, at {readable.last_lsn}: it was cut or replaced"
    return ""


def lag_of(source: LogSource, position: int) -> Lag:
    """Return how far the position is behind. Reads no entry, and at most the frames of one run."""
    return look_with_retry(source, lambda _: lag_once(source, look(source), position))


def lag_once(source: LogSource, readable: ReadableEnd, position: int) -> Lag:
    first, end = position + 1, readable.last_lsn + 1
    size, since_ns = 0, None
    reader = ExtentReader(source, lambda: readable.log_first_lsn)
    for _, extent in ExtentFinder(source).extents(readable, first, end, to_end=False):
        start = source.format.traits.header_bytes
        if since_ns is None:
            start, since_ns = reader.place_of(extent, first)
        size += max(extent.end - start, 0)
    return Lag(entries=max(end - first, 0), bytes=size, since_ns=since_ns)


def owner_of(source: LogSource, name: str) -> tuple[bool | None, str]:
    """Return whether the cursor of a local log is locked, and the signature of its owner. (None, "") elsewhere."""
    store = source.store
    if not isinstance(store, LocalStore):
        return None, ""
    directory = os.path.join(store.path, CURSORS)
    read = read_lock_file(os.path.join(directory, name + LOCK))
    if read is None:
        return False, ""
    status, signature = read
    found = holders(mount_there(directory), status)
    return (None, "") if found is None else (bool(found), signature if found else "")


def mount_there(directory: str) -> Mount | None:
    """Return the mount that the directory is in."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return mount_of(fd)
    finally:
        os.close(fd)


# Changing one


def set_cursor(source: LogSource, name: str, lsn: int, log_id: bytes) -> None:
    """Put the cursor at *lsn*, durably; make it if there is none. The caller has checked that the log has that entry.

    Raises `Locked` if an owner has the cursor, `ValueError` for a wrong name, `ConfigError` and `OSError`.
    """
    with owned(source, name):
        data = cursor_bytes.encode(log_id, lsn, time.time_ns())
        cursor_store(source).write_cursor(name, data, durable=True)


def drop_cursor(source: LogSource, name: str) -> None:
    """Remove the cursor, durably. Raises `Locked` if an owner has it, and `OSError`."""
    with owned(source, name):
        cursor_store(source).remove_cursor(name)


@contextmanager
def owned(source: LogSource, name: str) -> Iterator[None]:
    """Own the cursor during the block."""
    lock = cursor_store(source).cursor_lock(check_name(name))
    try:
        lock.take()
        yield
    finally:
        lock.release()
