"""The queue of pending appends: their order, and the room for them.

The rules are numbered in `walogs/engine/commit.py`.

**Order.** Appends are committed in the order in which they were queued, and only from the head of the queue. An append
leaves the queue only when it is settled (rule 3).

**Room.** The queue counts the bytes of its appends. A caller of `submit` that waits for room is in the queue already,
so room is granted in the order of the queue (rule 6).

Any thread may call `put`. It holds the gate for that moment, and waits for nothing else meanwhile (rule 2). `take`,
`count_commit` and `remove_settled` are called in a turn (`walogs/engine/writer_turns.py`). The other methods need no
lock.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from walogs.foundation.turns import TurnLock
from walogs.foundation.wakeups import discard, first_of, held_lock, release

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from walogs.engine.pending_append import PendingAppend

UNSHARED_COMMITS_MAX: Final = 4
"""After this many commits of one append each, callers commit by themselves again."""
FIRST_LOOK_APPENDS: Final = 16
"""The commit thread first looks at this many appends of the queue. It looks at more if all of them fit one frame."""
COMMIT_APPENDS_MAX: Final = 65_536
"""One commit takes at most this many appends."""


def call_each(calls: Sequence[Callable[[], object]]) -> None:
    """Make each of these calls, even if one of them raises. Raise the first exception at the end."""
    for at, call in enumerate(calls):
        try:
            call()
        except BaseException:
            call_each(calls[at + 1 :])
            raise


class CommitQueue:
    """The pending appends of one log."""

    def __init__(self, bytes_max: int, *, is_paced: bool = False) -> None:
        """*is_paced* says that commits wait for more entries, so that every caller has to use the queue."""
        self._bytes_max = bytes_max
        self._is_paced = is_paced
        self.gate = TurnLock()
        """A thread holds it for a moment, while it puts an append into the queue."""
        self.appends: deque[PendingAppend] = deque()
        """All appends that are queued. Only the methods of this class change it."""
        self._queued_total = 0
        """The bytes of all appends that were ever queued."""
        self._queued_entries = 0
        """How many entries were ever queued."""
        self._settled_total = 0
        """The bytes of those of them that have left the queue."""
        self.committing: tuple[list[PendingAppend], int] | None = None
        """The appends of the commit under way, and the LSN of their first entry. They are in the queue as well."""
        self.unresolved: deque[PendingAppend] = deque()
        """Settled appends that have left the queue, and whose futures do not have their results yet."""
        self.waiting_for_room: deque[PendingAppend] = deque()
        """Appends whose callers wait until the queue has room for them."""
        self.is_contended = is_paced
        """Whether callers use the queue at present. Otherwise each commits by itself."""
        self._turnstile = held_lock()
        """The lock for which all callers wait whose appends are queued now. After each commit there is another one."""
        self.is_full = False
        """Whether a caller waits for room that this queue does not know of: a task, whose event loop counts its own. A
        commit makes room, so it is due at once."""
        self._unshared_commits = 0
        """How many commits of the queue in a row had one append each."""

    def __len__(self) -> int:
        return len(self.appends)

    def put(self, appends: Sequence[PendingAppend]) -> None:
        """Add appends at the end of the queue, in this order and with nothing between them.

        Their bytes are counted first. If an interrupt leaves them counted although they are not queued, the next
        append that finds the queue empty corrects the count.
        """
        with self.gate:
            if not self.appends:
                self._queued_total = self._settled_total
            for pending in appends:
                self._queued_total += pending.queued_bytes
                self._queued_entries += len(pending.entries)
                pending.position, pending.entry_position = self._queued_total, self._queued_entries
                if pending.future is None:
                    pending.waiting = self._turnstile
            self.appends.extend(appends)
        self.is_contended = True

    def has_appends_of(self, owner: int) -> bool:
        """Return whether an append of this thread is queued."""
        return any(pending.owner == owner for pending in list(self.appends))

    # Room

    def has_room(self, pending: PendingAppend) -> bool:
        """Return whether the queue, up to the end of this append, is within its limit, or the append is the first."""
        queued_bytes = pending.position - self._settled_total
        return pending.is_settled or queued_bytes <= max(self._bytes_max, pending.queued_bytes)

    def ask_for_room(self, pending: PendingAppend) -> None:
        """Have the caller of this queued append woken when the queue has room for it."""
        pending.waiting = held_lock()
        self.waiting_for_room.append(pending)

    # What a commit takes, and what it leaves

    def take(self, fits: Callable[[int, int], bool]) -> list[PendingAppend]:
        """Return the first appends of the queue that fit one frame, or the first append alone. They stay in the queue.

        *fits* tells whether so many entries with so many bytes fit. The work is proportional to the number of appends
        that fit, and not to the length of the queue. Cancelled appends are settled here and are not returned.
        """
        self._turnstile = held_lock()
        waiting, all_fit = self._look_ahead(fits)
        taken: list[PendingAppend] = []
        count = size = 0
        for pending in waiting:
            count += len(pending.entries)
            size += pending.size
            if taken and (pending.goes_alone or not (all_fit or fits(count, size))):
                break
            taken.append(pending)
        for pending in taken:
            if not pending.try_begin():
                pending.settle(0)
        return [pending for pending in taken if not pending.is_settled]

    def _look_ahead(self, fits: Callable[[int, int], bool]) -> tuple[list[PendingAppend], bool]:
        """Return the first unsettled appends of the queue, and whether all of them fit one frame.

        Look at more appends as long as all of them fit, so that the result has enough for a whole frame.
        """
        first = first_of(self.appends)
        goes_alone = first is None or first.goes_alone
        looked_at = 1 if goes_alone else FIRST_LOOK_APPENDS
        while True:
            queued = list(islice(self.appends, looked_at))
            waiting = [pending for pending in queued if not pending.is_settled]
            all_fit = fits(sum(len(pending.entries) for pending in waiting), sum(pending.size for pending in waiting))
            if goes_alone or not all_fit or len(queued) < looked_at or looked_at == COMMIT_APPENDS_MAX:
                return waiting, all_fit
            looked_at = min(looked_at * 4, COMMIT_APPENDS_MAX)

    def count_commit(self, count: int) -> None:
        """Note that a commit of so many appends was made, and decide whether callers still need to use the queue."""
        self._unshared_commits = self._unshared_commits + 1 if count == 1 and not self.appends else 0
        self.is_full = False
        self.is_contended = self._is_paced or self._unshared_commits < UNSHARED_COMMITS_MAX

    def remove_settled(self) -> None:
        """Remove the settled appends from the head of the queue. Wake their callers, and those that now have room."""
        appends, released = self.appends, None
        while appends and appends[0].is_settled:
            pending = appends[0]
            if pending.future is not None:
                self.unresolved.append(pending)
            if pending.waiting is not None and pending.waiting is not released:
                released = pending.waiting
                release(released)
            self._settled_total += pending.queued_bytes
            appends.popleft()
        waiting = self.waiting_for_room
        while waiting and self.has_room(waiting[0]):
            release(waiting[0].waiting)  # type: ignore[arg-type]
            waiting.popleft()

    def resolve_futures(self) -> None:
        """Give each settled future its result, and then wake their callers.

        Two threads may do this at once: a future ignores a second result. After an interrupt, the futures that have
        their results are not forgotten: their callers are woken too.
        """
        wake_ups: dict[Callable[[], object], None] = {}
        try:
            while (pending := first_of(self.unresolved)) is not None:
                if pending.future is not None:
                    wake_up = pending.future.resolve(pending.first_lsn, pending.error)
                    if wake_up is not None:
                        wake_ups[wake_up] = None
                discard(self.unresolved, pending)
        finally:
            call_each(list(wake_ups))
