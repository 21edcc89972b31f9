"""`AsyncWalReader` reads a log beside its writer, for tasks of asyncio and trio. It takes no lock and changes nothing
(G14)."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from anyio import move_on_after, sleep

from walogs.aio.awaited import Opening
from walogs.aio.calls import ThreadCalls
from walogs.aio.cursor import AsyncCursor
from walogs.aio.loops import TaskLock, event_loop
from walogs.aio.streams import AsyncStream, Reading, batch_bytes, data_bytes, no_bytes, read_chunk
from walogs.foundation.wakeups import release
from walogs.handles.arguments import check_lsn, check_poll, check_range, check_timeout, refuse_search
from walogs.handles.reader import LOOK_EVERY, POLL_SECONDS, REST_SECONDS, WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import NoReturn, Self, SupportsIndex

    from pyarrow import RecordBatch

    from walogs.aio.calls import Call
    from walogs.aio.streams import Chunk, EntryStream
    from walogs.arrow import LogColumns
    from walogs.engine.observation import Visibility
    from walogs.handles.cursor import Cursor
    from walogs.handles.following import Looks, ReaderFollowing
    from walogs.handles.reader import WalReader
    from walogs.types import Commit

READER_THREADS: Final = 1
"""Only one thread at a time may use a reader."""
WAITING_THREADS: Final = 4
"""How many `follow`s of one reader can wait for a store at a time, such as one behind a network."""


class AsyncWalReader:
    """A handle that reads a log beside its one writer, or without one, for tasks. `walogs.aio.reader` makes it.

    Its verbs are those of `walogs.WalReader`, and they promise and raise the same. Several tasks of several event loops
    can use it at the same time: one after the other, each of them observes the log on a thread of the reader. It cannot
    be pickled.
    """

    def __init__(self, reader: WalReader, calls: ThreadCalls) -> None:
        self._reader = reader
        self._calls = calls
        self._waits = ThreadCalls(WAITING_THREADS, reader._source.store.name)

    # Reading

    def iter(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> EntryStream:
        """Return an asynchronous iterator over (LSN, data) from *start* up to *stop*, which is exclusive.

        With None, *start* is the first LSN of the log, and *stop* is after the last entry that can be read at the first
        step of the iteration. Threads read at most two chunks of 1 MiB or 1,000 entries ahead.

        Raise `IndexError` for LSN 0 and below, and `TypeError` for a value that is no whole number. The iteration
        raises what `WalReader.iter` raises.
        """
        begin, limit = check_range(start, stop)
        return AsyncStream(self._calls, Reading(lambda: self._reader.iter(begin, limit), data_bytes).read)

    def __aiter__(self) -> EntryStream:
        return self.iter()

    def __contains__(self, _: object) -> NoReturn:
        refuse_search(self)

    async def read(self, lsn: SupportsIndex) -> bytes:
        """Return the data of one entry. Raise what `WalReader.read` raises."""
        wanted = check_lsn(lsn, "lsn")
        return await self._calls.run(lambda: self._reader.read(wanted))

    def commits(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> AsyncStream[Commit]:
        """Return an asynchronous iterator over the commits that hold an entry of [start, stop). Raise what `iter`
        raises."""
        begin, limit = check_range(start, stop)
        return AsyncStream(self._calls, Reading(lambda: self._reader.commits(begin, limit), no_bytes).read)

    async def to_arrow(self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None) -> LogColumns:
        """Return the entries of [start, stop) as columns. Reading them waits for the disk, so read them on a thread.

        Raise what `WalReader.to_arrow` raises.
        """
        return await self._calls.run(lambda: self._reader.to_arrow(start, stop))

    def arrow_batches(
        self, start: SupportsIndex | None = None, stop: SupportsIndex | None = None
    ) -> AsyncStream[RecordBatch]:
        """Return an asynchronous iterator over the entries of [start, stop) as record batches of pyarrow.

        Raise what `iter` raises. This needs the extra `walogs[arrow]`.
        """
        begin, limit = check_range(start, stop)
        return AsyncStream(self._calls, Reading(lambda: self._reader.arrow_batches(begin, limit), batch_bytes).read)

    def follow(
        self, start: SupportsIndex | None = None, timeout: float | None = None, *, poll: float = POLL_SECONDS
    ) -> EntryStream:
        """Return an asynchronous iterator like `iter`, which then returns each new entry when it can be read.

        It looks for one every *poll* seconds, unless the store can wait for it, as remote stores do, or tells of it, as
        the local store does on Linux. The iteration ends after *timeout* seconds without a new entry. With None it goes
        on without limit. Raise what `WalReader.follow` raises.
        """
        seconds, between = check_timeout(timeout), check_poll(poll)
        begin, _ = check_range(start, None)
        following = _Following(self._reader, self._calls, self._waits, begin, between)
        return AsyncStream(self._calls, following.read, following.wait, seconds, following.end)

    async def lsn_at(self, time: datetime | SupportsIndex) -> int:
        """Return the LSN of the first entry that was committed at *time* or later. See `WalReader.lsn_at`."""
        return await self._calls.run(lambda: self._reader.lsn_at(time))

    def cursor(self, name: str) -> Opening[AsyncCursor]:
        """Open the cursor of this name: `async with reader.cursor("mailer") as cursor`, or `await`.

        Either raises what `WalReader.cursor` raises.
        """

        def wrap(cursor: Cursor, calls: ThreadCalls) -> AsyncCursor:
            def follow_from(lsn: int) -> _Following:
                return _Following(self._reader, calls, self._waits, lsn, POLL_SECONDS)

            return AsyncCursor(cursor, calls, calls, follow_from)

        return Opening(lambda: self._calls, lambda: self._reader.cursor(name), wrap)

    # What it is

    @property
    def sync_handle(self) -> WalReader:
        """The handle for threads. Only one thread at a time may use it, so do not use both."""
        return self._reader

    @property
    def path(self) -> str | None:
        """See `WalReader.path`."""
        return self._reader.path

    @property
    def visibility(self) -> Visibility:
        """`durable` or `written`."""
        return self._reader.visibility

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._reader.closed

    async def first_lsn(self) -> int:
        """Return the first LSN that can be read now. It is `last_lsn` + 1 if no entry can be read."""
        return await self._calls.run(lambda: self._reader.first_lsn)

    async def last_lsn(self) -> int:
        """Return the LSN of the last readable entry, even if it was checkpointed. It is 0 for a fresh log."""
        return await self._calls.run(lambda: self._reader.last_lsn)

    def __repr__(self) -> str:
        return f"<walogs.aio.AsyncWalReader of {self._reader!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncWalReader cannot be pickled: make one in the other process")

    # Closing

    async def close(self) -> None:
        """Close the reader. Its iterations then raise `Closed`. A second call does nothing. This does not wait."""
        self._reader.close()
        self._calls.close()
        self._waits.close()

    async def __aenter__(self) -> Self:
        self._reader.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Following:
    """The chunks of a log as it grows, as far as a reader sees it."""

    def __init__(
        self, reader: WalReader, calls: ThreadCalls, waits: ThreadCalls, start: int | None, poll: float
    ) -> None:
        self._reader = reader
        self._calls = calls
        self._waits = waits
        self._start = start
        self._poll = poll
        self._following: ReaderFollowing | None = None
        self._looks: Looks | None = None
        self._entries: Iterator[tuple[int, bytes]] | None = None
        self._alarm = _Alarm()
        """Set when there may be more, and when the reader is closed."""
        self._look: Call[bool] | None = None
        """The look that is under way."""
        self._look_at: float | None = None
        """When the next look begins, on the monotonic clock. None while one is under way."""
        self._waited = 0
        """For how many looks the store itself has waited since the last observation."""
        self._is_waiting = False
        """Whether a look was made since the last observation."""
        self._rests_until = 0.0
        """The first look after entries is not before this time of the monotonic clock."""

    def read(self) -> Chunk[tuple[int, bytes]]:
        """Read the next chunk, on a thread. The last chunk ends where the log could be read when it was observed."""
        if self._following is None:
            self._following = self._reader._follow_from(self._start)
            self._looks = self._reader._looks_of(self._following, self._poll, self._alarm.set)
        if self._entries is None:
            self._entries = self._following.new_entries()
        began = monotonic()
        chunk = read_chunk(self._entries, data_bytes)
        if chunk.items:
            self._rests_until = began + min(self._poll, REST_SECONDS)
        if chunk.is_last:
            self._entries = None
        return chunk

    async def wait(self, seconds: float | None) -> bool:
        """Wait until there may be more to read, or the reader is closed. Return False after *seconds*.

        This also returns after LOOK_EVERY looks whether there is more. If the task is cancelled meanwhile, the next
        call goes on where this one was, so short steps come to an end too.
        """
        until = None if seconds is None else monotonic() + seconds
        while self._following is not None and self._looks is not None and not self._reader.closed:
            if self._look is None and not await self._begin_look(self._following, self._looks, until):
                return False
            look = self._look
            if look is not None:
                await look.loop.wait(look)
                self._look = None
                if look.result() or max(self._looks.polls, self._waited) >= LOOK_EVERY:
                    break
        self._is_waiting, self._waited = False, 0
        return True

    def end(self) -> None:
        """End the looks: nothing wakes this wait any more."""
        if self._looks is not None:
            self._looks.end()

    async def _begin_look(self, following: ReaderFollowing, looks: Looks, until: float | None) -> bool:
        """Begin to look whether there may be more, when it is time. Return False if *until* comes first."""
        now = monotonic()
        store = following.waiting_store
        if store is not None:  # the store waits, on a thread
            left = WAIT_SECONDS if until is None else min(WAIT_SECONDS, until - now)
            if left <= 0:
                return False
            self._waited += 1
            self._look = self._waits.begin(partial(store.wait_beyond, following.newest, left))
            return True
        if not self._is_waiting:
            await sleep(max(self._rests_until - now, 0))
            self._look = self._calls.begin(looks.begin)
            self._is_waiting = True
            return True
        if self._look_at is None:
            self._look_at = now + looks.seconds
        is_first = until is None or self._look_at <= until
        is_told = await self._alarm.wait((self._look_at if is_first else cast("float", until)) - now)
        if self._reader.closed:
            return True
        if is_told or is_first:
            self._look = self._calls.begin(partial(looks.may_have_more, is_told=is_told))
            self._look_at = None
        return is_told or is_first


class _Alarm:
    """Wakes the task that follows. Any thread sets it."""

    def __init__(self) -> None:
        self._is_set = False
        self._lock: TaskLock | None = None
        """What the task waits for. None while it does not wait."""

    def set(self) -> None:
        """Wake the task. If it does not wait now, its next wait ends at once."""
        self._is_set = True
        lock = self._lock
        if lock is not None:
            release(lock)

    async def wait(self, seconds: float) -> bool:
        """Wait until the alarm is set, for at most so long. Return whether it was, and unset it."""
        lock = self._lock = TaskLock(event_loop())
        try:
            if not self._is_set:
                with move_on_after(max(seconds, 0)):
                    await lock.loop.wait(lock)
        finally:
            self._lock = None
        if self._is_set:
            self._is_set = False
            return True
        return False
