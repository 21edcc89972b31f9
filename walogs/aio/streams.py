"""Iterate over entries or commits in a task. Threads read them ahead, in chunks.

A stream reads its next chunk while the task works on the present one. So it holds at most two chunks, and a task that
is slow holds nobody up. If a task is cancelled while it waits for a chunk, the chunk is not lost: the next call gets
it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeAlias, TypeVar

from anyio import CancelScope, ResourceGuard
from anyio.lowlevel import checkpoint

from walogs.errors import WalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType
    from typing import Self

    from pyarrow import RecordBatch

    from walogs.aio.calls import ThreadCalls
    from walogs.aio.loops import Outcome

T = TypeVar("T")

CHUNK_BYTES: Final = 1 << 20
"""A chunk ends after the item with which it reaches this size."""
CHUNK_ITEMS: Final = 1000
ITEMS_BETWEEN: Final = 100
"""After so many items, other tasks run, and a cancellation can arrive."""


class Chunk(NamedTuple, Generic[T]):
    """Items that were read together."""

    items: list[T]
    error: BaseException | None
    """What ended the iteration after these items, or None."""
    is_last: bool
    """Whether there is nothing after these items at present."""


def data_bytes(entry: tuple[int, bytes]) -> int:
    """Return the size of an entry's data."""
    return len(entry[1])


def batch_bytes(batch: RecordBatch) -> int:
    """Return the size of a record batch of pyarrow."""
    return int(batch.nbytes)


def no_bytes(_: object) -> int:
    """Return 0, for items without data."""
    return 0


def read_chunk(iterator: Iterator[T], size_of: Callable[[T], int]) -> Chunk[T]:
    """Read the next chunk of an iterator."""
    items: list[T] = []
    size = 0
    try:
        for item in iterator:
            items.append(item)
            size += size_of(item)
            if size >= CHUNK_BYTES or len(items) >= CHUNK_ITEMS:
                return Chunk(items, None, is_last=False)
    except Exception as error:  # noqa: BLE001  # it is raised after the items before it
        return Chunk(items, error, is_last=True)
    return Chunk(items, None, is_last=True)


class Reading(Generic[T]):
    """The chunks of an iterator that is made when the first one is read."""

    def __init__(self, iterate: Callable[[], Iterator[T]], size_of: Callable[[T], int]) -> None:
        self._iterate = iterate
        self._size_of = size_of
        self._items: Iterator[T] | None = None

    def read(self) -> Chunk[T]:
        """Read the next chunk, on a thread."""
        if self._items is None:
            self._items = self._iterate()
        return read_chunk(self._items, self._size_of)


class AsyncStream(Generic[T]):
    """An asynchronous iterator, for `async for`. One task at a time may use it.

    It raises what the iterator of the synchronous handle raises. If it has raised, or was closed, it is at its end.
    """

    def __init__(
        self,
        calls: ThreadCalls,
        read: Callable[[], Chunk[T]],
        wait: Callable[[float | None], Awaitable[bool]] | None = None,
        timeout: float | None = None,
        end: Callable[[], None] | None = None,
    ) -> None:
        """*read* returns the next chunk, on a thread. *wait* waits for more after the last one, and returns False when
        the given seconds are over. Without it, the stream ends there. *end* is called at the end of the stream."""
        self._calls = calls
        self._read = read
        self._wait = wait
        self._timeout = timeout
        self._when_over = end
        self._guard = ResourceGuard("iterating over a log with")
        self._items: Iterator[T] = iter(())
        self._ahead: Outcome[Chunk[T]] | None = None
        """The chunk that is being read."""
        self._error: BaseException | None = None
        self._is_last = False
        self._is_over = False
        self._step: CancelScope | None = None
        """The scope of the step that a task waits in."""
        self._returned = 0
        self._is_over_time = False
        """Whether the timeout has passed without an item. If the chunk that is read then is empty, it is the last."""
        self._ends_at: float | None = None
        """When the stream ends unless more comes, on the monotonic clock. None while it returns items."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        self._returned += 1
        if self._returned % ITEMS_BETWEEN == 0:
            self._calls.refuse_child()
            await checkpoint()
        for item in self._items:
            return item
        self._calls.refuse_child()
        with self._guard:
            while not self._is_over:
                with CancelScope() as self._step:
                    await self._next_chunk()
                for item in self._items:
                    return item
        raise StopAsyncIteration

    async def _next_chunk(self) -> None:
        """Replace the present chunk by the next one, or raise the error that ends the iteration."""
        if self._error is not None:
            self._end()
            raise self._error
        if self._is_last and not await self._wait_for_more():
            if self._wait is None or self._is_over_time:
                self._end()
                return
            self._is_over_time = True  # what came meanwhile is still returned
        self._is_last = False
        self._read_ahead()
        if self._ahead is not None:
            await self._ahead.loop.wait(self._ahead)
            self._take_chunk(self._ahead)

    def _take_chunk(self, read: Outcome[Chunk[T]]) -> None:
        """Take the chunk that was read, and read the one after it."""
        self._ahead = None
        if read.error is not None:
            self._error = read.error
            return
        items, self._error, self._is_last = read.result()
        self._items = iter(items)
        if items:
            self._ends_at, self._is_over_time = None, False
        if not self._is_last:
            self._read_ahead()

    def _read_ahead(self) -> None:
        """Begin to read the next chunk, unless that has begun. If it cannot begin, the error comes after the items."""
        if self._ahead is None:
            try:
                self._ahead = self._calls.begin(self._read)
            except (WalError, RuntimeError) as error:
                self._error = error

    async def _wait_for_more(self) -> bool:
        """Wait until there may be more. Return False if the iteration is at its end."""
        if self._wait is None:
            return False
        if self._timeout is None:
            return await self._wait(None)
        now = monotonic()
        if self._ends_at is None:
            self._ends_at = now + self._timeout
        return await self._wait(max(self._ends_at - now, 0))

    def _end(self) -> None:
        self._is_over = True
        if self._when_over is not None:
            self._when_over()

    async def aclose(self) -> None:
        """End the iteration, also for a task that waits in a step of it. A chunk that is being read is dropped."""
        self._end()
        self._items = iter(())
        if self._step is not None:
            self._step.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


EntryStream: TypeAlias = AsyncStream[tuple[int, bytes]]
"""An asynchronous iterator over (LSN, data)."""
