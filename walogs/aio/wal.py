"""`AsyncWal`: the writer's handle for tasks of asyncio and trio."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from anyio import move_on_after

from walogs.aio.appends import LoopAppends
from walogs.aio.awaited import Opening
from walogs.aio.calls import ThreadCalls, ThreadsRefused
from walogs.aio.cursor import AsyncCursor
from walogs.aio.loops import TaskLock, event_loop, running_loop
from walogs.aio.streams import AsyncStream, Reading, batch_bytes, data_bytes, no_bytes, read_chunk
from walogs.errors import OutcomeUnknown, Poisoned
from walogs.foundation.lazy import lazy_import
from walogs.handles.arguments import (
    check_lsn,
    check_number,
    check_range,
    check_timeout,
    copy_batch,
    refuse_search,
    view_entry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import NoReturn, Self, SupportsIndex

    from pyarrow import RecordBatch
    from typing_extensions import Buffer

    from walogs.aio.streams import Chunk, EntryStream
    from walogs.arrow import LogColumns
    from walogs.handles.cursor import Cursor
    from walogs.handles.wal import Wal
    from walogs.types import Commit, RecoveryReport, SegmentSummary, TailState, WalStats

T = TypeVar("T")

READING_THREADS: Final = 4
"""How many reads of one writer's handle can wait for the disk at a time."""
WRITER_THREADS: Final = 2
"""How many verbs, such as `sync`, can wait at a time, besides appends. They take turns anyway."""


class AsyncWal:
    """A log that is open for writing, for tasks. `walogs.aio.open` returns it.

    Its verbs are those of `walogs.Wal`, and they promise and raise the same. Tasks of several event loops, and threads
    that use `sync_handle`, can use it at the same time. It cannot be pickled, and a forked child cannot use it.
    """

    def __init__(self, wal: Wal, calls: ThreadCalls) -> None:
        self._wal = wal
        self._calls = calls
        """For what only reads: the task may leave it alone."""
        self._name = wal._source.store.name
        self._verbs = ThreadCalls(WRITER_THREADS, self._name)
        """For what is run to its end. Reads that hang do not delay it."""
        self._appends_of: dict[Hashable, LoopAppends] = {}
        """The appends of each event loop."""

    # Writing

    async def append(self, data: Buffer) -> int:
        """Append one entry and return its LSN. On return, the promise of the sync policy holds: by default, the entry
        is durable (G1).

        *data* is any C-contiguous buffer, and can be empty. Do not change it before this returns. This waits while more
        than `max_queued_size` bytes of this event loop are queued; an entry counts as its data and 3 KiB.

        If the task is cancelled before the commit of the entry begins, nothing is written. If it is cancelled later,
        this goes on until the outcome is certain. Under trio and in a scope of anyio it then returns, and the
        cancellation comes at the next await. Under plain asyncio it raises `CancelledError`, and
        `walogs.aio.outcome_of` tells whether the entry was committed.

        Raise what `Wal.append` raises.
        """
        size = len(data) if type(data) is bytes else view_entry(data).nbytes
        self._wal._check_entry_size(size)
        return (await self._appends().append([data], size)).result()

    async def append_batch(self, entries: Iterable[Buffer]) -> range:
        """Append several entries and return their LSNs. Either all of them survive a crash, or none does (G12).

        The data is copied at once, unless it is `bytes`. For an empty batch, return an empty range and write nothing.
        If the task is cancelled, this does what `append` does. Raise what `Wal.append_batch` raises.
        """
        batch = copy_batch(entries)
        size = self._wal._check_batch_size(batch)
        if not batch:
            return await self._calls.run(lambda: self._wal.append_batch(()))
        return (await self._appends().append([*batch], size)).lsns()

    async def append_arrow(self, array: object) -> range:
        """Append the values of an Arrow array as `append_batch` does, without a Python object for each of them.

        A thread checks the array. If the task is cancelled meanwhile, nothing is written; afterwards this does what
        `append` does. Raise what `Wal.append_arrow` raises.
        """
        with lazy_import:
            from walogs.arrow.packing import pack_array

        batch = await self._calls.run(lambda: pack_array(array, self._wal._check_sizes))
        if not batch:
            return await self.append_batch(())
        return (await self._appends().append(batch, batch.data.nbytes)).lsns()

    async def sync(self) -> None:
        """Make every entry durable whose append was called before this (G1). Raise what `Wal.sync` raises."""
        self._calls.refuse_child()
        appends = self._appends_of.get(running_loop())
        if appends is not None:
            await appends.hand_over_all()
        await self._finish(self._wal.sync)

    async def rotate(self) -> None:
        """Begin the next segment now, unless the active segment is empty (G10). Raise what `Wal.rotate` raises."""
        await self._finish(self._wal.rotate)

    async def checkpoint(self, lsn: SupportsIndex | None = None) -> int:
        """Give up the entries up to and including *lsn*. Return how many segments were removed (G11).

        None as *lsn* means what every cursor has passed (G21).

        If the task is cancelled meanwhile, the checkpoint goes on to its end. Raise what `Wal.checkpoint` raises.
        """
        number = None if lsn is None else check_number(lsn, "lsn")
        return await self._finish(lambda: self._wal.checkpoint(number))

    async def _finish(self, verb: Callable[[], T]) -> T:
        """Run a verb to its end. If it fails, and the task raises its cancellation instead, `close` reports it."""
        return await self._verbs.finish(verb, note_lost=self._note_lost)

    def _note_lost(self, error: BaseException) -> None:
        if isinstance(error, OutcomeUnknown | Poisoned):
            self._wal._writer.note_unreported_failure()

    def _appends(self) -> LoopAppends:
        """Return the appends of the running event loop. Raise `RuntimeError` if there is none, and `Closed` in a forked
        child."""
        self._calls.refuse_child()
        loop = running_loop()
        found = self._appends_of.get(loop)
        if found is None:
            for other, appends in list(self._appends_of.items()):
                if appends.loop.is_closed():
                    self._appends_of.pop(other, None)
            found = self._appends_of[loop] = LoopAppends(self._wal, event_loop())
        return found

    # Reading

    def iter(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> EntryStream:
        """Return an asynchronous iterator over (LSN, data) from *start* up to *stop*, which is exclusive.

        None as *start* means the first LSN of the log. None as *stop* means its end at the first step of the iteration.
        Threads read at most two chunks of 1 MiB or 1,000 entries ahead.

        Raise `IndexError` if *start* is 0 or less, and `TypeError` if *start* or *stop* is no whole number. The
        iteration raises what `Wal.iter` and its iterator raise.
        """
        begin, limit = check_range(start, stop)
        return AsyncStream(self._calls, Reading(lambda: self._wal.iter(begin, limit), data_bytes).read)

    def __aiter__(self) -> EntryStream:
        return self.iter()

    def __contains__(self, _: object) -> NoReturn:
        refuse_search(self)

    def follow(self, start: SupportsIndex | None = None, timeout: float | None = None) -> EntryStream:
        """Return an asynchronous iterator like `iter`, which then waits for new entries. It returns each one after its
        append. No thread waits meanwhile.

        The iteration ends after *timeout* seconds without a new entry. With None, it never ends. Raise what
        `Wal.follow` raises.
        """
        seconds = check_timeout(timeout)
        begin, _ = check_range(start, None)
        following = _Following(self._wal, begin)
        return AsyncStream(self._calls, following.read, following.wait, seconds)

    def commits(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> AsyncStream[Commit]:
        """Return an asynchronous iterator over the commits with an entry of [start, stop): the time and the LSNs of
        each.

        Raise what `iter` raises.
        """
        begin, limit = check_range(start, stop)
        return AsyncStream(self._calls, Reading(lambda: self._wal.commits(begin, limit), no_bytes).read)

    async def to_arrow(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> LogColumns:
        """Return the entries of [start, stop) as columns. Reading them waits for the disk, so read them on a thread.

        Raise what `Wal.to_arrow` raises.
        """
        return await self._calls.run(lambda: self._wal.to_arrow(start, stop))

    def arrow_batches(
        self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None
    ) -> AsyncStream[RecordBatch]:
        """Return an asynchronous iterator over the entries of [start, stop) as record batches of pyarrow.

        Raise what `iter` raises. This needs the extra `walogs[arrow]`.
        """
        begin, limit = check_range(start, stop)
        return AsyncStream(self._calls, Reading(lambda: self._wal.arrow_batches(begin, limit), batch_bytes).read)

    async def read(self, lsn: SupportsIndex) -> bytes:
        """Return the data of one entry. Raise what `Wal.read` raises."""
        wanted = check_lsn(lsn, "lsn")
        return await self._calls.run(lambda: self._wal.read(wanted))

    async def lsn_at(self, time: datetime | SupportsIndex) -> int:
        """Return the LSN of the first entry that was committed at *time* or later. See `Wal.lsn_at`."""
        return await self._calls.run(lambda: self._wal.lsn_at(time))

    def cursor(self, name: str) -> Opening[AsyncCursor]:
        """Open the cursor of this name: `async with wal.cursor("mailer") as cursor`, or `await`.

        Either raises what `Wal.cursor` raises.
        """

        def wrap(cursor: Cursor, calls: ThreadCalls) -> AsyncCursor:
            return AsyncCursor(cursor, calls, self._verbs, partial(_Following, self._wal))

        return Opening(lambda: self._calls, lambda: self._wal.cursor(name), wrap)

    # What it is

    @property
    def sync_handle(self) -> Wal:
        """The handle of the same log for threads. Its verbs wait, so never call them in a task."""
        return self._wal

    @property
    def path(self) -> str | None:
        """See `Wal.path`."""
        return self._wal.path

    @property
    def closed(self) -> bool:
        """Whether `close()` has finished."""
        return self._wal.closed

    @property
    def recovery_report(self) -> RecoveryReport:
        """See `Wal.recovery_report`."""
        return self._wal.recovery_report

    @property
    def next_lsn(self) -> int:
        """The LSN that the next entry will have."""
        return self._wal.next_lsn

    @property
    def first_lsn(self) -> int:
        """The first LSN that can be read. It equals `next_lsn` if there is no entry."""
        return self._wal.first_lsn

    @property
    def last_lsn(self) -> int:
        """The LSN of the last entry, even if it was checkpointed. It is 0 in a new log."""
        return self._wal.last_lsn

    @property
    def durable_lsn(self) -> int:
        """The LSN up to which every entry is durable. This holds under every sync policy."""
        return self._wal.durable_lsn

    @property
    def tail_state(self) -> TailState:
        """The end of the log as `open` found it: `Clean` or `TruncatedAt`."""
        return self._wal.tail_state

    async def segment_count(self) -> int:
        """Return the number of segments, including the active one."""
        return await self._calls.run(lambda: self._wal.segment_count)

    async def segments(self) -> list[SegmentSummary]:
        """Return a summary of each segment, oldest first. This reads nothing from the store."""
        return await self._calls.run(self._wal.segments)

    async def stats(self) -> WalStats:
        """Return what `Wal.stats` returns. This also works when the log is closed."""
        return self._wal.stats() if self.closed else await self._calls.run(self._wal.stats)

    def __repr__(self) -> str:
        return f"<walogs.aio.AsyncWal of {self._wal!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncWal cannot be pickled: open the log in the other process")

    # Closing

    async def close(self) -> None:
        """Commit what was appended, sync what is not yet durable, and free the lock. A second call does nothing.

        This goes on to its end if the task is cancelled. Appends that wait for room are refused with `Closed`. Raise
        what `Wal.close` raises.
        """
        if self.closed:
            return
        if os.getpid() != self._wal._pid:
            self._wal.close()  # which only marks the child's copy as closed
            return
        appends = self._appends_of.get(running_loop())
        if appends is not None:
            appends.hand_over()
        closing = ThreadCalls(1, self._name)
        try:
            await closing.finish(self._wal.close, begins_cancelled=True)
        except ThreadsRefused:  # better to block the loop than to leave the log locked
            self._wal.close()
        finally:
            closing.close()
            if self._wal.closed:
                self._end_calls()

    def _end_calls(self) -> None:
        """Let no call begin any more, and refuse the appends that wait for room."""
        self._calls.close()
        self._verbs.close()
        for appends in list(self._appends_of.values()):
            appends.loop.call_from_thread(partial(appends.refuse_waiting, self._name))

    async def __aenter__(self) -> Self:
        self._wal.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Following:
    """The chunks of a log as it grows."""

    def __init__(self, wal: Wal, start: int | None) -> None:
        self._wal = wal
        self._start = start
        self._entries: Iterator[tuple[int, bytes]] | None = None

    def read(self) -> Chunk[tuple[int, bytes]]:
        """Read the next chunk, on a thread. The last chunk ends where the log ended when it was read."""
        if self._entries is None:
            self._entries = self._new_entries()
        chunk = read_chunk(self._entries, data_bytes)
        if chunk.items:
            self._start = chunk.items[-1][0] + 1
        if chunk.is_last:
            self._entries = None
        return chunk

    def _new_entries(self) -> Iterator[tuple[int, bytes]]:
        """Iterate over the entries that have come since the last look."""
        if self._start is None:
            snapshot, self._start, end = self._wal._snapshot(None, None)
        else:
            snapshot, end = self._wal._readable_from(self._start)
        return snapshot.entries(self._start, end) if self._start < end else iter(())

    async def wait(self, seconds: float | None) -> bool:
        """Wait until the log goes on after the last entry, or is closed or poisoned. Return False after *seconds*."""
        grown = TaskLock(event_loop())
        try:
            if self._start is None or self._wal._commits.wake_beyond(self._start, grown):
                return True
            with move_on_after(seconds):
                await grown.loop.wait(grown)
            return grown.is_done
        finally:
            self._wal._commits.forget_follower(grown)

    def end(self) -> None:
        """See `Following`. Nothing is kept between two waits."""
