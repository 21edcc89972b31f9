"""`Wal`: the handle of a log's one writer.

The methods here check their arguments and the process. The work is in `walogs.engine`.
"""

from __future__ import annotations

import atexit
import os
import warnings
import weakref
from functools import partial
from operator import itemgetter
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar, cast

from walogs.engine.extent_reader import ExtentReader
from walogs.engine.snapshot import Snapshot
from walogs.errors import Checkpointed, Closed, Poisoned
from walogs.foundation.lazy import lazy_import, log_warning
from walogs.foundation.processes import PROCESS, own_pid
from walogs.foundation.records import replace
from walogs.handles.arguments import (
    check_lsn,
    check_number,
    check_range,
    check_time,
    check_timeout,
    copy_batch,
    copy_entry,
    refuse_search,
    shorten,
)
from walogs.handles.limits import refuse_size
from walogs.handles.open_cursors import OpenCursors
from walogs.handles.summaries import active_summary, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from types import TracebackType
    from typing import NoReturn, Self, SupportsIndex

    from pyarrow import RecordBatch
    from typing_extensions import Buffer

    from walogs.arrow import LogColumns
    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.commit import GroupCommit
    from walogs.engine.immutable_segments import ImmutableSegmentWriter
    from walogs.engine.log_source import LogSource
    from walogs.engine.pending_append import PendingAppend
    from walogs.handles.cursor import Cursor
    from walogs.handles.futures import CallbackRunner
    from walogs.handles.limits import Limits
    from walogs.types import Commit, RecoveryReport, SegmentSummary, TailState, WalStats

P = ParamSpec("P")
T = TypeVar("T")


BETWEEN_TURNS_SECONDS: Final = 0.001
"""A checkpoint pauses so long between two calls of the store. A mutex that is taken again at once is seldom handed
over."""


class Wal:
    """A log that is open for writing. `walogs.open` returns it.

    Several threads can use it at the same time. It cannot be pickled, and a forked child cannot use it. It has no
    `len()`, because an empty log would then be false.
    """

    def __init__(
        self,
        path: str | None,
        source: LogSource,
        writer: AppendableWriter | ImmutableSegmentWriter,
        commits: GroupCommit,
        limits: Limits,
        report: RecoveryReport,
    ) -> None:
        self._path = path
        self._report = report
        self._source = source
        self._writer = writer
        self._entry_bytes_max = limits.entry
        self._check_sizes = partial(limits.check_batch, source.format)
        # A reference to this handle would be a cycle.
        self._extent_reader = ExtentReader(source, lambda: writer.log_first_lsn)
        self._commits = commits
        self._callback_runners: dict[None, CallbackRunner] = {}
        """Empty until the first `submit`, and then with one runner. `setdefault` makes two threads that submit at the
        same time agree on one. A lock would not do: a signal handler could submit in the thread that holds it."""
        self._cursors = OpenCursors()
        self._pid = own_pid()
        self._closed = False
        self._has_told_poison = False
        """A task has raised an error that says that the log is poisoned. So `close` need not report it."""
        OPEN.add(self)

    # Writing

    def append(self, data: Buffer) -> int:
        """Append one entry and return its LSN. The first LSN of a log is 1, and each entry has the next number.

        *data* is any C-contiguous buffer, and can be empty. On return, the promise of the sync policy holds: by
        default, the entry is durable (G1).

        Raise `EntryTooLarge` if the data is too large, or `OSError` if there is no space or no descriptor: nothing was
        written, and the handle stays usable. Raise `OutcomeUnknown` if nobody can tell whether the entry is on disk:
        the handle is then poisoned. Raise `Poisoned` or `Closed` if the handle was so before: nothing was written (G7,
        G9).
        """
        entry = data if type(data) is bytes else copy_entry(data)
        size = len(entry)
        if size > self._entry_bytes_max:
            refuse_size("an entry", size, self._entry_bytes_max)
        if PROCESS[0] != self._pid:
            self._refuse_child()
        return self._commits.commit([entry], size)

    def submit(self, data: Buffer) -> Future[int]:
        """Append one entry without waiting for its commit. Return the future of its LSN.

        The future is done when `append` would have returned. Its exception is what `append` would have raised. It can
        be cancelled until its commit begins.

        Many submitted entries share one sync, and those of one thread get ascending LSNs. The data is copied unless it
        is `bytes`. The call waits while more than `max_queued_size` bytes are queued, including its own. Each entry
        counts as its data and 3 KiB.

        Callbacks of the future run on a thread of their own. They can call the log and wait for other threads. `close`
        waits for each of them for two seconds.

        Raise `EntryTooLarge` or `Closed`: nothing was queued (G7, G18).
        """
        entry = data if type(data) is bytes else copy_entry(data)
        size = len(entry)
        if size > self._entry_bytes_max:
            refuse_size("an entry", size, self._entry_bytes_max)
        if PROCESS[0] != self._pid:
            self._refuse_child()
        future = (self._callback_runners.get(None) or self._first_callback_runner()).new_future()
        self._commits.submit([entry], size, future)
        return future

    def _check_entry_size(self, size: int) -> None:
        """Raise `EntryTooLarge` if an entry has too many bytes."""
        if size > self._entry_bytes_max:
            refuse_size("an entry", size, self._entry_bytes_max)

    def _check_batch_size(self, batch: list[bytes]) -> int:
        """Return the bytes of a batch. Raise `EntryTooLarge` if the batch, or an entry of it, has too many."""
        total = sum(map(len, batch))
        self._check_sizes(len(batch), total, lambda: max(enumerate(map(len, batch)), key=itemgetter(1)))
        return total

    def _submit_all(self, appends: Sequence[PendingAppend]) -> None:
        """Queue these appends together, for `walogs.aio`. Wait for nothing.

        Raise `Closed`, or `RuntimeError` if the system starts no more threads: nothing was queued.
        """
        if os.getpid() != self._pid:
            self._refuse_child()
        self._commits.submit_all(appends)

    def _first_callback_runner(self) -> CallbackRunner:
        with lazy_import:
            from walogs.handles.futures import CallbackRunner  # only callers of `submit` pay the 10 ms of this import

        return self._callback_runners.setdefault(None, CallbackRunner(self._commits.spawn))

    def append_batch(self, entries: Iterable[Buffer]) -> range:
        """Append several entries and return their LSNs. Either all of them survive a crash, or none does (G12).

        They are written in one frame, with one sync. For an empty batch, return an empty range and write nothing. Raise
        what `append` raises.
        """
        batch = copy_batch(entries)
        return self._append_checked(batch, self._check_batch_size(batch))

    def append_arrow(self, array: object) -> range:
        """Append the values of an Arrow array as `append_batch` does, without a Python object for each of them.

        *array* is one of pyarrow, chunked or not, or gives one as a PyCapsule, as a series of Polars does. Its values
        are bytes, or text, which is appended as UTF-8. Raise `TypeError` for others, `ValueError` if one is null or the
        array is not valid, and what `append_batch` raises. This needs the extra `walogs[arrow]`.
        """
        with lazy_import:
            from walogs.arrow.packing import pack_array

        batch = pack_array(array, self._check_sizes)
        return self._append_checked(cast("list[bytes]", batch), batch.data.nbytes)

    def _append_checked(self, batch: list[bytes], total: int) -> range:
        """Append a batch of *total* bytes, whose sizes were checked, and return its LSNs."""
        if not batch:
            next_lsn = self._in_turn(lambda: self._writer.next_lsn)
            return range(next_lsn, next_lsn)
        if PROCESS[0] != self._pid:
            self._refuse_child()
        first_lsn = self._commits.commit(batch, total)
        return range(first_lsn, first_lsn + len(batch))

    def sync(self) -> None:
        """Make every entry appended or submitted so far durable (G1).

        If the sync policy promises durable appends, this only waits for the entries that were submitted. Raise
        `OutcomeUnknown` if nobody can tell whether the entries are durable: the handle is then poisoned.
        """
        if os.getpid() != self._pid:
            self._refuse_child()
        self._commits.run_after_queue(self._writer.sync)

    def rotate(self) -> None:
        """Begin the next segment now, unless the active segment is empty (G10).

        Raise `OSError` if there is no space: nothing has changed.
        """
        self._in_turn(self._writer.rotate)

    def checkpoint(self, lsn: SupportsIndex | None = None) -> int:
        """Give up the entries up to and including *lsn*. Return how many segments were removed (G11).

        None as *lsn* means the smallest position of all cursors, as far as no power cut can set them back. So this
        gives up what every consumer has passed (G21).

        This removes the completed segments that contain no later entry. It never removes the active segment, and never
        an entry that is appended later. It works on a full disk.

        If *lsn* is 0 or less, such as `last_lsn - 1000` in a young log, nothing is given up. If *lsn* is beyond the end
        of the log, every entry that is there now is given up.

        Raise `OSError` if a removal fails: the handle stays usable, and the next checkpoint or open finishes the
        removal. Raise `TypeError` if *lsn* is no whole number: nothing was removed. Without *lsn*, raise `ValueError`
        if there is no cursor, `Corrupt` if the value of one is damaged, `LogRewound` if the log ends before the
        position of one, and `ConfigError` if the store keeps no cursors: nothing was removed.
        """
        number = self._passed_by_all_cursors() if lsn is None else check_number(lsn, "lsn")
        removed = self._in_turn(self._writer.checkpoint, number)
        while self._writer.has_leftovers:
            sleep(BETWEEN_TURNS_SECONDS)
            self._in_turn(self._writer.remove_leftovers)
        return removed

    def _passed_by_all_cursors(self) -> int:
        with lazy_import:
            from walogs.handles.cursor import smallest_position

        return smallest_position(self._source, self._in_turn(self._log_id), lambda: self.last_lsn, durable=True)

    # Reading

    def iter(
        self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Return an iterator over (LSN, data) of the entries from *start* up to, and not including, *stop*.

        None as *start* means the first LSN of the log. None as *stop* means its end. The iterator returns every entry
        whose append had returned when this was called.

        Raise `Checkpointed` if *start* is below the first LSN, `IndexError` if it is 0 or less, and `TypeError` if
        *start* or *stop* is no whole number. The iterator raises `Corrupt` for damage, and `Checkpointed` if a
        checkpoint removes entries that it has not yet returned.
        """
        snapshot, first, end = self._snapshot(*check_range(start, stop))
        return snapshot.entries(first, end)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self.iter()

    def __contains__(self, _: object) -> NoReturn:
        refuse_search(self)

    def follow(self, start: SupportsIndex | None = None, timeout: float | None = None) -> Iterator[tuple[int, bytes]]:
        """Return an iterator like `iter`, which then waits for new entries. It returns each one after its append.

        The iterator ends after *timeout* seconds without a new entry. With None, it never ends.

        Raise what `iter` raises, `ValueError` if *timeout* is less than 0 or NaN, and `TypeError` if it is no number.
        The iterator raises `Closed` if the log is closed meanwhile, and `Poisoned` if the log is poisoned and no more
        entries can come.
        """
        seconds = check_timeout(timeout)
        snapshot, first, end = self._snapshot(*check_range(start, None))
        return self._following(snapshot, first, end, seconds)

    def _following(
        self, snapshot: Snapshot, first: int, end: int, timeout: float | None
    ) -> Iterator[tuple[int, bytes]]:
        since = monotonic()
        while True:
            if first < end:
                yield from snapshot.entries(first, end)
                first, since = end, monotonic()
            left = None if timeout is None else max(since + timeout - monotonic(), 0)
            if os.getpid() != self._pid:
                self._refuse_child()
            if not self._commits.wait_beyond(first, left):
                return
            snapshot, end = self._readable_from(first)

    def _readable_from(self, first: int) -> tuple[Snapshot, int]:
        """Return a snapshot that holds the entries from *first* on, and the LSN after its last entry.

        Raise `Checkpointed`, or `Poisoned` if there is no such entry and none can come.
        """
        found, is_poisoned = self._in_turn(lambda: (self._readable(), self._writer.is_poisoned))
        snapshot, log_first_lsn, end = found
        self._refuse_checkpointed(first, log_first_lsn)
        if end <= first and is_poisoned:
            raise Poisoned(f"{self._source.store.name} is poisoned: nothing more will come. Open the log again.")
        return snapshot, end

    def commits(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> Iterator[Commit]:
        """Return an iterator over the commits with an entry of [start, stop): the time and the LSNs of each.

        Raise what `iter` raises.
        """
        snapshot, first, end = self._snapshot(*check_range(start, stop))
        return snapshot.commits(first, end)

    def to_arrow(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> LogColumns:
        """Return the entries of [start, stop) as columns, for pyarrow, Polars, DuckDB and others.

        Each reading of them takes a new snapshot, as `iter` does, and raises what `iter` and its iterator raise.
        """
        begin, limit = check_range(start, stop)
        with lazy_import:
            from walogs.handles.columns import columns_of_writer

        return columns_of_writer(self._source, lambda: self._snapshot(begin, limit))

    def arrow_batches(
        self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None
    ) -> Iterator[RecordBatch]:
        """Return an iterator over the entries of [start, stop) as record batches of pyarrow, which have the columns of
        `to_arrow`. Raise what `iter` and its iterator raise."""
        return iter(self.to_arrow(start, stop))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def cursor(self, name: str) -> Cursor:
        """Open the cursor of this name: the durable position of one consumer, which is kept with the log.

        If there is none, make one that begins before the first entry that the log has now. A checkpoint that is made at
        the same moment may not see it: then its first iteration raises `Checkpointed`.

        Raise `Locked` if another owner has the cursor, `ValueError` or `TypeError` for a wrong name, `ConfigError` if
        the store keeps no cursors, `Corrupt` if its value is damaged or of another log, `UnsafeStore` (A6), `OSError`.
        """
        with lazy_import:
            from walogs.handles.cursor import LogOfCursor, open_cursor

        log_id = self._in_turn(self._log_id)
        log = LogOfCursor(
            self, self._source, log_id=log_id, durable_lsn=self._sync_up_to, last_lsn=lambda: self.last_lsn
        )
        return self._cursors.add(open_cursor(name, log), self)

    def _log_id(self) -> bytes:
        active = self._writer.active
        return (active if active is not None else self._writer.completed[-1]).header.log_id

    def _sync_up_to(self, lsn: int) -> int:
        """Return up to which LSN entries are durable. Sync first if this entry is there and not durable."""
        if self.durable_lsn < lsn <= self.last_lsn:
            self.sync()
        return self.durable_lsn

    def read(self, lsn: SupportsIndex) -> bytes:
        """Return the data of one entry. The index of its segment makes this fast.

        Raise `Checkpointed` if *lsn* is below the first LSN, `IndexError` if it is 0 or less or beyond the end,
        `Corrupt` if the entry is damaged, and `TypeError` if *lsn* is no whole number.
        """
        wanted = check_lsn(lsn, "lsn")
        snapshot, first, end = self._snapshot(wanted, wanted + 1)
        data = snapshot.entry(wanted) if first < end else None
        if data is not None:
            return data
        raise IndexError(f"{self._source.store.name} holds no entry {shorten(wanted)}: it ends at {self.last_lsn}")

    def lsn_at(self, time: datetime | SupportsIndex) -> int:
        """Return the LSN of the first entry that was committed at *time* or later, or `next_lsn` if there is none.

        *time* is a `datetime` with a time zone, or Unix time in nanoseconds as an int. If a clock was set back by more
        than an hour, times are not in order: the entry is one of that time or later, and perhaps not the first. While
        they are in order, at most two segments are read.

        Raise `TypeError` or `ValueError` if *time* is no such time, and `Corrupt` for damage.
        """
        time_ns = check_time(time)
        while True:
            snapshot, first, end = self._snapshot(None, None)
            try:
                return snapshot.lsn_at(time_ns, first, end)
            except Checkpointed:  # a checkpoint has removed what was being searched: search what is left
                if self.first_lsn == first:
                    raise

    def _snapshot(self, start: int | None, stop: int | None) -> tuple[Snapshot, int, int]:
        """Return a snapshot of the log, and the LSNs of [start, stop) that can be read in it."""
        snapshot, log_first_lsn, next_lsn = self._in_turn(self._readable, stop)
        first = log_first_lsn if start is None else start
        self._refuse_checkpointed(first, log_first_lsn)
        return snapshot, first, next_lsn if stop is None else min(stop, next_lsn)

    def _refuse_checkpointed(self, lsn: int, log_first_lsn: int) -> None:
        """Raise `Checkpointed` if *lsn* is below the first LSN of a new snapshot.

        A checkpoint may have raised the first LSN since the last snapshot.
        """
        if lsn < log_first_lsn:
            message = f"entry {lsn} was checkpointed: {self._source.store.name} begins at {log_first_lsn}"
            raise Checkpointed(message, lsn=lsn, first_lsn=log_first_lsn)

    def _readable(self, stop: int | None = None) -> tuple[Snapshot, int, int]:
        writer = self._writer
        snapshot = Snapshot(self._extent_reader, writer.completed, writer.active_extent(stop))
        return snapshot, writer.log_first_lsn, writer.next_lsn

    # What it is

    @property
    def path(self) -> str | None:
        """The directory of a local log. It is None if the log was opened with a store object."""
        return self._path

    @property
    def closed(self) -> bool:
        """Whether `close()` has finished.

        A test that simulates the end of the process sets this. The handle then neither closes the log nor warns.
        """
        return self._closed

    @closed.setter
    def closed(self, is_closed: bool) -> None:
        """Say that the log is closed, without closing it: nothing is written or freed. Only tests do this."""
        self._closed = is_closed

    def stats(self) -> WalStats:
        """Return how many commits, entries and bytes this handle has written, and how long the store took.

        Wait for the commit under way. This also works when the log is closed.
        """
        return self._writer.stats() if self.closed else self._in_turn(self._writer.stats)

    @property
    def recovery_report(self) -> RecoveryReport:
        """The report of what `open` found and did when it made this handle."""
        return self._report

    @property
    def next_lsn(self) -> int:
        """The LSN that the next entry will have."""
        return self._writer.next_lsn

    @property
    def first_lsn(self) -> int:
        """The first LSN that can be read. It equals `next_lsn` if there is no entry."""
        return self._writer.log_first_lsn

    @property
    def last_lsn(self) -> int:
        """The LSN of the last entry, even if it was checkpointed. It is 0 in a new log."""
        return self._writer.next_lsn - 1

    @property
    def durable_lsn(self) -> int:
        """The LSN up to which every entry is durable. This holds under every sync policy."""
        return self._writer.durable_lsn

    @property
    def tail_state(self) -> TailState:
        """The end of the log as `open` found it: `Clean` or `TruncatedAt`."""
        return self._report.tail_state

    @property
    def segment_count(self) -> int:
        """The number of segments, including the active one."""
        return self._in_turn(lambda: len(self._writer.completed) + (self._writer.active is not None))

    def segments(self) -> list[SegmentSummary]:
        """Return a summary of each segment, oldest first. This reads nothing from the store."""
        return self._in_turn(self._summaries)

    def _summaries(self) -> list[SegmentSummary]:
        name, writer = self._source.store.segment_name, self._writer
        active = writer.active
        found = [summary(segment, name(segment.header.number)) for segment in writer.completed]
        if active is not None:
            found.append(active_summary(active, name(active.header.number)))
        elif found:
            found[-1] = replace(found[-1], is_active=True)
        return found

    def __repr__(self) -> str:
        state = "closed" if self.closed else "poisoned" if self._commits.turns.is_poisoned() else "open"
        lsns = f"{self.first_lsn}..{self.last_lsn}" if self.last_lsn >= self.first_lsn else "no entries"
        return f"<walogs.Wal {self._source.store.name!r} {lsns}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Wal cannot be pickled: open the log in the other process")

    # Closing

    def close(self) -> None:
        """Commit the queued entries, sync what is not yet durable, and free the lock. A second call does nothing.

        A poisoned log writes, syncs and cuts nothing: the next open decides what is in it.

        Raise `OutcomeUnknown` if the last sync fails, or if an earlier background sync has failed and no call has
        reported that yet. Some entries are then not known to be durable. Raise `UnsafeStore` if the `LOCK` or the
        directory of the log was removed meanwhile. The lock is free in each case.
        """
        if os.getpid() != self._pid:
            self.closed = True
            return
        self._commits.turns.refuse_within_turn()
        with self._cursors.closing(self):  # outside of any turn, because a cursor in its own turn may wait for one
            self._commits.close(self._end)
        self._await_callbacks()

    def _await_callbacks(self) -> None:
        for runner in self._callback_runners.values():
            runner.wait()

    def _end(self) -> None:
        if self.closed:
            return
        self._extent_reader.close()
        runner = self._callback_runners.get(None)
        if self._has_told_poison or (runner is not None and runner.has_told_poison):
            self._writer.note_reported()
        try:
            self._writer.close()
        finally:
            try:
                self._source.store.close()
            except BaseException:  # an interrupted close may have left the lock taken, so close again
                self._source.store.close()
                raise
            finally:
                self._closed = True  # an interrupt could arrive at the call of the property

    def __enter__(self) -> Self:
        if os.getpid() != self._pid:
            self._refuse_child()
        self._commits.turns.refuse_if_closed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "closed", True) and os.getpid() == self._pid:
            try:
                warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=1)
            finally:  # the warning may be an error
                self.closed = True
                self._commits.abandon(self._source.store.close)

    # Turns

    def _in_turn(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *verb* while no other thread uses the writer. Raise `Closed` in a forked child.

        The process is checked before any lock is taken, because a fork may have copied a lock that is held.
        """
        if os.getpid() != self._pid:
            self._refuse_child()
        return self._commits.turns.run_if_open(verb, *args, **kwargs)

    def _refuse_child(self) -> NoReturn:
        raise Closed(f"{self._source.store.name} was opened before the fork, by its parent: open it in this process")


OPEN: Final[weakref.WeakSet[Wal]] = weakref.WeakSet()


def commit_at_exit() -> None:
    """Commit the queued entries of each log that is still open, and make the syncs that its policy has promised."""
    for wal in list(OPEN):
        if not wal.closed and os.getpid() == wal._pid:
            try:
                wal._commits.commit_at_exit()
                wal._await_callbacks()
            except Exception as error:  # noqa: BLE001  # no caller is left
                log_warning("%r ends without being closed: %s", wal, error)


atexit.register(commit_at_exit)
