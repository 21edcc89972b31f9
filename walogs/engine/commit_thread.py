"""The commit thread: it commits the queue, sets the results of futures, and makes the syncs that a policy delays.

It runs no callback (rule 5), and it never waits for the gate of the queue (rule 2). The rules are numbered in
`walogs/engine/commit.py`. The thread is started when a caller first needs it, and ends when the log is closed and
nothing is left to do.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from walogs.engine.new_segments import warn
from walogs.errors import WalError
from walogs.foundation.services import Service
from walogs.foundation.wakeups import first_of, held_lock, release

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.commit_pace import CommitPace
    from walogs.engine.commit_queue import CommitQueue
    from walogs.engine.immutable_segments import ImmutableSegmentWriter
    from walogs.engine.log_source import Environment
    from walogs.engine.shared_commits import SharedCommits
    from walogs.engine.writer_turns import WriterTurns
    from walogs.foundation.services import ServiceThread

THREAD_CHECK_SECONDS: Final = 1.0
"""A thread that has waited this long for the commit thread checks that the commit thread is alive."""


SLOW_COMMIT_NS: Final = 10_000_000
"""A commit that takes so long, in nanoseconds, is worth waiting for the callers that may share it."""
SLOW_COMMIT_MAX_NS: Final = 100_000_000
"""A slower commit counts as one of so many nanoseconds: it may have waited for its server."""
MOMENTS_MAX: Final = 8
"""So many times a queue is looked at that does not grow, before a commit that follows a slow one."""


class CommitThread:
    """Do the work of one log that no caller does, on a thread of its own."""

    def __init__(
        self,
        *,
        writer: AppendableWriter | ImmutableSegmentWriter,
        queue: CommitQueue,
        shared: SharedCommits,
        turns: WriterTurns,
        environment: Environment,
        pace: CommitPace | None,
    ) -> None:
        self._writer = writer
        self._queue = queue
        self._shared = shared
        self._turns = turns
        self._pace = pace
        self._monotonic = environment.monotonic
        self._spawn = environment.spawn
        self.service = Service(environment.spawn, self._serve, self.has_work)
        self._wake = held_lock()
        self.deadline_ns: int | None = None
        """When the thread wakes by itself, in nanoseconds of the monotonic clock."""
        self.end_log: Callable[[], None] | None = None
        """Ends a log that nothing refers to any more. None while something does."""

    # What other threads call

    def wake(self) -> None:
        """Wake the thread, if there is one. This takes no lock."""
        release(self._wake)

    def start_and_wake(self) -> bool:
        """Wake the thread, and start it first unless it is living. Return False if none can be started."""
        thread = self.service.thread
        is_living = (thread is not None and thread.is_living) or self.service.start()
        release(self._wake)
        return is_living

    def is_started(self) -> bool:
        """Return whether there is a thread. It may not have begun to work."""
        return self.service.thread is not None

    def is_living(self) -> bool:
        """Return whether there is a thread that has begun to work."""
        thread = self.service.thread
        return thread is not None and thread.is_living

    def is_another(self) -> bool:
        """Return whether there is a thread, and it is not the calling one. Then the caller can wait for it."""
        thread = self.service.thread
        return thread is not None and thread.ident != threading.get_ident()

    def has_work(self) -> bool:
        """Return whether work or a sync is left."""
        owes_sync = self._writer.sync_by_ns is not None and not self._turns.is_closed
        return bool(self._queue.appends or self._queue.unresolved or owes_sync)

    def keep_deadline(self) -> None:
        """Have the thread make the sync that a policy wants later. If no thread can be started, sync now."""
        if self._writer.sync_by_ns not in (None, self.deadline_ns) and not self.start_and_wake():
            self._sync()

    def wait_for_end(self) -> None:
        """Wait until the thread has ended, unless it is the calling thread."""
        thread = self.service.thread
        if thread is not None and thread.ident != threading.get_ident():
            while not thread.has_ended:
                if not thread.ended.acquire(timeout=THREAD_CHECK_SECONDS) and not thread.is_living:
                    break
            release(thread.ended)  # for another close() that waits for this thread

    def wait_for_results(self) -> None:
        """Wait until the thread has given every future its result.

        Stop waiting when one future takes longer than `THREAD_CHECK_SECONDS`. When the interpreter starts no more
        threads, the commit thread runs the callbacks, and one of them may wait for this thread.
        """
        waited_for, until = None, 0.0
        while (pending := first_of(self._queue.unresolved)) is not None and self.is_started():
            if pending is not waited_for:
                waited_for, until = pending, time.monotonic() + THREAD_CHECK_SECONDS
            if time.monotonic() > until:
                return
            time.sleep(0.001)

    # What the thread does

    def _serve(self, thread: ServiceThread) -> None:
        """Do one step after another until the log is closed and nothing is left to do."""
        while self.service.thread is thread:
            try:
                # This is read before the step, which then sees all appends that were queued before the close.
                is_closed = self._turns.is_closed
                if not self.step():
                    if is_closed:
                        break
                    self._sleep()
            except BaseException:  # it was set by another thread; the next turn settles the interrupted commit
                continue
        release(self._wake)
        if self.end_log is not None and self.service.thread is thread:
            self._end_abandoned(self.end_log)

    def step(self) -> bool:
        """Do the next piece of work. Return False if there is none."""
        if self._queue.unresolved:
            self._queue.resolve_futures()
        elif self._queue.appends and not self._commit_wait_ns():
            self._gather()
            self._turns.run(self._shared.commit_next)
        elif self._is_sync_due():
            self._sync()
        else:
            return False
        return True

    def _gather(self) -> None:
        """Let the callers that the last commit released queue their next appends, so that they share one commit.

        Without this, each commit holds half of the callers, and the other half needs a sync of its own. The wait ends
        when the queue stops growing, or after as long as the last commit took: a longer wait costs more than a sync.

        After a slow commit, such as a put over a network, the queue may stop growing for a moment. On a busy machine, a
        caller that was released may not run for milliseconds, and its append would need a put of its own. All such
        moments together last an eighth of the commit, and never more than 12.5 ms.
        """
        queue, last_ns, before = self._queue, self._shared.last_ns, 0
        until, is_slow = self._monotonic() + last_ns, last_ns >= SLOW_COMMIT_NS
        seconds = min(last_ns, SLOW_COMMIT_MAX_NS) / 1e9 / 8 / MOMENTS_MAX if is_slow else 0.0
        moments = MOMENTS_MAX if is_slow else 0
        while len(queue) < self._shared.last_count and self._monotonic() < until:
            if len(queue) == before:
                if not moments:
                    break
                moments -= 1
            before = len(queue)
            time.sleep(seconds)

    def _sleep(self) -> None:
        """Sleep until there is work. The deadline is published first, so that an append in another thread sees whether
        it must wake this thread for an earlier one."""
        self.deadline_ns = deadline = self._writer.sync_by_ns
        if self._queue.appends:
            deadline = self._monotonic() + self._commit_wait_ns()
        if deadline is None:
            self._wake.acquire()
        else:
            self._wake.acquire(timeout=min(max(deadline - self._monotonic(), 0) / 1e9, threading.TIMEOUT_MAX))

    def _commit_wait_ns(self) -> int:
        """Return how long the queued appends wait before they are committed, in nanoseconds.

        They do not wait if the log is closed or poisoned, or if a caller waits for room in the queue.
        """
        queue = self._queue
        if self._pace is None or self._turns.is_closed or self._writer.is_poisoned:
            return 0
        if queue.is_full or queue.waiting_for_room:
            return 0
        appends = list(queue.appends)
        return self._pace.wait_ns(appends) if appends else 0

    def _is_sync_due(self) -> bool:
        deadline = self._writer.sync_by_ns
        return deadline is not None and self._monotonic() >= deadline

    def _sync(self) -> None:
        """Make the sync that the policy wants by now.

        If it fails, the writer is poisoned. No caller waits for this sync, so the error is logged, and the next verb,
        or `close`, names the entries in doubt.
        """

        def sync_owed() -> None:
            writer = self._writer
            if writer.sync_by_ns is None:
                return
            try:
                if not self._shared.is_over:
                    writer.sync()
            except BaseException as error:
                writer.note_unreported_failure()
                failed.append(error)
                raise
            finally:
                if writer.is_poisoned or self._shared.is_over:  # it makes no sync any more, so it owes none
                    writer.sync_by_ns = None

        failed: list[BaseException] = []
        try:
            with suppress(WalError):
                self._turns.run(sync_owed)
        finally:
            for error in failed:
                warn(self._spawn, "in the background: %s", error)

    def _end_abandoned(self, end: Callable[[], None]) -> None:
        """Make the sync that is due, and end a log that nothing refers to any more."""
        self.end_log = None
        try:
            self._sync()
        finally:
            self._shared.is_over = True
            end()
