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
from typing import TYPE_CHECKING, Final, cast

from walogs.aio.loops import Outcome
from walogs.engine.pending_append import PENDING_APPEND_BYTES, PendingAppend, copy_error
from walogs.errors import Closed, OutcomeUnknown, Poisoned, WalError
from walogs.formats.segment_format import PackedEntries
from walogs.handles.arguments import copy_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from walogs.aio.loops import EventLoop
    from walogs.handles.wal import Wal

NOTHING: Final[list[bytes]] = []
"""The copies of an append that has none. Nobody adds to it."""
BEGUN: Final = "begun"
APPEND: Final = "_walogs_append"
"""The attribute of a cancellation under which `outcome_of` finds the append."""


class AsyncAppend(Outcome[int]):
    """An append whose caller is a task. Its value is the LSN of its first entry."""

    __slots__ = ("_appends", "_fate", "copies", "cost", "count", "entries", "handed_over", "has_room", "size")

    def __init__(self, appends: LoopAppends, entries: Sequence[Buffer], size: int) -> None:
        super().__init__(appends.loop)
        self._appends = appends
        self._fate: dict[str, bool] = {}
        """Under `BEGUN`: whether the commit has begun, or the append was withdrawn. `setdefault` decides that once, in
        one step, for the commit thread and the task."""
        self.entries: Sequence[Buffer] = entries
        """The data as the caller passed it. Empty when it was copied."""
        self.copies: list[bytes] = NOTHING
        """The data, since there was room for it."""
        self.count = len(entries)
        self.size = size
        self.cost = size + PENDING_APPEND_BYTES
        self.has_room = False
        """Whether its cost is counted in the room of its loop."""
        self.handed_over: tuple[Outcome[None], ...] = ()
        """Settled when the append was handed over, for tasks that wait for that."""

    @property
    def is_withdrawn(self) -> bool:
        """Whether it was cancelled before its commit began."""
        return self._fate.get(BEGUN) is False

    def begin(self) -> bool:
        """See `SettableFuture.begin`."""
        return self._fate.setdefault(BEGUN, True)

    def cancel(self) -> bool:
        """Withdraw the append. Return False if its commit has begun."""
        if self._fate.setdefault(BEGUN, False):
            return False
        self.entries, self.copies = (), NOTHING
        return True

    def resolve(self, lsn: int, error: BaseException | None) -> Callable[[], object]:
        """See `SettableFuture.resolve`."""
        self.value, self.error = lsn, error
        self._appends.settled.append(self)
        return self._appends.notify

    def tell_handed_over(self) -> None:
        """Wake the tasks that wait until this append was handed over, or will never be."""
        for outcome in self.handed_over:
            outcome.settle()

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
        self._withdrawn = 0
        """How many of those that wait for room were withdrawn."""
        self._gathered: list[AsyncAppend] = []
        """What will be handed over at the end of this iteration of the loop."""
        self.settled: deque[AsyncAppend] = deque()
        """Appends that have their outcome, whose tasks were not woken yet."""
        self._is_notified = False
        """Whether the loop will call `_deliver`. Set and read by the commit thread, and cleared by the loop."""

    # Appending

    async def append(self, entries: Sequence[Buffer], size: int) -> AsyncAppend:
        """Append these entries, and return the append with its outcome.

        If the task is cancelled before the commit begins, nothing is written. If it is cancelled later, this waits
        until the outcome is certain. Then it returns, if the cancellation will be repeated, and raises it otherwise.
        """
        append = AsyncAppend(self, entries, size)
        self._add(append)
        try:
            await self.loop.wait(append)
        except self.loop.cancellation() as first:
            if append.cancel():
                self._forget_withdrawn(append)
                note_append(first, append)
                raise
            later = await self.loop.wait_shielded(append)
            unrepeated = later if self.loop.is_repeated(first) else first
            if unrepeated is not None:
                note_append(unrepeated, append)
                raise unrepeated from None
        if isinstance(append.error, OutcomeUnknown | Poisoned):
            self._wal._has_told_poison = True
        return append

    def _add(self, append: AsyncAppend) -> None:
        if self._waiting_for_room or not self._has_room(append):
            if not self._waiting_for_room:
                self._wal._commits.make_room()
            self._waiting_for_room.append(append)
        else:
            self._gather(append)

    def _has_room(self, append: AsyncAppend) -> bool:
        return self._room_used == 0 or self._room_used + append.cost <= self._bytes_max

    def _gather(self, append: AsyncAppend) -> None:
        """Copy the data, and hand it over at the end of this iteration.

        Raise what `copy_entry` raises, or `BufferError` if a buffer was resized while the append waited for room.
        """
        if isinstance(append.entries, PackedEntries):  # an Arrow array never changes
            copies = cast("list[bytes]", append.entries)
        else:
            copies = [entry if type(entry) is bytes else copy_entry(entry) for entry in append.entries]
            if sum(map(len, copies)) != append.size:
                raise BufferError("the entry was resized while its append waited for room. Nothing of it was written.")
        append.copies, append.entries = copies, ()
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
        me = get_ident()
        appends = [append for append in gathered if not self._drop_withdrawn(append)]
        pending = [PendingAppend(each.copies, each.size, me, each) for each in appends]
        try:
            self._wal._submit_all(pending)
        except Exception as error:  # noqa: BLE001  # each task gets it
            for append in appends:
                append.error = copy_error(error) if isinstance(error, WalError) else error
                self._settle(append)
        except BaseException:  # a Ctrl-C on a loop that does not handle it
            known = self._wal._commits.are_known(pending)
            self._gathered[:0] = [append for append, is_known in zip(appends, known, strict=True) if not is_known]
            self.loop.call_soon(self.hand_over)
            raise
        if self._waiting_for_room:
            self._wal._commits.make_room()
        self._grant_room()
        for append in appends:
            append.tell_handed_over()

    async def hand_over_all(self) -> None:
        """Hand over what the tasks of this loop have appended so far. Wait for the room that this needs."""
        self.hand_over()
        if self._waiting_for_room:
            last, outcome = self._waiting_for_room[-1], Outcome[None](self.loop)
            last.handed_over = (*last.handed_over, outcome)
            await self.loop.wait(outcome)

    def _drop_withdrawn(self, append: AsyncAppend) -> bool:
        """Settle an append that was cancelled before it was handed over. Return whether it was."""
        if append.is_withdrawn:
            self._settle(append)
        return append.is_withdrawn

    def _forget_withdrawn(self, append: AsyncAppend) -> None:
        """Forget those that wait for room and were withdrawn, if they are more than the others."""
        if append.has_room or append.is_done:
            return
        self._withdrawn += 1
        if self._withdrawn > len(self._waiting_for_room) // 2:
            waiting, self._waiting_for_room = self._waiting_for_room, deque()
            self._waiting_for_room.extend(each for each in waiting if not self._drop_withdrawn(each))
            self._withdrawn = 0

    # Outcomes

    def notify(self) -> None:
        """Have the loop wake the tasks of the settled appends. The commit thread calls this once for each commit."""
        if not self._is_notified:
            self._is_notified = True
            try:
                self.loop.call_from_thread(self._deliver)
            except BaseException:  # there is no memory, for example; the next commit tries again
                self._is_notified = False
                raise

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
        append.tell_handed_over()

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


def note_append(cancellation: BaseException, append: AsyncAppend) -> None:
    """Have `outcome_of` find this append at its cancellation."""
    try:
        setattr(cancellation, APPEND, append)
    except AttributeError:  # trio's cancellations take no attributes; they always mean that nothing was written
        return


def outcome_of(error: BaseException) -> range | None:
    """Return the LSNs of the entries that a cancelled append has committed nonetheless. None: nothing was written.

    *error* is what `append` or `append_batch` has raised under asyncio: a `CancelledError`, or the `TimeoutError` that
    `asyncio.timeout` or `asyncio.wait_for` has made of it. Ask in the task that appends. A task's `CancelledError` is
    made anew by asyncio for others that wait for the task, such as `asyncio.gather`.

    Raise the error of the append if its commit failed, such as `OutcomeUnknown`. Raise `LookupError` if *error* tells
    of no append: it had returned before, or had not begun, or asyncio has made a new error for another task.
    """
    for found in (error, error.__cause__):
        append = getattr(found, APPEND, None)
        if isinstance(append, AsyncAppend):
            return None if append.is_withdrawn else append.lsns()
    why = "the append had returned or had not begun, or this is not the error that it raised in its own task"
    raise LookupError(f"{error!r} tells of no append that was cancelled: {why}")
