"""`WalReader` reads a log beside its writer, from any process. It takes no lock and changes nothing (G14)."""

from __future__ import annotations

import weakref
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from walogs.engine.log_view import LogView
from walogs.engine.observation import observe
from walogs.errors import ConfigError
from walogs.foundation.lazy import lazy_import
from walogs.foundation.wakeups import held_lock, release
from walogs.handles.arguments import (
    check_lsn,
    check_poll,
    check_range,
    check_time,
    check_timeout,
    refuse_search,
    shorten,
)
from walogs.handles.following import Looks, ReaderFollowing
from walogs.handles.open_cursors import OpenCursors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import NoReturn, Self, SupportsIndex

    from pyarrow import RecordBatch

    from walogs.arrow import LogColumns
    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import Visibility
    from walogs.handles.cursor import Cursor
    from walogs.protocols import WaitingStore
    from walogs.types import Commit

POLL_SECONDS: Final = 0.01
WAIT_SECONDS: Final = 1.0
"""A store that can wait is asked to wait so long at a time. A `close()` in another thread is noticed after that."""
REST_SECONDS: Final = 0.002
"""A follower that has found entries observes the log again after this time at the earliest. Otherwise it would compete
with a writer that appends without a pause."""
LOOK_EVERY: Final = 100
"""After this many polls without a change, `follow` observes the whole log. If the durable mark cannot be written, polls
see nothing."""


class WalReader:
    """A handle that reads a log beside its one writer, or without one. `walogs.reader` makes it.

    A reader takes no lock and changes nothing, except by its cursors. It returns only durable entries
    (`visibility="durable"`), or every intact entry (`visibility="written"`), of which a crash can take some away. Each
    method observes the log anew. A rotation, a checkpoint, a recovery and the end of the writer do not disturb the
    reader.

    Only one thread at a time may use a reader, but any thread may call `close()`. A reader cannot be pickled.
    """

    def __init__(self, path: str | None, source: LogSource, visibility: Visibility) -> None:
        self.path = path
        """The directory of a local log. None if the store is an object."""
        self.visibility: Visibility = visibility
        """`durable` or `written`."""
        self._source = source
        self._view = LogView(source, visibility)
        self._woken = held_lock()
        """This lock is held until `close()` releases it, which wakes a `follow` that waits."""
        self._cursors = OpenCursors()
        self._looks: set[weakref.ref[Looks]] = set()
        """Those of each `follow`. A set is copied in one step, and a `WeakSet` is not."""

    # Reading

    def iter(
        self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Iterate over (LSN, data) from *start* up to *stop*, which is exclusive.

        With None, *start* is the first LSN of the log, and *stop* is after the last entry that can be read at the call.

        The call raises `IndexError` for LSN 0 and below, and `TypeError` for a value that is no whole number. The call
        and the iteration raise `Checkpointed` if the next entry is below the first LSN, `LogRewound` if entries
        that this reader had seen before were cut, `Corrupt` if two observations find the same damage, `Unavailable` if
        no two observations agree, and `Closed` after `close()`.
        """
        begin, limit = check_range(start, stop)
        first, end = self._range(begin, limit)
        return self._view.entries(first, end, cuts=self._view.cuts, to_end=limit is None or end < limit)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self.iter()

    def __contains__(self, _: object) -> NoReturn:
        refuse_search(self)

    def read(self, lsn: SupportsIndex) -> bytes:
        """Return the data of one entry.

        Raises `IndexError` if there is no such entry or it cannot be read yet, and otherwise what `iter` raises.
        """
        wanted = check_lsn(lsn, "lsn")
        first, end = self._range(wanted, wanted + 1)
        # The entry is certain only when the whole iteration has ended.
        for _, data in list(self._view.entries(first, end, cuts=self._view.cuts, to_end=False)):
            return data
        name, last_lsn = self._source.store.name, self._view.readable.last_lsn
        raise IndexError(
            f"{name} holds no entry {shorten(wanted)} that can be read: the last {self.visibility} one is {last_lsn}"
        )

    def commits(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> Iterator[Commit]:
        """Iterate over the commits that hold an entry of [start, stop). Raises what `iter` raises."""
        begin, limit = check_range(start, stop)
        first, end = self._range(begin, limit)
        to_end = limit is None or end < limit
        return self._view.commits(first, end, cuts=self._view.cuts, to_end=to_end)

    def to_arrow(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> LogColumns:
        """Return the entries of [start, stop) as columns, for pyarrow, Polars, DuckDB and others.

        Nothing is read yet. Each reading of the result observes the log anew, and any thread may read it at any time.
        It raises what `iter` raises, but not `LogRewound` for entries that only earlier readings have seen. This needs
        the extra `walogs[arrow]`.
        """
        begin, limit = check_range(start, stop)
        with lazy_import:
            from walogs.handles.columns import columns_of_reader

        return columns_of_reader(self._source, self._view, self.visibility, begin, limit)

    def arrow_batches(
        self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None
    ) -> Iterator[RecordBatch]:
        """Iterate over the entries of [start, stop) as record batches of pyarrow, with the columns lsn, time and data.

        Raises what a reading of `to_arrow` raises. This needs the extra `walogs[arrow]`.
        """
        return iter(self.to_arrow(start, stop))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def lsn_at(self, time: datetime | SupportsIndex) -> int:
        """Return the LSN of the first entry that was committed at *time* or later. It is `last_lsn` + 1 if there is
        none.

        *time* is a `datetime` with a time zone, or Unix time in nanoseconds as an int. If a clock was set back by more
        than an hour, times are not in order: the entry is one of that time or later, and perhaps not the first. The
        segments are searched by halves. Raises `TypeError` or `ValueError` if *time* is no such time, and otherwise
        what `iter` raises.
        """
        time_ns = check_time(time)
        self._view.look()
        return self._view.lsn_at(time_ns)

    def follow(
        self, start: SupportsIndex | None = None, timeout: float | None = None, *, poll: float = POLL_SECONDS
    ) -> Iterator[tuple[int, bytes]]:
        """Iterate as `iter` does, and then over each new entry when it can be read. Look for one every *poll* seconds,
        unless the store can wait for it, as remote stores do, or tells of it, as the local store does on Linux.

        The iteration ends after *timeout* seconds without a new entry. With None it goes on without limit. Raises what
        `iter` raises. The call raises `ValueError` or `TypeError` for an invalid *timeout* or *poll*.
        """
        seconds, between = check_timeout(timeout), check_poll(poll)
        begin, _ = check_range(start, None)
        return self._entries_of(self._follow_from(begin), seconds, between)

    def cursor(self, name: str) -> Cursor:
        """Open the cursor of this name: the durable position of one consumer, which is kept with the log.

        If there is none, make one that begins before the first entry that the log has now. A checkpoint that is made at
        the same moment may not see it: then its first iteration raises `Checkpointed`. This is the only method of a
        reader that writes: into the place of the cursors, and nowhere else.

        Raise `Locked` if another owner has the cursor, `ValueError` or `TypeError` for a wrong name, `ConfigError` if
        the store keeps no cursors or the reader returns entries that are not durable, `Corrupt` if the value of the
        cursor is damaged or of another log, and `OSError`. Raise `UnsafeStore` if the directory of the log was replaced
        and this cursor is still open in the old one: close that one.
        """
        with lazy_import:
            from walogs.handles.cursor import LogOfCursor, open_cursor

        if self.visibility != "durable":
            why = "a crash can take entries that are not durable, and a cursor that has passed them would skip others"
            problem = f"visibility={self.visibility!r}: {why}. Use a reader of durable entries"
            raise ConfigError(problem, problems=(problem,))
        self._view.look()
        log = LogOfCursor(
            self,
            self._source,
            log_id=self._view.readable.newest.log_id,
            durable_lsn=self._look_up_to,
            last_lsn=lambda: observe(self._source, "written").last_lsn,
        )
        return self._cursors.add(open_cursor(name, log), self)

    def _look_up_to(self, lsn: int) -> int:
        """Return the LSN of the last durable entry. Observe the log first if this entry is not known."""
        if lsn > self._view.readable.last_lsn:
            self._view.look()
        return self._view.readable.last_lsn

    @property
    def first_lsn(self) -> int:
        """The first LSN that can be read now. It is `last_lsn` + 1 if no entry can be read."""
        return self._range(None, None)[0]

    @property
    def last_lsn(self) -> int:
        """The LSN of the last readable entry, even if it was checkpointed. It is 0 for a fresh log."""
        return self._range(None, None)[1] - 1

    def close(self) -> None:
        """Close the reader and its cursors. Its iterations then raise `Closed`, also one that waits in another thread.

        A second call does nothing.
        """
        with self._cursors.closing(self):
            self._view.closed = True
        release(self._woken)
        for looks in [reference() for reference in list(self._looks)]:
            if looks is not None:
                looks.stop()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._view.closed

    def __enter__(self) -> Self:
        self._view.refuse_closed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        first, last, state = (
            self._view.readable.log_first_lsn,
            self._view.readable.last_lsn,
            "closed" if self.closed else "open",
        )
        lsns = f"{first}..{last}" if last >= first else "no entries"
        return f"<walogs.WalReader {self._source.store.name!r} {self.visibility} {lsns}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a WalReader cannot be pickled: make one in the other process")

    # How far

    def _range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        """Observe the log, and return [start, stop) as far as it can be read now. Raise what `iter` raises."""
        self._view.look()
        return self._view.range(start, stop)

    def _looks_of(self, following: ReaderFollowing, poll: float, changed: Callable[[], object]) -> Looks:
        """Return the looks of one `follow`. *changed* is called when there may be more, and when the reader is closed.

        Call this before an observation: it raises `Closed` if `close` came too early to find these looks.
        """
        looks = Looks(following, poll, changed)
        self._looks.add(weakref.ref(looks, self._looks.discard))
        return looks

    def _follow_from(self, start: int | None) -> ReaderFollowing:
        """Observe the log, and return what follows it from *start*. Raise what `iter` raises."""
        first, _ = self._range(start, None)
        return ReaderFollowing(self._source, self._view, self.visibility, first)

    def _entries_of(
        self, following: ReaderFollowing, timeout: float | None, poll: float
    ) -> Iterator[tuple[int, bytes]]:
        since, rest = monotonic(), min(poll, REST_SECONDS)
        looks = self._looks_of(following, poll, lambda: release(self._woken))
        try:
            while True:
                before, observed_at = following.lsn, monotonic()
                yield from following.new_entries()
                if following.lsn > before:
                    since = monotonic()
                    sleep(max(observed_at + rest - since, 0))
                    # A store that can wait is asked once: it says at once that more came meanwhile.
                    if following.waiting_store is None and following.may_have_more():
                        continue
                if timeout is not None and monotonic() - since >= timeout:
                    return
                self._wait(following, looks, None if timeout is None else since + timeout)
        finally:
            looks.end()

    def _wait(self, following: ReaderFollowing, looks: Looks, until: float | None) -> None:
        """Return when there may be more to read, when the reader is closed, or when the time is over.

        This also returns after LOOK_EVERY attempts to find out whether there is more.
        """
        waiting = following.waiting_store
        if waiting is not None:
            self._wait_for_store(waiting, following.newest, until)
            return
        if looks.begin():
            return
        while looks.polls < LOOK_EVERY:
            seconds = looks.seconds
            left = max(seconds if until is None else min(seconds, until - monotonic()), 0)
            is_told = self._woken.acquire(timeout=left)
            if self.closed or looks.may_have_more(is_told=is_told) or (left < seconds and not is_told):
                return

    def _wait_for_store(self, waiting: WaitingStore, newest: int, until: float | None) -> None:
        for _ in range(LOOK_EVERY):
            left = max(WAIT_SECONDS if until is None else min(WAIT_SECONDS, until - monotonic()), 0)
            if waiting.wait_beyond(newest, left) or self.closed or left < WAIT_SECONDS:
                return
