"""The appends of one event loop: gathered in an iteration of the loop, handed over and woken together.

**Handing over.** A task that appends is suspended. Whatever the tasks append in one iteration of the loop goes into the
log's queue in one call, in the order of the calls. The commit thread commits it as it commits the appends of threads,
and has the loop called once for each commit.

**Room.** At most `max_queued_size` bytes of one loop are handed over or gathered. Later appends wait in the order of
their calls, and their data is copied only when there is room for it.

**Cancelling.** The commit thread and the task agree by one atomic step whether an append has begun (`AsyncAppend.begin`
and `AsyncAppend.cancel`). If it has not begun, nothing of it is written. If it has begun, the task waits for its
outcome.

All functions here run on the loop's thread, except `AsyncAppend.begin`, `AsyncAppend.resolve` and `LoopAppends.notify`.
"""

from __future__ import annotations

from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Final

from walogs.aio.loops import Outcome
from walogs.engine.pending_append import PENDING_APPEND_BYTES, PendingAppend, copy_error
from walogs.errors import Closed, OutcomeUnknown, Poisoned, WalError
from walogs.handles.arguments import copy_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from walogs.aio.loops import EventLoop
    from walogs.handles.wal import Wal

NOTHING: Final[list[bytes]] = []
"""The copies of an append that has none. Nobody adds to it."""
OUTCOME_KEY: Final = "_walogs_append"
"""The attribute of a cancellation under which `outcome_of` finds the append that was committed nonetheless."""


class AsyncAppend(Outcome[int]):
    """An append whose caller is a task. Its value is the LSN of its first entry."""

    __slots__ = ("_appends", "_undecided", "copies", "cost", "count", "entries", "has_room", "is_withdrawn", "size")

    def __init__(self, appends: LoopAppends, entries: list[Buffer], size: int) -> None:
        super().__init__(appends.loop)
        self._appends = appends
        self._undecided = [None]
        """Empty when it is decided whether the append begins or is cancelled. `pop` decides it for one thread only."""
        self.entries: Sequence[Buffer] = entries
        """The data as the caller passed it. Empty when it was copied."""
        self.copies: list[bytes] = NOTHING
        """The data, since there was room for it."""
        self.count = len(entries)
        self.size = size
        self.cost = size + PENDING_APPEND_BYTES
        self.has_room = False
        """Whether its cost is counted in the room of its loop."""
        self.is_withdrawn = False
        """It was cancelled before its commit began."""

    def _decide(self) -> bool:
        """Return True to the one caller that decides whether this append begins or is cancelled."""
        try:
            self._undecided.pop()
        except IndexError:
            return False
        return True

    def begin(self) -> bool:
        """See `SettableFuture.begin`."""
        return self._decide() or not self.is_withdrawn

    def cancel(self) -> bool:
        """Withdraw the append. Return False if its commit has begun."""
        if self._decide():
            self.is_withdrawn = True
            self.entries, self.copies = (), NOTHING
        return self.is_withdrawn

    def resolve(self, lsn: int, error: BaseException | None) -> Callable[[], None]:
        """See `SettableFuture.resolve`."""
        self.value, self.error = lsn, error
        self._appends.settled.append(self)
        return self._appends.notify

    def lsns(self) -> range:
        """Return the LSNs of the entries, or raise the error of the append."""
        first_lsn = self.result()
        return range(first_lsn, first_lsn + self.count)


class LoopAppends:
    """The appends of one event loop to one log."""

    def __init__(self, wal: Wal, loop: EventLoop) -> None:
        self._wal = wal
        self.loop = loop
        self._bytes_max = wal._commits.queued_bytes_max
        self._room_used = 0
        self._waiting_for_room: deque[AsyncAppend] = deque()
        self._gathered: list[AsyncAppend] = []
        """What will be handed over at the end of this iteration of the loop."""
        self.settled: deque[AsyncAppend] = deque()
        """Appends that have their outcome, whose tasks were not woken yet."""
        self._is_notified = False
        """Whether the loop will call `_deliver`. Set and read by the commit thread, and cleared by the loop."""
        self.notify = self._notify
        """One object for `CommitQueue.resolve_futures`, which calls it once for each commit."""

    # Appending

    async def append(self, entries: list[Buffer], size: int) -> AsyncAppend:
        """Append these entries, and return the append with its outcome.

        If the task is cancelled before the commit begins, nothing is written. If it is cancelled later, this waits
        until the outcome is certain. Then it returns, if the cancellation will be repeated, and raises it otherwise.
        """
        append = AsyncAppend(self, entries, size)
        self._add(append)
        try:
            await self.loop.wait(append)
        except self.loop.cancellation() as cancellation:
            if append.cancel():
                raise
            await self.loop.wait_shielded(append)
            if not self.loop.is_repeated():
                setattr(cancellation, OUTCOME_KEY, append)
                raise
        if isinstance(append.error, OutcomeUnknown | Poisoned):
            self._wal._has_told_poison = True
        return append

    def _add(self, append: AsyncAppend) -> None:
        if self._waiting_for_room or not self._has_room(append):
            self._waiting_for_room.append(append)
        else:
            self._gather(append)

    def _has_room(self, append: AsyncAppend) -> bool:
        return self._room_used == 0 or self._room_used + append.cost <= self._bytes_max

    def _gather(self, append: AsyncAppend) -> None:
        """Copy the data, and hand it over at the end of this iteration. Raise what `copy_entry` raises."""
        append.copies = [entry if type(entry) is bytes else copy_entry(entry) for entry in append.entries]
        append.entries = ()
        append.has_room = True
        self._room_used += append.cost
        self._gathered.append(append)
        if len(self._gathered) == 1:
            self.loop.call_soon(self.hand_over)

    def hand_over(self) -> None:
        """Put what was gathered into the queue of the log, in one call.

        The loop may have cancelled a task that has not run since. Its append is withdrawn here. So a task that was
        cancelled before it appends writes nothing.
        """
        gathered, self._gathered = self._gathered, []
        for append in gathered:
            if self.loop.is_cancelled(append):
                append.cancel()
        appends = [append for append in gathered if not self._drop_withdrawn(append)]
        me = get_ident()
        try:
            self._wal._submit_all([PendingAppend(each.copies, each.size, me, each) for each in appends])
        except Exception as error:  # noqa: BLE001  # each task gets it
            for append in appends:
                append.error = copy_error(error) if isinstance(error, WalError) else error
                self._settle(append)
        self._grant_room()

    def _drop_withdrawn(self, append: AsyncAppend) -> bool:
        """Settle an append that was cancelled before it was handed over. Return whether it was."""
        if append.is_withdrawn:
            self._settle(append)
        return append.is_withdrawn

    # Outcomes

    def _notify(self) -> None:
        """Have the loop wake the tasks of the settled appends. The commit thread calls this."""
        if not self._is_notified:
            self._is_notified = True
            self.loop.call_from_thread(self._deliver)

    def _deliver(self) -> None:
        """Wake the tasks of the settled appends, and give the room that is free now to those that wait for it."""
        self._is_notified = False  # cleared first: what is settled from now on notifies again
        while self.settled:
            self._settle(self.settled.popleft())
        self._grant_room()

    def _settle(self, append: AsyncAppend) -> None:
        if append.has_room:
            append.has_room = False
            self._room_used -= append.cost
        append.copies = NOTHING
        append.settle()

    def _grant_room(self) -> None:
        waiting = self._waiting_for_room
        while waiting and (waiting[0].is_withdrawn or self._has_room(waiting[0])):
            append = waiting.popleft()
            if not self._drop_withdrawn(append):
                try:
                    self._gather(append)
                except Exception as error:  # noqa: BLE001  # the buffer cannot be read any more, and its task is told
                    append.error = error
                    self._settle(append)

    def refuse_waiting(self, name: str) -> None:
        """Refuse the appends that wait for room, because the log was closed."""
        while self._waiting_for_room:
            append = self._waiting_for_room.popleft()
            append.error = Closed(f"{name} was closed: open it again. Nothing of this append was written.")
            self._settle(append)


def outcome_of(error: BaseException) -> range | None:
    """Return the LSNs of the entries that a cancelled append has committed nonetheless. None: nothing was written.

    *error* is what `append` or `append_batch` of asyncio has raised: a `CancelledError`, or the `TimeoutError` that
    `asyncio.timeout` or `asyncio.wait_for` has made of it. Raise the error of the append if its commit failed, such as
    `OutcomeUnknown`.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        append = getattr(found, OUTCOME_KEY, None)
        if isinstance(append, AsyncAppend):
            return append.lsns()
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None
