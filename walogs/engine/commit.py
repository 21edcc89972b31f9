"""Group commit: many callers share one write and one sync.

**How it works.** When the log is idle, the calling thread commits its own entries. When the log is busy, the caller
puts a pending append into the queue and waits. The commit thread takes the appends that fit into one frame, commits
them with one sync, and then wakes the callers. After `UNSHARED_COMMITS_MAX` commits that nobody shared, callers commit
by themselves again.

**Parts.** Each file imports only files above it:

| file | what is true because of it |
|---|---|
| `commit_queue.py` | Appends keep their order, and room is granted in this order. |
| `shared_commits.py` | Each append of a commit gets its own outcome, even after an interrupt. |
| `writer_turns.py` | One thread at a time uses the writer. |
| `commit_pace.py` | Commits that cost a request wait for more entries, but never longer than the policy says. |
| `commit_thread.py` | Work that no caller does is done, and delayed syncs are made in time. |
| this file | Every caller is answered, also when the log is closed, dropped or left open at exit. |

**Rules.** Breaking any of these has caused a hang or a lost entry. The other files name them by their numbers:

1. The mutex is taken only by `with`, and only in `writer_turns.py`. `_holder` names the thread that uses the writer,
   from the first statement under the mutex to the last. A signal handler in between is refused, so it never waits for
   its own thread.
2. No thread waits for the gate of the queue while it holds the mutex. The commit thread never waits for the gate at
   all.
3. A pending append stays in the queue until its outcome is known. Its caller may leave, and nobody waits for that
   caller.
4. A caller commits directly only if none of its own appends are queued. It checks this under the mutex. This keeps the
   order of each thread's appends.
5. The commit thread runs no callback. It sets the results of futures; another thread runs their callbacks.
6. A caller that waits for space is already in the queue. Space is granted in the order of the queue, so no caller
   starves.

A caller never commits for the callers that wait behind it and then hands the work on, as in RocksDB. If a Ctrl-C
took away the caller whose turn comes next, all others would wait for ever. What callers hand on is only that they are
woken: those whose appends were queued for one commit wait for one lock, its turnstile. The commit thread releases it
once, and each caller that passes releases it for the next (`walogs/foundation/wakeups.py`).
"""

from __future__ import annotations

from collections import deque
from functools import partial
from threading import TIMEOUT_MAX, get_ident
from typing import TYPE_CHECKING, TypeVar

from walogs.engine.commit_queue import CommitQueue
from walogs.engine.commit_thread import THREAD_CHECK_SECONDS, CommitThread
from walogs.engine.pending_append import PendingAppend
from walogs.engine.shared_commits import SharedCommits
from walogs.engine.writer_turns import WriterTurns
from walogs.foundation.wakeups import discard, held_lock, pass_through, release_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.commit_pace import CommitPace
    from walogs.engine.immutable_segments import ImmutableSegmentWriter
    from walogs.engine.log_source import Environment
    from walogs.engine.pending_append import SettableFuture
    from walogs.foundation.wakeups import Wakeable

T = TypeVar("T")


class GroupCommit:
    """Commit the entries of all callers of one log."""

    def __init__(
        self,
        *,
        name: str,
        writer: AppendableWriter | ImmutableSegmentWriter,
        environment: Environment,
        queued_bytes_max: int,
        body_bytes_max: int,
        pace: CommitPace | None = None,
    ) -> None:
        """*pace* delays commits, so that they share a request. None commits at once."""
        self._writer = writer
        self.spawn = environment.spawn
        self._followers: deque[Wakeable] = deque()
        """A lock for each thread that waits for the next entry of the log, or what wakes a task that waits for it."""
        self.queued_bytes_max = queued_bytes_max
        self._pace = pace
        self._queue = queue = CommitQueue(queued_bytes_max, is_paced=pace is not None)
        self._shared = shared = SharedCommits(
            name=name,
            writer=writer,
            queue=queue,
            followers=self._followers,
            monotonic=environment.monotonic,
            body_bytes_max=body_bytes_max,
        )
        self.turns = WriterTurns(name=name, writer=writer, queue=queue, shared=shared, followers=self._followers)
        self._thread = CommitThread(
            writer=writer, queue=queue, shared=shared, turns=self.turns, environment=environment, pace=pace
        )

    # What callers do

    def commit(self, entries: list[bytes], size: int) -> int:
        """Commit these entries in one frame, which other callers may share. Return the LSN of the first entry."""
        first_lsn = self.turns.commit_directly(entries)
        if first_lsn:
            if self._writer.sync_by_ns != self._thread.deadline_ns:
                self._thread.keep_deadline()
            return first_lsn
        return self._commit_by_queue(entries, size)

    def _commit_by_queue(self, entries: list[bytes], size: int) -> int:
        """Commit these entries together with those of other callers. Return the LSN of the first entry."""
        pending = PendingAppend(entries, size, get_ident())
        self._put(pending)
        self._await(pending, lambda: pending.is_settled)
        return pending.result()

    def submit(self, entries: list[bytes], size: int, future: SettableFuture) -> None:
        """Queue these entries and wait until the queue has room for them. *future* gets the LSN of the first entry."""
        pending = PendingAppend(entries, size, get_ident(), future)
        try:
            self._put(pending)
            if not self._thread.is_started():
                self._commit_all_here()
            elif not self._queue.has_room(pending):
                self._queue.ask_for_room(pending)
                self._thread.wake()  # a full queue is committed at once
                self._await(pending, lambda: self._queue.has_room(pending))
        except BaseException:
            future.cancel()  # the caller never receives it
            raise

    def start(self) -> bool:
        """Start the commit thread, which otherwise starts when a caller first needs it. Return False if it cannot."""
        return self._thread.start_and_wake()

    def submit_all(self, appends: Sequence[PendingAppend]) -> None:
        """Queue these appends together. Each has a future, and the caller has seen to it that there is room.

        This waits neither for room nor for a commit. Raise `Closed`, `Reentered`, or `RuntimeError` if no commit thread
        can be started: nothing was queued.
        """
        self.turns.refuse_if_closed()
        self.turns.refuse_within_turn()
        if not self.start():
            raise RuntimeError("the commit thread cannot be started: the system starts no more threads")
        if self._pace is not None:
            now_ns = self._pace.monotonic()
            for pending in appends:
                pending.queued_ns = now_ns
        self._queue.put(appends)
        self._thread.wake()
        if not self._thread.is_started():  # the log was closed meanwhile, and they are refused here
            self._commit_all_here()

    def make_room(self) -> None:
        """Commit what is queued without waiting for more entries, because a task waits for room."""
        self._queue.is_full = True
        self._thread.wake()

    def are_known(self, appends: Sequence[PendingAppend]) -> list[bool]:
        """Return of each append whether it is or was in the queue. Call this after an interrupted `submit_all`."""
        queued = {id(pending) for pending in list(self._queue.appends)}
        return [pending.is_settled or id(pending) in queued for pending in appends]

    def run_after_queue(self, verb: Callable[[], T]) -> T:
        """Run *verb* in a turn, after each append that was queued before has been settled."""

        def after_queue() -> T:
            self._shared.commit_all()
            return verb()

        try:
            return self.turns.run_if_open(after_queue)
        finally:
            self._leave_rest_to_thread()

    def wait_beyond(self, lsn: int, seconds: float | None) -> bool:
        """Wait until the log's next LSN is above *lsn*, or the log is closed or poisoned.

        Return False after *seconds*.
        """
        woken = held_lock()
        try:
            if self.wake_beyond(lsn, woken):
                return True
            timeout = -1 if seconds is None else min(seconds, TIMEOUT_MAX)
            return woken.acquire(timeout=timeout) or self._writer.next_lsn > lsn
        finally:
            self.forget_follower(woken)

    def wake_beyond(self, lsn: int, woken: Wakeable) -> bool:
        """Have *woken* released once: when the log's next LSN is above *lsn*, or the log is closed or poisoned.

        Return whether that is so already. Call `forget_follower` afterwards.
        """
        self._followers.append(woken)
        return self._writer.next_lsn > lsn or self.turns.is_closed or self._writer.is_poisoned

    def forget_follower(self, woken: Wakeable) -> None:
        """Forget what was passed to `wake_beyond`."""
        discard(self._followers, woken)

    # How they use the queue

    def _put(self, pending: PendingAppend) -> None:
        """Put an append into the queue and wake the commit thread. If `Closed` or `Reentered` is raised, it is not
        queued.

        An append that is queued while the log is being closed is committed or refused by the next commit of the queue.
        """
        self.turns.refuse_if_closed()
        self.turns.refuse_within_turn()
        if self._pace is not None:
            pending.queued_ns = self._pace.monotonic()
        self._queue.put((pending,))
        self._thread.start_and_wake()

    def _await(self, pending: PendingAppend, is_so: Callable[[], bool]) -> None:
        """Wait until *is_so*.

        The commit thread makes it so; if there is no commit thread, this thread commits the queue.
        """
        while not is_so():
            if not self._thread.is_another():
                self._commit_all_here()
            elif not pass_through(pending.waiting, THREAD_CHECK_SECONDS):  # type: ignore[arg-type]
                self._thread.start_and_wake()
            elif not is_so():  # woken with others whose appends are settled, and from now on alone
                pending.waiting = held_lock()

    def _commit_all_here(self) -> None:
        """Commit the queue in this thread, because no commit thread can be started."""
        self.turns.run(self._shared.commit_all)
        self._leave_rest_to_thread()

    def _leave_rest_to_thread(self) -> None:
        """Have the commit thread set the results of futures and keep the policy's deadline, neither of which may be
        done under the mutex. If there is no commit thread, do it here.

        A Ctrl-C can reach this thread, and in the middle of a future's own code it would leave the threads that wait
        for that future without their result. It never reaches the commit thread.
        """
        if self._queue.unresolved:
            if self._thread.is_started():
                self._thread.wake()
            else:
                self._queue.resolve_futures()
        self._thread.keep_deadline()

    def step(self) -> bool:
        """Do the next piece of the commit thread's work in this thread. Return False if there is none."""
        return self._thread.step()

    # The end

    def close(self, end: Callable[[], None]) -> None:
        """Commit the queue and then call *end*, even if a commit fails. Wait until every future has its result.

        After an interrupt, a second call finishes the work.
        """
        self.turns.refuse_within_turn()
        self.turns.is_closed = True  # set at once, so that later appends cannot keep this thread waiting behind them
        try:
            self.turns.run(partial(self._close, end))
        finally:
            if self._shared.is_over:
                self._answer_all()
            else:  # an interrupt came before the close had begun
                self.turns.is_closed = False
        self._thread.wait_for_end()
        if not self._thread.is_living():
            self._queue.resolve_futures()

    def _close(self, end: Callable[[], None]) -> None:
        """Commit the queue and call *end*, under the mutex."""
        try:
            self.turns.is_closed = True  # from here on no append is queued
            self._shared.commit_all()
        finally:
            self.turns.is_closed = True
            self._shared.is_over = True
            end()

    def _answer_all(self) -> None:
        """Answer every thread that still waits for this log, now that it is closed."""
        self._thread.wake()
        if self._queue.appends:
            self._commit_all_here()  # it refuses the appends that an interrupt has left in the queue
        release_all(self._followers)

    def commit_at_exit(self) -> None:
        """Commit the queue and sync, at the end of an interpreter that has not closed the log."""
        if not self.turns.is_closed and self._thread.has_work():
            self.run_after_queue(self._writer.sync)
            self._thread.wait_for_results()

    def abandon(self, end: Callable[[], None]) -> None:
        """End a log that nothing refers to any more.

        This takes no lock, because the garbage collector can call it anywhere. The commit thread may be writing: it
        commits the queue, makes the sync that is due, and then calls *end*.
        """
        self._thread.end_log = end  # set first: the commit thread reads it after it has seen that the log is closed
        self.turns.is_closed = True
        if self._thread.is_started():
            self._thread.wake()
        else:
            end()
