"""Shared commits: appends of the queue are committed together, and each of them gets an outcome of its own.

Everything here is done in a turn (`walogs/engine/writer_turns.py`).

**States of a pending append.** An append leaves the queue only when it is settled:

    queued ──> committing ──> settled (with an LSN, or with an error)
      │ ^           │
      │ └───────────┘ nothing was written: it is tried again
      └─────────────────────> settled (cancelled, or refused because the log is closed or poisoned)

`CommitQueue.committing` holds the appends of the commit under way and the LSN of their first entry. After an interrupt,
the next thread that has a turn compares that LSN with the writer's next LSN, and so learns what became of them (G18).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.engine.pending_append import copy_error, record_interrupt
from walogs.errors import Closed, OutcomeUnknown, WalError
from walogs.foundation.wakeups import release_all

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.commit_queue import CommitQueue
    from walogs.engine.immutable_segments import ImmutableSegmentWriter
    from walogs.engine.pending_append import PendingAppend
    from walogs.foundation.wakeups import Wakeable


class SharedCommits:
    """Commit the appends of the queue, and settle each of them."""

    def __init__(
        self,
        *,
        name: str,
        writer: AppendableWriter | ImmutableSegmentWriter,
        queue: CommitQueue,
        followers: deque[Wakeable],
        monotonic: Callable[[], int],
        body_bytes_max: int,
    ) -> None:
        self._name = name
        self._writer = writer
        self._queue = queue
        self._followers = followers
        self._monotonic = monotonic
        self._body_bytes_max = body_bytes_max
        self.last_count = 0
        """How many appends the last commit had."""
        self.last_ns = 0
        """How long the last commit took, in nanoseconds."""
        self.is_over = False
        """The writer is gone. The log was closed before that."""

    def commit_all(self) -> None:
        """Settle every append that is in the queue now. Appends that arrive meanwhile are left to later commits."""
        appends = self._queue.appends
        if appends:
            last = appends[-1]
            while not last.is_settled:
                self.commit_next()
            self._remove_settled()

    def commit_next(self) -> None:
        """Take the next appends of the queue and commit them together.

        Each append gets its own error. If this method raises, this thread was interrupted.
        """
        self.settle(None)
        self._remove_settled()
        appends = self._queue.take(self._fits)
        if appends:
            refusal = self._refusal()
            if refusal is None:
                self._commit(appends)
            else:
                self._refuse(appends, refusal)
        self._remove_settled()
        self.last_count = len(appends)
        self._queue.count_commit(len(appends))

    def _fits(self, count: int, size: int) -> bool:
        """Return whether so many entries with so many bytes fit one frame in an empty segment."""
        return self._writer.body_bytes(count, size) <= self._body_bytes_max and self._writer.fits(count, size)

    def _commit(self, appends: list[PendingAppend]) -> None:
        """Commit these appends in one frame, and settle them."""
        entries = (
            appends[0].entries if len(appends) == 1 else [entry for pending in appends for entry in pending.entries]
        )
        began = self._monotonic()
        self._queue.committing = (appends, self._writer.next_lsn)
        try:
            self._writer.write_commit(entries)
        except Exception as error:
            self.settle(error)
        except BaseException as error:
            self.settle(error if record_interrupt(appends) else None)
            raise
        else:
            self.settle(None)
        self.last_ns = self._monotonic() - began

    def settle(self, error: BaseException | None) -> None:
        """Settle each append of the commit under way. The writer's next LSN tells whether it was written, even after an
        interrupt. If nothing was written, the appends stay in the queue, unless *error* belongs to a single one."""
        if self._queue.committing is None:
            return
        appends, lsn = self._queue.committing
        if self._writer.next_lsn > lsn:
            for pending in appends:
                pending.settle(lsn)
                lsn += len(pending.entries)
        elif self._writer.is_poisoned:
            for pending in appends:
                pending.settle(0, self._error_for(error, lsn, lsn + len(pending.entries) - 1))
                lsn += len(pending.entries)
            if all(pending.future is not None for pending in appends):
                self._writer.note_unreported_failure()  # it may be that no thread looks at a future
        elif error is not None and len(appends) == 1:
            appends[0].settle(0, error)
        elif error is not None:  # nothing was written, and one of them may be the reason: try each alone
            for pending in appends:
                pending.goes_alone = True
        self._queue.committing = None

    def _error_for(self, error: BaseException | None, first_lsn: int, last_lsn: int) -> WalError:
        """Return the error of one append in a commit that poisoned the log.

        Each thread raises an error object of its own.
        """
        if isinstance(error, WalError) and not isinstance(error, OutcomeUnknown):
            return copy_error(error)  # nothing was written
        return self._writer.outcome_unknown_error(error, first_lsn, last_lsn)

    def _refusal(self) -> WalError | None:
        """Return the error of every append if the log is poisoned or its writer is gone."""
        if self.is_over:
            return closed_error(self._name)
        return self._writer.refusal() if self._writer.is_poisoned else None

    def _refuse(self, appends: list[PendingAppend], refusal: WalError) -> None:
        """Settle these appends with that error."""
        for pending in appends:
            pending.settle(0, copy_error(refusal))
        if any(pending.future is None for pending in appends):
            self._writer.note_reported()

    def _remove_settled(self) -> None:
        """Remove the settled appends from the queue, and wake the followers of the log."""
        self._queue.remove_settled()
        release_all(self._followers)


def closed_error(name: str) -> Closed:
    """Return the error for every use of a log that was closed."""
    return Closed(f"{name} was closed: open it again")
