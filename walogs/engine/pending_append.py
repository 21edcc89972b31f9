"""A pending append: the entries that one caller wants committed, and later their outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from walogs.errors import WalError

PENDING_APPEND_BYTES: Final = 3072
"""The memory of a pending append and its future, without its data (tracemalloc counts 2,712 bytes). The limit of the
queue counts it with the data, because empty entries could fill the memory otherwise."""
INTERRUPTED_COMMITS_MAX: Final = 4
"""After this many interrupted commits, assume that the codec or the store raises KeyboardInterrupt by itself, and fail
the append."""


class SettableFuture(Protocol):
    """The future of an append whose caller does not wait."""

    def begin(self) -> bool:
        """Mark the append as started, so that it can no longer be cancelled.

        Return False if it was cancelled before.
        """
        ...

    def cancel(self) -> bool: ...

    def resolve(self, lsn: int, error: BaseException | None) -> Callable[[], object] | None:
        """Set the outcome. A second call changes nothing. This runs no user code.

        Return what wakes the caller, or None if it is awake. The wake-up is called once for all futures of a commit
        that return the same one.
        """
        ...


class PendingAppend:
    """Entries in the queue, with the caller that waits for them or the future that gets their LSN."""

    __slots__ = (
        "entries",
        "entry_position",
        "error",
        "first_lsn",
        "future",
        "goes_alone",
        "interrupts",
        "is_settled",
        "owner",
        "position",
        "queued_bytes",
        "queued_ns",
        "size",
        "waiting",
    )

    def __init__(self, entries: list[bytes], size: int, owner: int, future: SettableFuture | None = None) -> None:
        self.entries = entries
        self.size = size
        self.queued_bytes = size + PENDING_APPEND_BYTES
        self.queued_ns = 0
        """When it was queued, on the monotonic clock, if a `CommitPace` asks for that."""
        self.owner = owner
        """The identifier of the thread that made it."""
        self.future = future
        self.position = 0
        """The bytes of all appends that were ever queued, up to the end of this one."""
        self.entry_position = 0
        """How many entries were ever queued, up to the end of this append."""
        self.waiting: threading.Lock | None = None
        """The lock that its caller waits for. None while no caller waits."""
        self.first_lsn = 0
        self.error: BaseException | None = None
        self.is_settled = False
        self.goes_alone = False
        """It failed together with other appends, so it is tried alone."""
        self.interrupts = 0

    def settle(self, first_lsn: int, error: BaseException | None = None) -> None:
        """Record the outcome: the LSN of the first entry, or an error."""
        self.first_lsn, self.error = first_lsn, error
        self.is_settled = True

    def try_begin(self) -> bool:
        """Mark the append as started, so that its future can no longer be cancelled. Return False if it was cancelled
        before."""
        return self.future is None or self.future.begin()

    def result(self) -> int:
        """Return the LSN of the first entry, or raise the error of this append."""
        if self.error is not None:
            raise self.error
        return self.first_lsn


def record_interrupt(appends: list[PendingAppend]) -> bool:
    """Count an interrupted commit against each append. After the second, retry each alone.

    Return True if a single append has now been interrupted too often.
    """
    for pending in appends:
        pending.interrupts += 1
        pending.goes_alone = pending.interrupts > 1
    return len(appends) == 1 and appends[0].interrupts > INTERRUPTED_COMMITS_MAX


def copy_error(error: WalError) -> WalError:
    """Copy an error, so that each waiting thread raises its own.

    A shared object would collect the tracebacks of all.
    """
    copy = type(error)(*error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error.__cause__
    return copy
