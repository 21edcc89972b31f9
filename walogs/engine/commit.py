"""Who commits, and when: a lone caller by itself; contended callers on one commit thread, many in one frame.

An idle log commits in the calling thread: no hand-over, no other thread. A caller that finds it busy offers its entries
to the queue; the commit thread takes what is there, commits it as one frame, and only then are the callers released.
After a few commits of one offer each, callers commit by themselves again. (Handing the lead from caller to caller
instead deadlocks when a Ctrl-C takes a waiting one away.)

Laws of this file, each a hang or a loss where it was broken:
- The mutex is taken by `with` only, and `_holder` names who uses the writer from the first statement under it to the
  last: a signal handler in between is refused, and never waits for its own thread. What an interrupt leaves half done
  is settled by whoever holds the mutex next: `_committing` and the writer's LSN say what became of every offer (G18).
- Nobody who holds the mutex waits for the gate, and the commit thread never does.
- An offer stays in the queue until its outcome is known. Whoever waits for it may leave; nobody waits for them.
- A caller commits by itself only when nothing of its own is queued, seen under the mutex: one thread's order stays.
- The commit thread calls nothing that is not the log's: it sets the results of futures, and others call back.
- Who waits for room has its offer in the queue already: the room is given in the order of the queue, to everybody.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from walogs.engine.offer import Offer, are_always_interrupted, twin
from walogs.engine.wakeups import discard, first_of, held_lock, release, release_all
from walogs.errors import Closed, Indefinite, Reentered, WalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.chain import ChainWriter
    from walogs.engine.offer import SettableFuture
    from walogs.engine.source import Environment

P = ParamSpec("P")
T = TypeVar("T")

ALONE: Final = 4
"""After so many commits of one offer each, callers commit by themselves again."""
LIVES_AFTER_SECONDS: Final = 1.0
"""Whoever has waited so long looks whether there is a commit thread at all."""
TAKEN_MAX: Final = 65_536
"""Offers in one commit."""


class CommitThread:
    """One start of it. Only the newest serves; an interrupted start may come late."""

    __slots__ = ("ended", "has_ended", "ident", "is_living", "is_started")

    def __init__(self) -> None:
        self.is_started = False
        """The system has promised to run it."""
        self.is_living = False
        """It has begun to work."""
        self.has_ended = False
        self.ident = 0
        self.ended = held_lock()
        """Released when it has ended."""


class GroupCommit:
    """The turns of one log: every use of its writer goes through here."""

    def __init__(
        self,
        name: str,
        writer: AppendableWriter | ChainWriter,
        environment: Environment,
        queued_bytes_max: int,
        body_bytes_max: int,
    ) -> None:
        self._name = name
        self._writer = writer
        self._monotonic = environment.monotonic
        self.spawn = environment.spawn
        self._queued_bytes_max = queued_bytes_max
        self._body_bytes_max = body_bytes_max
        self._mutex = threading.RLock()
        self._holder = 0
        """The thread that uses the writer; 0: none."""
        self._gate = threading.RLock()
        """Held for a moment, to put an offer into the queue or to start the commit thread."""
        self._queue: deque[Offer] = deque()
        self._offered_bytes = 0
        self._settled_bytes = 0
        self._committing: tuple[list[Offer], int] | None = None
        """The offers of the commit under way, and the LSN that the first of their entries gets."""
        self._settled: deque[Offer] = deque()
        """Those whose futures are to be told."""
        self._waiting_for_room: deque[Offer] = deque()
        self._followers: deque[threading.Lock] = deque()
        self._is_contended = False
        self._alone = 0
        self._released = 0
        self._commit_ns = 0
        """How long the last commit of the queue took."""
        self._has_next = False
        """Somebody waits for the mutex itself. A hint: an interrupt may leave it behind, the next caller clears it."""
        self._thread: CommitThread | None = None
        self._wake = held_lock()
        self._deadline_ns: int | None = None
        """When the commit thread will wake by itself, on the monotonic clock."""
        self._abandoned: Callable[[], None] | None = None
        self._is_over = False
        self.closed = False

    # A caller's turn

    def turn(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One verb at a time: waits for other threads, refuses this thread's own call within another (G18)."""

        def when_open() -> T:
            if self.closed:
                self._refuse_call()
            return verb(*args, **kwargs)

        return self._use(when_open)

    def turn_after_queue(self, verb: Callable[[], T]) -> T:
        """As `turn`, when all that was offered before is committed or has failed."""

        def after_queue() -> T:
            self._drain()
            return verb()

        try:
            return self.turn(after_queue)
        finally:
            self._after_drain()

    def _use(self, verb: Callable[[], T]) -> T:
        """The flag is set and cleared with no call between it and its `try`: acquire-then-try leaked in every trial of
        asynchronous exceptions."""
        me = threading.get_ident()
        with self._mutex:
            if self._holder:
                self._refuse_call()
            self._holder = me
            try:
                return verb()
            finally:
                try:
                    if self._followers and self._writer.is_poisoned:
                        release_all(self._followers)
                finally:
                    self._holder = 0

    def append(self, entries: list[bytes], size: int) -> int:
        """Commit these entries in one frame, perhaps with those of others; the LSN of the first."""
        me = threading.get_ident()
        if not self._is_contended and self._is_next(me):
            first_lsn = 0
            with self._mutex:
                if self._holder or self.closed:
                    self._refuse_call()
                self._holder = me
                try:
                    self._has_next = False
                    if not self._queue or self._keeps_order(me):
                        if self._committing is not None:
                            self._settle(None)
                        first_lsn = self._writer.append(entries)
                finally:
                    try:
                        if self._followers:
                            release_all(self._followers)
                    finally:
                        self._holder = 0
            if first_lsn:
                if self._writer.sync_by_ns != self._deadline_ns:
                    self._keep_deadline()
                return first_lsn
        offer = Offer(entries, size, me)
        self._put(offer)
        self._await(offer, lambda: offer.is_settled)
        return offer.result()

    def _is_next(self, me: int) -> bool:
        """Whether this thread may wait for the mutex itself: nobody has it, or nobody else waits. With two threads
        nothing is gained by handing over, and two context switches an append are lost."""
        if self._queue and not self._keeps_order(me):
            return False
        holder = self._holder
        if holder and self._writer.shares_commits:
            if self._has_next or holder == me:
                return False
            self._has_next = True
        return True

    def _keeps_order(self, me: int) -> bool:
        """Nothing in the queue is this thread's own."""
        return all(offer.owner != me for offer in list(self._queue))

    def submit(self, entries: list[bytes], size: int, future: SettableFuture) -> None:
        """Put these entries into the queue, for whose first LSN the future stands. Returns when there is room."""
        offer = Offer(entries, size, threading.get_ident(), future)
        try:
            self._put(offer)
            if self._thread is None:
                self._commit_queue()
            elif not self._has_room(offer):
                offer.waiting = held_lock()
                self._waiting_for_room.append(offer)
                self._await(offer, lambda: self._has_room(offer))
        except BaseException:
            future.cancel()  # nobody will ever hold it
            raise

    def wait_beyond(self, lsn: int, seconds: float | None) -> bool:
        """Wait until the log's next LSN is beyond *lsn*, or it may be closed or poisoned. False: not in that time."""
        woken = held_lock()
        self._followers.append(woken)
        try:
            if self._writer.next_lsn > lsn or self.closed or self._writer.is_poisoned:
                return True
            timeout = -1 if seconds is None else min(seconds, threading.TIMEOUT_MAX)
            return woken.acquire(timeout=timeout) or self._writer.next_lsn > lsn
        finally:
            discard(self._followers, woken)

    def is_poisoned(self) -> bool:
        """As far as can be seen without waiting for who uses the writer now."""
        return self._writer.is_poisoned and not self._holder

    def _refuse_call(self) -> NoReturn:
        if self.closed:
            raise Closed(f"{self._name} was closed: open it again")
        raise Reentered(f"{self._name} was called in the middle of this thread's own call to it: nothing was done")

    # The queue

    def _put(self, offer: Offer) -> None:
        """Into the queue. Raises `Closed`, `Reentered`: not so. One that comes in while the log is being closed is
        committed, or refused, by whoever looks into the queue next."""
        if self.closed or self._holder == offer.owner:
            self._refuse_call()
        self._enqueue(offer)
        self._is_contended = True
        thread = self._thread
        if thread is None or not thread.is_started:
            self._start_thread()
        release(self._wake)

    def _enqueue(self, offer: Offer) -> None:
        """Counted first: what an interrupt counts in vain is forgotten with the next empty queue."""
        with self._gate:
            if not self._queue:
                self._offered_bytes = self._settled_bytes
            self._offered_bytes += offer.size
            offer.position = self._offered_bytes
            self._queue.append(offer)

    def _has_room(self, offer: Offer) -> bool:
        """What is queued up to its end is within the bound, or nothing is before it."""
        queued_bytes = offer.position - self._settled_bytes
        return offer.is_settled or queued_bytes <= max(self._queued_bytes_max, offer.size)

    def _await(self, offer: Offer, is_so: Callable[[], bool]) -> None:
        """Until the commit thread has done it; where there is none, this one commits."""
        me = threading.get_ident()
        while not is_so():
            thread = self._thread
            if thread is None or thread.ident == me:
                self._commit_queue()
            elif not offer.waiting.acquire(timeout=LIVES_AFTER_SECONDS):  # type: ignore[union-attr]
                self._replace_stillborn()

    def _commit_queue(self) -> None:
        """In this thread: there is no other to be had."""
        self._use(self._drain)
        self._after_drain()

    def _after_drain(self) -> None:
        """What the mutex must not be held for. Not by a thread that signals reach, where there is another: a Ctrl-C in
        the middle of a future's own code would leave those who wait for it."""
        if self._settled:
            if self._thread is not None:
                release(self._wake)
            else:
                self._resolve()
        if self._writer.sync_by_ns != self._deadline_ns:
            self._keep_deadline()

    # Committing: all of it under the mutex

    def _drain(self) -> None:
        """Commit what is in the queue now; what comes meanwhile is for others."""
        if self._queue:
            last = self._queue[-1]
            while not last.is_settled:
                self._commit_next()
            self._sweep()

    def _commit_next(self) -> None:
        """The next offers of the queue as one commit. What it raises is not theirs: an interrupt of this thread."""
        self._settle(None)
        self._sweep()
        offers = self._take()
        if offers and not self._are_refused(offers):
            entries = offers[0].entries if len(offers) == 1 else [entry for offer in offers for entry in offer.entries]
            began = self._monotonic()
            self._committing = (offers, self._writer.next_lsn)
            try:
                self._writer.append(entries)
            except Exception as error:
                self._settle(error)
            except BaseException as error:
                self._settle(error if are_always_interrupted(offers) else None)
                raise
            else:
                self._settle(None)
            self._commit_ns = self._monotonic() - began
        self._sweep()
        self._released = len(offers)
        self._alone = self._alone + 1 if len(offers) == 1 and not self._queue else 0
        self._is_contended = self._alone < ALONE

    def _take(self) -> list[Offer]:
        """The first offers that fit one commit into an empty segment, or the first by itself."""
        first = first_of(self._queue)
        if first is None:
            return []
        queued = list(islice(self._queue, 1 if first.goes_alone else TAKEN_MAX))
        waiting = [offer for offer in queued if not offer.is_settled]
        is_one_commit = self._fits(sum(len(offer.entries) for offer in waiting), sum(offer.size for offer in waiting))
        taken: list[Offer] = []
        count = size = 0
        for offer in waiting:
            count += len(offer.entries)
            size += offer.size
            if taken and (offer.goes_alone or not (is_one_commit or self._fits(count, size))):
                break
            taken.append(offer)
        for offer in taken:
            if not offer.is_wanted():
                offer.settle(0)
        return [offer for offer in taken if not offer.is_settled]

    def _fits(self, count: int, size: int) -> bool:
        return self._writer.body_bytes(count, size) <= self._body_bytes_max and self._writer.fits(count, size)

    def _are_refused(self, offers: list[Offer]) -> bool:
        """Nothing of these will be written: the log is poisoned, or its writer is gone."""
        try:
            if self._is_over:
                self._refuse_call()
            self._writer.refuse_if_poisoned()
        except WalError as error:
            for offer in offers:
                offer.settle(0, twin(error))
            return True
        return False

    def _settle(self, error: BaseException | None) -> None:
        """Say of each offer of the commit under way what became of it: the writer knows, whatever interrupted it."""
        if self._committing is None:
            return
        offers, lsn = self._committing
        if self._writer.next_lsn > lsn:
            for offer in offers:
                offer.settle(lsn)
                lsn += len(offer.entries)
        elif self._writer.is_poisoned:
            for offer in offers:
                offer.settle(0, self._outcome(error, lsn, lsn + len(offer.entries) - 1))
                lsn += len(offer.entries)
        elif error is not None and len(offers) == 1:
            offers[0].settle(0, error)
        elif error is not None:  # nothing was written, and perhaps because of one of them
            for offer in offers:
                offer.goes_alone = True
        self._committing = None

    def _outcome(self, error: BaseException | None, first_lsn: int, last_lsn: int) -> WalError:
        """Of one offer, in a commit that poisoned the log: an error of its own, since each is raised in its thread."""
        if isinstance(error, WalError) and not isinstance(error, Indefinite):
            return twin(error)  # nothing of it was written
        return self._writer.indefinite(error, first_lsn, last_lsn)

    def _sweep(self) -> None:
        """What is settled leaves the queue; whoever waits for it, or for room, is released."""
        queue = self._queue
        while queue and queue[0].is_settled:
            offer = queue[0]
            if offer.future is not None:
                self._settled.append(offer)
            if offer.waiting is not None:
                release(offer.waiting)
            self._settled_bytes += offer.size
            queue.popleft()
        waiting = self._waiting_for_room
        while waiting and self._has_room(waiting[0]):
            release(waiting[0].waiting)  # type: ignore[arg-type]
            waiting.popleft()
        release_all(self._followers)

    # Futures: under no lock

    def _resolve(self) -> None:
        while (offer := first_of(self._settled)) is not None:
            if offer.future is not None:
                offer.future.resolve(offer.first_lsn, offer.error)
            discard(self._settled, offer)

    # The commit thread

    def _start_thread(self) -> None:
        """Where none can be started (a limit of the system; the interpreter ends) there is none. A signal handler in
        the middle of this starts one of its own, which serves."""
        with self._gate:
            current = self._thread
            if current is not None and current.is_started:
                return
            self._thread = thread = CommitThread()
            try:
                self.spawn(partial(self._run, thread))
                thread.is_started = True
            except RuntimeError:
                pass
            finally:
                if not thread.is_started and self._thread is thread:
                    self._thread = None

    def _replace_stillborn(self) -> None:
        """An exception from outside that met the thread before its first statement has ended it unnoticed. (If it is
        only slow, it will see that it was replaced.)"""
        with self._gate:
            thread = self._thread
            if thread is not None and not thread.is_living:
                thread.is_started = False
            self._start_thread()
        release(self._wake)

    def _run(self, thread: CommitThread) -> None:
        try:
            thread.ident = threading.get_ident()
            thread.is_living = True
            self._serve(thread)
        finally:
            if self._thread is thread:
                self._thread = None
            thread.has_ended = True
            release(thread.ended)
        if self._thread is None and (self._queue or self._settled):  # they came when nobody looked any more
            self._start_thread()

    def _serve(self, thread: CommitThread) -> None:
        while self._thread is thread:
            try:
                is_closed = self.closed  # asked first: what was queued before it was closed is seen by the step
                if not self.step():
                    if is_closed:
                        break
                    self._sleep()
            except BaseException:  # an asynchronous one: what it interrupted is settled by the next turn
                continue
        release(self._wake)
        if self._abandoned is not None and self._thread is thread:
            self._end_abandoned(self._abandoned)

    def step(self) -> bool:
        """One thing that the commit thread has to do. False: there is nothing."""
        if self._settled:
            self._resolve()
            return True
        if self._queue:
            self._gather()
            self._use(self._commit_next)
            return True
        return self._is_sync_due() and self._sync()

    def _gather(self) -> None:
        """Those who were released by the last commit are about to come back: let them run while they still come, for as
        long as that commit took. Else every commit would hold half of them, and the other half need a sync of its own.
        (Longer than a sync it pays no more: then the work of coming back is what takes the time.)"""
        before, until = 0, self._monotonic() + self._commit_ns
        while before < len(self._queue) < self._released and self._monotonic() < until:
            before = len(self._queue)
            time.sleep(0)

    def _sleep(self) -> None:
        """Until there is something to do. What is about to be waited for is published first, so that an append in
        another thread sees whether it has to wake this one."""
        self._deadline_ns = deadline = self._writer.sync_by_ns
        if deadline is None:
            self._wake.acquire()
        else:
            self._wake.acquire(timeout=min(max(deadline - self._monotonic(), 0) / 1e9, threading.TIMEOUT_MAX))

    def _is_sync_due(self) -> bool:
        deadline = self._writer.sync_by_ns
        return deadline is not None and self._monotonic() >= deadline

    def _sync(self) -> bool:
        """Keep a policy's word. A sync that fails has poisoned the writer, and every verb will say so."""

        def sync_owed() -> None:
            if self._writer.sync_by_ns is not None and not self._is_over:
                self._writer.sync()

        with suppress(WalError):
            self._use(sync_owed)
        return True

    def _keep_deadline(self) -> None:
        """A policy wants a sync later: the commit thread makes it, or, where there is none, this one does at once."""
        if self._writer.sync_by_ns is None:
            return
        if self._thread is None:
            self._start_thread()
        if self._thread is not None:
            release(self._wake)
        else:
            self._sync()

    # The end

    def close(self, end: Callable[[], None]) -> None:
        """Commit what is queued, then *end*, whatever happens; wait until the commit thread has told every future.
        Called again, it ends what an interrupt has left."""
        try:
            self._use(partial(self._close, end))
        finally:
            if self._is_over:
                self._tell_the_end()
        thread = self._thread
        if thread is not None and thread.ident != threading.get_ident():
            while not thread.has_ended:
                if not thread.ended.acquire(timeout=LIVES_AFTER_SECONDS) and not thread.is_living:
                    break
            release(thread.ended)  # for another close() that waits for it
        if self._thread is None or not self._thread.is_living:
            self._resolve()

    def _close(self, end: Callable[[], None]) -> None:
        try:
            self.closed = True  # from here on nothing is put into the queue
            self._drain()
        finally:
            self.closed = self._is_over = True
            end()

    def _tell_the_end(self) -> None:
        """Nobody waits any longer for a log that is closed."""
        release(self._wake)
        if self._queue:
            self._commit_queue()  # refuses what an interrupt has left there
        release_all(self._followers)

    def commit_at_exit(self) -> None:
        """The interpreter ends and nobody has closed the log: what is queued is committed all the same."""
        if not self.closed and (self._queue or self._settled or self._writer.sync_by_ns is not None):
            self.turn_after_queue(self._writer.sync)
            self._await_told()

    def _await_told(self) -> None:
        """Until the commit thread has told every future. Not for one that keeps it: where the interpreter starts no
        more threads, callbacks run in that one, and may wait for the thread that ends."""
        told, until = None, 0.0
        while (offer := first_of(self._settled)) is not None and self._thread is not None:
            if offer is not told:
                told, until = offer, time.monotonic() + LIVES_AFTER_SECONDS
            if time.monotonic() > until:
                return
            time.sleep(0.001)

    def abandon(self, end: Callable[[], None]) -> None:
        """Nobody has this log any more. Takes no lock, since a collection of garbage can be anywhere: the commit
        thread, which may be writing, ends with what is queued and owed, and then calls *end*."""
        self._abandoned = end  # first: the thread looks at it when it has seen that the log is closed
        self.closed = True
        if self._thread is not None:
            release(self._wake)
        else:
            end()

    def _end_abandoned(self, end: Callable[[], None]) -> None:
        self._abandoned = None
        try:
            self._sync()
        finally:
            self._is_over = True
            end()
