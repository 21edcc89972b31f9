"""`AsyncCursor`: the durable position of one consumer, for tasks. `AsyncWal.cursor` and `AsyncWalReader.cursor` open
one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from walogs.aio.streams import AsyncStream, Reading, data_bytes
from walogs.errors import Checkpointed
from walogs.handles.arguments import check_number, check_timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn, Self, SupportsIndex

    from walogs.aio.calls import ThreadCalls
    from walogs.aio.streams import Chunk, EntryStream
    from walogs.handles.cursor import Cursor
    from walogs.types import CursorLag


class Following(Protocol):
    """The chunks of a log as it grows."""

    def read(self) -> Chunk[tuple[int, bytes]]:
        """Read the next chunk, on a thread."""
        ...

    async def wait(self, seconds: float | None) -> bool:
        """Wait until there may be more. Return False after *seconds*."""
        ...

    def end(self) -> None:
        """Give up what wakes the task. No other call comes after this one."""
        ...


class AsyncCursor:
    """The position of one consumer in a log, for tasks.

    Its verbs are those of `walogs.Cursor`, and they promise and raise the same. One task at a time may use it.
    """

    def __init__(
        self, cursor: Cursor, calls: ThreadCalls, verbs: ThreadCalls, follow_from: Callable[[int], Following]
    ) -> None:
        """*calls* runs what only reads, and *verbs* what is run to its end."""
        self._cursor = cursor
        self._calls = calls
        self._verbs = verbs
        self._follow_from = follow_from

    @property
    def name(self) -> str:
        """The name of the cursor."""
        return self._cursor.name

    @property
    def sync_handle(self) -> Cursor:
        """The cursor for threads."""
        return self._cursor

    async def position(self) -> int:
        """Return the LSN of the last entry that was committed. See `Cursor.position`."""
        return await self._calls.run(lambda: self._cursor.position)

    async def lag(self) -> CursorLag:
        """Return how far the position is behind the last entry that can be read. Raise what `Cursor.lag` raises."""
        return await self._calls.run(lambda: self._cursor.lag)

    async def commit(self, lsn: SupportsIndex, durable: bool = True) -> None:
        """Move the position to *lsn*: the entries up to and including this one are done. On return it is durable (G21).

        If the task is cancelled meanwhile, the commit goes on to its end. See `Cursor.commit` for *durable* and for
        what this raises.
        """
        number = check_number(lsn, "lsn")
        await self._verbs.finish(lambda: self._cursor.commit(number, durable))

    def iter(self, stop: SupportsIndex | None = None) -> EntryStream:
        """Return an asynchronous iterator over (LSN, data) of the entries after the position, up to and not including
        *stop*.

        Raise `TypeError` if *stop* is no whole number. The iteration raises what `Cursor.iter` and its iterator raise.
        """
        limit = None if stop is None else check_number(stop, "stop")
        return AsyncStream(self._calls, Reading(lambda: self._cursor.iter(limit), data_bytes).read)

    def __aiter__(self) -> EntryStream:
        return self.iter()

    def follow(self, timeout: float | None = None) -> EntryStream:
        """Return an asynchronous iterator like `iter`, which then waits for new entries. Raise what `Cursor.follow`
        raises."""
        seconds = check_timeout(timeout)
        following = _CursorFollowing(self._cursor, self._follow_from)
        return AsyncStream(self._calls, following.read, following.wait, seconds, following.end)

    @property
    def closed(self) -> bool:
        """Whether the cursor was closed, or the handle that it was made with."""
        return self._cursor.closed

    def __repr__(self) -> str:
        return f"<walogs.aio.AsyncCursor of {self._cursor!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncCursor cannot be pickled: open it in the other process")

    async def close(self) -> None:
        """Free the cursor for another owner. The position stays as it is. A second call does nothing."""
        if not self.closed:
            await self._verbs.finish(self._cursor.close, begins_cancelled=True)

    async def __aenter__(self) -> Self:
        self._cursor.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _CursorFollowing:
    """The chunks after the position of a cursor, as the log grows."""

    def __init__(self, cursor: Cursor, follow_from: Callable[[int], Following]) -> None:
        self._cursor = cursor
        self._follow_from = follow_from
        self._following: Following | None = None

    def read(self) -> Chunk[tuple[int, bytes]]:
        self._cursor._refuse_unusable()  # another owner may have the cursor by now
        if self._following is None:
            self._following = self._follow_from(self._cursor._next_lsn())
        with self._cursor._naming_checkpointed():
            chunk = self._following.read()
        return chunk._replace(error=self._named(chunk.error))

    def _named(self, error: BaseException | None) -> BaseException | None:
        """Return an error that names the cursor, if it says that the next entry was removed."""
        if isinstance(error, Checkpointed):
            try:
                with self._cursor._naming_checkpointed():
                    raise error
            except Checkpointed as named:
                return named
        return error

    async def wait(self, seconds: float | None) -> bool:
        return self._following is None or await self._following.wait(seconds)

    def end(self) -> None:
        if self._following is not None:
            self._following.end()
