"""`Cursor`: the named, durable position of one consumer in a log. `Wal.cursor` and `WalReader.cursor` make one.

The position is kept with the log, in its store. It only moves forward. Nothing here knows how a store keeps it.
"""

from __future__ import annotations

import os
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from walogs.errors import (
    Checkpointed,
    Closed,
    ConfigError,
    Corrupt,
    LogRewound,
    Reentered,
    UnsafeStore,
    UnsupportedFormat,
)
from walogs.formats import cursor as cursor_bytes
from walogs.formats.segment_format import Malformed
from walogs.foundation.foreign import error_text
from walogs.foundation.shell import command_of
from walogs.foundation.turns import TurnLock
from walogs.handles.arguments import check_number, shorten
from walogs.protocols.cursor_store import CursorStore
from walogs.types import CursorLag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import NoReturn, Self, SupportsIndex

    from walogs.engine.log_source import LogSource
    from walogs.handles.reader import WalReader
    from walogs.handles.wal import Wal
    from walogs.protocols.cursor_store import CursorLock


class LogOfCursor(NamedTuple):
    """What a cursor needs of the handle that it was made with."""

    handle: Wal | WalReader
    source: LogSource
    log_id: bytes
    """The log id in the headers of the segments."""
    durable_lsn: Callable[[int], int]
    """Returns up to which LSN entries are durable. If that is below the given LSN, it first does what it can."""
    last_lsn: Callable[[], int]
    """Returns the LSN of the last intact entry, durable or not."""


class Cursor:
    """The position of one consumer in a log. It has a name, and outlives the process.

    Open one with `wal.cursor("mailer")` in the process that writes the log, or with `reader.cursor("mailer")` in any
    other. It has one owner at a time: a second one gets `Locked` until this one is closed, or its process ends. Close
    it, preferably by `with`. Closing the handle that it was made with closes it too.

    Several threads can use a cursor of a `Wal` at the same time. Only one thread at a time may use a reader and its
    cursors. A cursor cannot be pickled, and a forked child cannot use it.
    """

    def __init__(self, name: str, log: LogOfCursor, store: CursorStore, lock: CursorLock, position: int) -> None:
        self.name = name
        """The name of the cursor."""
        self._log = log
        self._store = store
        self._lock = lock
        self._known_position: int | None = position
        """None: a write was interrupted or has failed, so the store has to be asked."""
        self._loss = ""
        """Why the cursor is lost to this owner for ever. "": it is not."""
        self._turn = TurnLock()
        self._is_committing = False
        self._closed = False
        self._pid = os.getpid()

    # Where it is

    @property
    def position(self) -> int:
        """The LSN of the last entry that was committed. The consumer continues with the entry after it.

        A new cursor begins before the first entry that the log has then: at 0, unless a checkpoint has removed entries.

        If a commit was interrupted or has failed, this asks the store. It then raises what `commit` raises if another
        log has come into the place of this one.
        """
        self._refuse_unusable()
        with self._turn:
            self._refuse_reentered()
            return self._position()

    @property
    def lag(self) -> CursorLag:
        """How far the position is behind the last entry that can be read.

        Raise what `iter` raises.
        """
        first = self._next_lsn()
        entries = max(self._log.handle.last_lsn - first + 1, 0)
        if not entries:
            return CursorLag(entries=0, seconds=0.0)
        with self._naming_checkpointed():
            commit = next(self._log.handle.commits(first, first + 1))
        return CursorLag(entries=entries, seconds=max(time.time_ns() - commit.time_ns, 0) / 1e9)

    def commit(self, lsn: SupportsIndex, durable: bool = True) -> None:
        """Move the position to *lsn*: the entries up to and including this one are done. On return it is durable (G21).

        If *durable* is false, nothing is synced. A power cut can then set the position back, up to the last durable
        one, but never forward. So can a kill in the middle of such a commit, but no other kill.

        Under a sync policy that syncs later, an entry that is not durable yet is synced first. So no power cut takes an
        entry that the position has passed.

        Raise `ValueError` if *lsn* is below the position (`walogs cursors --set` sets a cursor back), `IndexError` if
        the log holds no such entry that is durable, and `TypeError` if *lsn* is no whole number: nothing has changed.
        Raise `NoSpace` if there is no space: nothing has changed. After another `OSError`, the position is the old one
        or *lsn*, and `position` tells which.

        Raise `UnsafeStore` if another log, or a copy of this one, has come into its place: nothing has changed. The
        cursor is free then, for whoever opens it anew, and every later commit of this object is refused.
        """
        number = check_number(lsn, "lsn")
        self._refuse_unusable()
        with self._turn:
            self._refuse_reentered()
            self._is_committing = True
            try:
                self._commit(number, durable=durable)
            finally:
                self._is_committing = False

    def _commit(self, lsn: int, *, durable: bool) -> None:
        self._refuse_unusable()  # another thread may have closed it meanwhile
        self._refuse_lost()
        position = self._position()
        if lsn < position:
            what = f"{self._name()} is at entry {position} already, and lsn={shorten(lsn)} is before it"
            move = f"To set it back, close it and use `{set_command(self._log.source, self.name, 'LSN')}`"
            raise ValueError(f"{what}. Nothing was changed. {move}.")
        durable_lsn = self._log.durable_lsn(lsn)
        if lsn > durable_lsn:
            what = f"{self._name()} cannot move to entry {shorten(lsn)}"
            raise IndexError(f"{what}: the last durable entry is {durable_lsn}. Nothing was changed.")
        data = cursor_bytes.encode(self._log.log_id, lsn, max(time.time_ns(), 0))
        self._known_position = None
        try:
            self._store.write_cursor(self.name, data, durable=durable)
        except UnsafeStore as error:
            self._known_position = position
            self._lose(error)
            raise
        self._known_position = lsn

    # Reading on from there

    def iter(self, stop: SupportsIndex | None = None) -> Iterator[tuple[int, bytes]]:
        """Return an iterator over (LSN, data) of the entries after the position, up to and not including *stop*.

        None as *stop* means the end of the log. The position moves only by `commit`.

        Raise `Checkpointed` if a checkpoint has removed the next entry, and `LogRewound` if the log ends before the
        position: it was cut or replaced. Both say what to do. Raise what `iter` of the handle raises.
        """
        first = self._next_lsn()
        with self._naming_checkpointed():
            found = self._log.handle.iter(first, stop)
        return self._entries(found)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self.iter()

    def follow(self, timeout: float | None = None) -> Iterator[tuple[int, bytes]]:
        """Return an iterator like `iter`, which then waits for new entries.

        It ends after *timeout* seconds without a new entry. With None, it never ends. Raise what `iter` raises, and
        what `follow` of the handle raises.
        """
        first = self._next_lsn()
        with self._naming_checkpointed():
            found = self._log.handle.follow(first, timeout)
        return self._entries(found)

    def _entries(self, found: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        with self._naming_checkpointed():
            for entry in found:
                self._refuse_unusable()  # another owner may have the cursor by now
                yield entry

    def _next_lsn(self) -> int:
        """Return the LSN after the position. Raise `LogRewound` if the log ends before the position."""
        position = self.position
        if position > self._log.durable_lsn(position):
            # After a power cut, a reader may not know yet that the last entries are durable. They are there.
            refuse_rewound(self._log.source, self.name, position, self._log.last_lsn())
        return position + 1

    @contextmanager
    def _naming_checkpointed(self) -> Iterator[None]:
        """Turn a `Checkpointed` into one that names the cursor and says what to do."""
        try:
            yield
        except Checkpointed as error:
            first_lsn, what = error.first_lsn, f"{self._name()} is at entry {self.position}"
            move = f"cursor.commit({first_lsn - 1}) gives up what is missing, and so does"
            command = set_command(self._log.source, self.name, str(first_lsn - 1))
            told = f"{what}, and a checkpoint has removed the entries up to {first_lsn - 1}. {move} `{command}`."
            raise Checkpointed(told, lsn=error.lsn, first_lsn=first_lsn) from error

    # Closing

    @property
    def closed(self) -> bool:
        """Whether the cursor was closed, or the handle that it was made with."""
        return self._closed

    def close(self) -> None:
        """Free the cursor for another owner. The position stays as it is. A second call does nothing."""
        if os.getpid() != self._pid:
            self._closed = True
            return
        with self._turn:
            self._refuse_reentered()
            self._closed = True
            self._lock.release()  # also at a second call, because the first one may have been interrupted

    def __enter__(self) -> Self:
        self._refuse_unusable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if os.getpid() != getattr(self, "_pid", None):  # of a parent, or never finished
            return
        try:
            if not self._closed:
                warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=1)
        finally:  # the warning may be an error, and a close may have been interrupted
            self._closed = True
            self._lock.release()

    def __repr__(self) -> str:
        known = self._known_position
        state = "closed" if self._closed else f"at {known}" if known is not None else "open"
        return f"<walogs.Cursor {self.name!r} of {self._log.source.store.name!r}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Cursor cannot be pickled: open it in the other process")

    # Turns

    def _refuse_reentered(self) -> None:
        """Raise `Reentered` if this thread is in the middle of a commit, as a signal handler can find it."""
        if self._is_committing:
            raise Reentered(f"{self._name()} was called in the middle of its own commit. Nothing was done.")

    def _refuse_in_commit(self) -> None:
        """Raise `Reentered` if this thread is in the middle of a commit. Wait for one of another thread."""
        if os.getpid() == self._pid:
            with self._turn:
                self._refuse_reentered()

    def _position(self) -> int:
        """Return the position. The store is asked if a write was interrupted. The caller has the turn."""
        known = self._known_position
        if known is None:
            self._refuse_lost()
            try:
                value = read_value(self._log.source, self.name, self._log.log_id)
            except UnsafeStore as error:
                self._lose(error)
                raise
            if value is None:
                what = f"{self._store.cursor_name(self.name)} in {self._log.source.store.name} is gone"
                move = f"Close it, and `{set_command(self._log.source, self.name, 'LSN')}` gives it a position anew"
                raise Corrupt(f"{what}. Nothing was changed. {move}.")
            known = self._known_position = value.lsn
        return known

    def _lose(self, error: UnsafeStore) -> None:
        """Remember that the store no longer takes this object for the owner, and free the lock for another one."""
        self._loss = error_text(error)
        self._lock.release()

    def _refuse_lost(self) -> None:
        """Raise `UnsafeStore` if the cursor is lost to this owner."""
        if self._loss:
            raise UnsafeStore(self._loss)

    def _refuse_unusable(self) -> None:
        """Raise `Closed` in a forked child, before any lock is taken, and after `close`."""
        if os.getpid() != self._pid:
            raise Closed(f"{self._name()} was opened before the fork, by its parent: open it in this process")
        if self._closed:
            raise Closed(f"{self._name()} was closed: open it again")

    def _name(self) -> str:
        return f"cursor {self.name!r} of {self._log.source.store.name}"


def open_cursor(name: str, log: LogOfCursor) -> Cursor:
    """Return the cursor of that name, with its lock. If there is none, make one before the first entry of the log.

    Raise `ValueError` or `TypeError` for a wrong name, `ConfigError` if the store keeps no cursors, `Locked` if another
    owner has it, `Corrupt` if its value is damaged or of another log, and `OSError`. Raise `UnsafeStore` if a cursor of
    this name is still open in a directory that was replaced: close that one.
    """
    check_name(name)
    store = cursor_store(log.source)
    lock = store.cursor_lock(name)
    try:
        lock.take()
        store.read_cursor(name, durable=True)  # whoever wrote it may have died before it was durable
        value = read_value(log.source, name, log.log_id)
        position = log.handle.first_lsn - 1 if value is None else value.lsn
        if value is None:
            store.write_cursor(name, cursor_bytes.encode(log.log_id, position, max(time.time_ns(), 0)), durable=True)
        return Cursor(name, log, store, lock, position)
    except BaseException:  # an interrupt can arrive at each of these calls
        lock.release()
        raise


def check_name(name: object) -> str:
    """Return the name of a cursor. Raise `ValueError` for a wrong one, and `TypeError` for what is no text."""
    if not isinstance(name, str):
        raise TypeError(f"name={shorten(name)}: the name of a cursor is text; {type(name).__name__} is not")
    if not cursor_bytes.is_name(name):
        rule = "1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or a digit, and neither .lock nor .tmp at the end"
        raise ValueError(f"name={shorten(name)}: no name of a cursor, which has {rule}")
    return name


def cursor_store(source: LogSource) -> CursorStore:
    """Return the store of the log. Raise `ConfigError` if it keeps no cursors."""
    store = source.store
    if isinstance(store, CursorStore):
        return store
    move = "Keep the position in a place of your own, and pass the smallest one to checkpoint(lsn)"
    problem = f"{store.name}: its store keeps no cursors. {move}"
    raise ConfigError(problem, problems=(problem,))


def read_value(
    source: LogSource, name: str, log_id: bytes, *, durable: bool = False
) -> cursor_bytes.CursorValue | None:
    """Return what the store has of a cursor, or None. If *durable* is true, no power cut takes it back.

    Raise `Corrupt` if the value is damaged or of another log, and `UnsupportedFormat`.
    """
    store = cursor_store(source)
    data = store.read_cursor(name, durable=durable)
    if data is None:
        return None
    place = f"{store.cursor_name(name)} in {source.store.name}"
    try:
        value = cursor_bytes.decode(data)
    except Malformed as error:
        raise damaged_cursor(source, name, f"{place} is damaged: {error}") from None
    except UnsupportedFormat as error:
        move = "Use the release of walogs that wrote it, or a later one. Nothing was changed."
        raise UnsupportedFormat(f"{place} has {error_text(error)}. {move}", found=error.found) from None
    if value.log_id != log_id:
        why = f"is of another log, with the log id {value.log_id.hex()} in place of {log_id.hex()}"
        raise damaged_cursor(source, name, f"{place} {why}")
    return value


def damaged_cursor(source: LogSource, name: str, damage: str) -> Corrupt:
    """Return the error for a value that is no position in this log."""
    move = f"`{set_command(source, name, 'LSN')}` gives it a position anew"
    drop = command(source, "--drop", name)
    return Corrupt(f"{damage}. Nothing was changed. {move}, and `{drop}` removes it.")


def refuse_rewound(source: LogSource, name: str, position: int, last_lsn: int) -> None:
    """Raise `LogRewound` if the log ends before the position of a cursor."""
    if position <= last_lsn:
        return
    what = f"cursor {name!r} of {source.store.name} is at entry {position}, and the log ends at {last_lsn}"
    why = "it was cut or replaced, or the cursor is of another copy of it"
    move = f"Undo what the entries after {last_lsn} have caused, and then `{set_command(source, name, str(last_lsn))}`"
    raise LogRewound(f"{what}: {why}. {move}.", end_lsn=last_lsn)


def smallest_position(source: LogSource, log_id: bytes, last_lsn: Callable[[], int], *, durable: bool) -> int:
    """Return the smallest position of all cursors. If *durable* is true, no power cut sets a cursor back beyond it.

    *last_lsn* returns the LSN of the last entry. It is called when the positions are known, because both move.

    Raise `ValueError` if there is no cursor, `LogRewound` if the log ends before the position of one, and what
    `read_value` raises.
    """
    names = cursor_store(source).cursors()
    found = {name: read_value(source, name, log_id, durable=durable) for name in names}
    positions = {name: value.lsn for name, value in found.items() if value is not None}
    if not positions:
        why = "there is no cursor, so nothing tells which entries are not needed any more"
        raise ValueError(f"{source.store.name}: {why}. Nothing was removed. Pass the last LSN: checkpoint(lsn).")
    end = last_lsn()
    for name, position in positions.items():
        refuse_rewound(source, name, position, end)
    return min(positions.values())


def needed_by_cursors(source: LogSource, log_id: bytes, last_lsn: Callable[[], int]) -> int | None:
    """Return the LSN up to which no cursor needs the entries any more, or None if the log has no cursor.

    *last_lsn* is as in `smallest_position`. Raise `Corrupt` if the value of a cursor is damaged, and what else
    `smallest_position` raises.
    """
    if not isinstance(source.store, CursorStore) or not source.store.cursors():
        return None
    return smallest_position(source, log_id, last_lsn, durable=True)


def set_command(source: LogSource, name: str, lsn: str) -> str:
    """Return the command that sets a cursor."""
    return command(source, "--set", name, lsn)


def command(source: LogSource, *change: str) -> str:
    """Return the command that makes this change to a cursor. It has to name any store but the one of local files."""
    store = () if source.store.capabilities.appendable else ("--store", "NAME")
    return command_of(("walogs", "cursors", source.store.name, *store, *change))
