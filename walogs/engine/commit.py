"""Who commits, and when: a lone caller by itself; contended callers on one commit thread, many in one frame.

An idle log commits in the calling thread: no hand-over, no other thread. A caller that finds it busy offers its entries
to the queue; the commit thread takes what is there, commits it as one frame, and only then are the callers released.
After a few commits of one offer each, callers commit by themselves again. (Handing the lead from caller to caller
instead deadlocks when a Ctrl-C takes a waiting one away.)

Laws of this file, each a hang or a loss where it was broken:
- The mutex is taken by `with` only, and held by whoever uses the writer. What an interrupt leaves half done under it is
  settled by whoever holds it next: `_committing` and the writer's LSN say what became of every offer (G18).
- An offer stays in the queue until its outcome is known. Whoever waits for it may leave; nobody waits for them.
- A caller commits by itself only when nothing of its own is queued, seen under the mutex: one thread's order stays.
- Futures are resolved outside every lock; a callback that raises, or that calls the log, harms nobody.
- The commit thread waits for nobody: not for room in the queue, not for itself. Where there is none, callers commit.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from walogs.errors import Closed, Indefinite, Reentered, WalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import NoReturn

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.chain import ChainWriter
    from walogs.engine.source import Environment

P = ParamSpec("P")
T = TypeVar("T")

ALONE: Final = 4
"""After so many commits of one offer each, callers commit by themselves again."""
LIVES_AFTER_SECONDS: Final = 1.0
"""Whoever has waited so long looks whether there is a commit thread at all."""
TAKEN_MAX: Final = 65_536
"""Offers in one commit."""


class Offer:
    """Entries that somebody waits for, or holds a future of."""

    __slots__ = ("entries", "error", "first_lsn", "future", "goes_alone", "is_settled", "owner", "size", "waiting")

    def __init__(self, entries: list[bytes], size: int, owner: int, future: Future[int] | None = None) -> None:
        self.entries = entries
        self.size = size
        self.owner = owner
        """The thread that made it."""
        self.future = future
        self.waiting = held_lock() if future is None else None
        self.first_lsn = 0
        self.error: BaseException | None = None
        self.is_settled = False
        self.goes_alone = False
        """It was refused together with others, perhaps because of them."""

    def settle(self, first_lsn: int, error: BaseException | None = None) -> None:
        self.first_lsn, self.error = first_lsn, error
        self.is_settled = True

    def is_wanted(self) -> bool:
        """False: its future was cancelled in time. From now on it cannot be."""
        future = self.future
        return future is None or future.running() or (not future.done() and future.set_running_or_notify_cancel())

    def result(self) -> int:
        if self.error is not None:
            raise self.error
        return self.first_lsn

    def resolve(self) -> None:
        """Tell its future, and so the callbacks, whatever those raise."""
        future = self.future
        try:
            if future is None or future.done():
                return
            if self.error is not None:
                future.set_exception(self.error)
            else:
                future.set_result(self.first_lsn)
        except BaseException:  # a callback's own; an `Exception` was logged by the future already
            return


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
        self._spawn = environment.spawn
        self._queued_bytes_max = queued_bytes_max
        self._body_bytes_max = body_bytes_max
        self._mutex = threading.RLock()
        self._holder = 0
        """The thread that uses the writer; 0: none."""
        self._gate = threading.RLock()
        """Held for a moment, to put an offer into the queue or to end that. Never together with waiting."""
        self._queue: deque[Offer] = deque()
        self._offered_bytes = 0
        self._settled_bytes = 0
        self._committing: tuple[list[Offer], int] | None = None
        """The offers of the commit under way, and the LSN that the first of their entries gets."""
        self._settled: deque[Offer] = deque()
        """Those whose futures are to be told."""
        self._resolving: set[int] = set()
        """The threads that tell them."""
        self._waiting_for_room: deque[threading.Lock] = deque()
        self._followers: deque[threading.Lock] = deque()
        self._is_contended = False
        self._alone = 0
        self._released = 0
        self._commit_ns = 0
        """How long the last commit of the queue took."""
        self._has_next = False
        """Somebody waits for the mutex itself. A hint: an interrupt may leave it behind, the next caller clears it."""
        self._has_thread = False
        self._thread_ended: threading.Lock | None = None
        """Released when the commit thread has ended."""
        self._thread_token = object()
        self._thread_ident = 0
        self._living: object = None
        """The token of the thread that has begun to work."""
        self._wake = held_lock()
        self._deadline_ns: int | None = None
        """When the commit thread will wake by itself, on the monotonic clock."""
        self._abandoned: Callable[[], None] | None = None
        self._is_over = False
        self.closed = False

    # A caller's turn

    def turn(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One verb at a time: waits for other threads, refuses this thread's own call in the middle of another (G18).

        The flag is set and cleared with no call between it and its `try`: acquire-then-try leaked in every trial of
        asynchronous exceptions."""
        me = threading.get_ident()
        with self._mutex:
            if self._holder or self.closed:
                self._refuse_call()
            self._holder = me
            try:
                return verb(*args, **kwargs)
            finally:
                self._holder = 0

    def turn_after_queue(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `turn`, when all that was offered before is committed or has failed."""

        def after_queue() -> T:
            self._drain()
            return verb(*args, **kwargs)

        try:
            return self.turn(after_queue)
        finally:
            self._after_drain()

    def append(self, entries: list[bytes], size: int) -> int:
        """Commit these entries in one frame, perhaps with those of others; the LSN of the first."""
        me = threading.get_ident()
        if not self._is_contended and self._is_next(me):
            with self._mutex:
                self._has_next = False
                if self._holder or self.closed:
                    self._refuse_call()
                if not self._queue or self._keeps_order(me):
                    self._holder = me
                    try:
                        first_lsn = self._writer.append(entries)
                    finally:
                        self._holder = 0
                    if self._followers:
                        release_all(self._followers)
                    if self._writer.sync_by_ns != self._deadline_ns:
                        self._keep_deadline()
                    return first_lsn
        offer = Offer(entries, size, me)
        self._put(offer)
        if self._has_thread and me != self._thread_ident:
            while not offer.waiting.acquire(timeout=LIVES_AFTER_SECONDS):  # type: ignore[union-attr]
                self._replace_stillborn()
        else:
            self._commit_queue()
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

    def submit(self, entries: list[bytes], size: int) -> Future[int]:
        """Put these entries into the queue; the future of the first one's LSN."""
        from concurrent.futures import Future  # 10 ms that only its user pays

        future: Future[int] = Future()
        self._put(Offer(entries, size, threading.get_ident(), future))
        if not self._has_thread:
            self._commit_queue()
        return future

    def wait_beyond(self, lsn: int, seconds: float | None) -> bool:
        """Wait until the log's next LSN is beyond *lsn*, or it is closed or poisoned. False: not in that time."""
        woken = held_lock()
        self._followers.append(woken)
        if self._writer.next_lsn > lsn or self.closed:
            return True
        if woken.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX)):
            return True
        with self._gate:
            if woken in self._followers:
                self._followers.remove(woken)
        return self._writer.next_lsn > lsn

    def _refuse_call(self) -> NoReturn:
        if self.closed:
            raise Closed(f"{self._name} was closed: open it again")
        raise Reentered(f"{self._name} was called in the middle of this thread's own call to it: nothing was done")

    # The queue

    def _put(self, offer: Offer) -> None:
        """Into the queue, as soon as there is room. Raises `Closed`, `Reentered`."""
        if self._holder == offer.owner:
            self._refuse_call()
        while True:
            with self._gate:
                if self.closed:
                    self._refuse_call()
                if offer.owner == self._thread_ident or self._has_room(offer):
                    self._queue.append(offer)
                    self._offered_bytes += offer.size
                    self._is_contended = True
                    if not self._has_thread:
                        self._start_thread()
                    break
                room = held_lock()
                self._waiting_for_room.append(room)
            if not self._has_thread:
                self._commit_queue()
            else:
                release(self._wake)
                if not self._has_room(offer) and not room.acquire(timeout=LIVES_AFTER_SECONDS):
                    self._replace_stillborn()
        release(self._wake)

    def _has_room(self, offer: Offer) -> bool:
        queued = self._offered_bytes - self._settled_bytes
        return not self._queue or queued + offer.size <= self._queued_bytes_max

    def _commit_queue(self) -> None:
        """In this thread: it is the commit thread, or there is none to be had."""
        me = threading.get_ident()
        with self._mutex:
            if self._holder:
                self._refuse_call()
            self._holder = me
            try:
                self._drain()
            finally:
                self._holder = 0
        self._after_drain()

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
        offers = self._take()
        if offers and not self._are_refused(offers):
            entries = offers[0].entries if len(offers) == 1 else [entry for offer in offers for entry in offer.entries]
            self._committing = (offers, self._writer.next_lsn)
            began = self._monotonic()
            try:
                self._writer.append(entries)
            except Exception as error:
                self._settle(error)
            except BaseException:
                self._settle(None)
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
        waiting = [offer for offer in list(islice(self._queue, TAKEN_MAX)) if not offer.is_settled]
        is_one_commit = self._fits(sum(len(offer.entries) for offer in waiting), sum(offer.size for offer in waiting))
        taken: list[Offer] = []
        count = size = 0
        for offer in waiting:
            count += len(offer.entries)
            size += offer.size
            if taken and (offer.goes_alone or not (is_one_commit or self._fits(count, size))):
                break
            taken.append(offer)
            if offer.goes_alone:
                break
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

    def _settle(self, error: Exception | None) -> None:
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

    def _outcome(self, error: Exception | None, first_lsn: int, last_lsn: int) -> WalError:
        """Of one offer, in a commit that poisoned the log: an error of its own, since each is raised in its thread."""
        if isinstance(error, WalError) and not isinstance(error, Indefinite):
            return twin(error)  # nothing of it was written
        return self._writer.indefinite(error, first_lsn, last_lsn)

    def _sweep(self) -> None:
        """What is settled leaves the queue, and whoever waits for it is released."""
        queue = self._queue
        while queue and queue[0].is_settled:
            offer = queue[0]
            if offer.waiting is not None:
                release(offer.waiting)
            else:
                self._settled.append(offer)
            queue.popleft()
            self._settled_bytes += offer.size
        release_all(self._waiting_for_room)
        release_all(self._followers)

    # Futures: under no lock

    def _after_drain(self) -> None:
        if not self._settled:
            return
        if self._has_thread and threading.get_ident() != self._thread_ident:
            release(self._wake)
        else:
            self._resolve()

    def _resolve(self) -> None:
        """Tell the futures. A callback that commits in the middle of this leaves what it settles to this loop: else a
        chain of them would be as deep as it is long."""
        me = threading.get_ident()
        if me in self._resolving:
            return
        try:
            self._resolving.add(me)
            while (offer := first_of(self._settled)) is not None:
                offer.resolve()
                discard(self._settled, offer)
        finally:
            self._resolving.discard(me)

    # The commit thread

    def _start_thread(self) -> None:
        """Under the gate. Where none can be started (a limit of the system; the interpreter ends) there is none."""
        ended = held_lock()
        self._thread_token = token = object()
        try:
            self._spawn(lambda: self._run(token, ended))
        except RuntimeError:
            return
        self._thread_ended, self._has_thread = ended, True

    def _replace_stillborn(self) -> None:
        """An exception from outside that met the thread before its first statement has ended it unnoticed. (If it is
        only slow, it will see that it was replaced.)"""
        with self._gate:
            if not self._has_thread or self._living is not self._thread_token:
                self._start_thread()
        release(self._wake)

    def _run(self, token: object, ended: threading.Lock) -> None:
        try:
            self._living = token
            self._serve(token)
        finally:
            if self._thread_token is token:
                self._has_thread = False
            release(ended)

    def _serve(self, token: object) -> None:
        self._thread_ident = threading.get_ident()
        while self._thread_token is token:  # an interrupted start may have made two
            try:
                if not self.step():
                    if self.closed:
                        break
                    self._sleep()
            except BaseException:  # an asynchronous one: what it interrupted is settled by the next turn
                continue
        release(self._wake)
        if self._abandoned is not None:
            self._abandoned()

    def step(self) -> bool:
        """One thing that the commit thread has to do. False: there is nothing."""
        if self._settled:
            self._resolve()
            return True
        if self._queue:
            self._gather()
            me = threading.get_ident()
            with self._mutex:
                self._holder = me
                try:
                    if self._queue:
                        self._commit_next()
                finally:
                    self._holder = 0
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
        me = threading.get_ident()
        with self._mutex:
            self._holder = me
            try:
                if self._is_sync_due() and not self._is_over:
                    self._writer.sync()
            except WalError:
                self._writer.sync_by_ns = None
            finally:
                self._holder = 0
        return True

    def _keep_deadline(self) -> None:
        """A policy wants a sync later: the commit thread makes it, or, where there is none, this one does at once."""
        if self._writer.sync_by_ns is None or self._writer.sync_by_ns == self._deadline_ns:
            return
        with self._gate:
            if not self._has_thread:
                self._start_thread()
        if self._has_thread:
            release(self._wake)
        else:
            self.turn(self._writer.sync)

    # The end

    def close(self, end: Callable[[], None]) -> None:
        """Commit what is queued, then *end*, whatever happens; wait for the commit thread, unless it is busy with
        callbacks (one of which may be waiting for this). Called again, it ends what an interrupt has left."""
        me = threading.get_ident()
        try:
            with self._mutex:
                if self._holder:
                    self._refuse_call()
                self._holder = me
                try:
                    with self._gate:
                        self.closed = True  # from here on nothing enters the queue
                    self._drain()
                finally:
                    self.closed = self._is_over = True
                    try:
                        end()
                    finally:
                        self._holder = 0
        finally:
            if self._is_over:
                release(self._wake)
                self._tell_the_end()
        ended = self._thread_ended
        if ended is not None and me != self._thread_ident and self._thread_ident not in self._resolving:
            while not ended.acquire(timeout=LIVES_AFTER_SECONDS):
                if self._living is not self._thread_token:
                    return
            release(ended)  # so that another close() finds it so

    def _tell_the_end(self) -> None:
        """Nobody waits any longer for a log that is closed."""
        if self._queue:
            self._commit_queue()  # refuses what an interrupt has left there
        release_all(self._waiting_for_room)
        release_all(self._followers)
        self._resolve()

    def commit_at_exit(self) -> None:
        """The interpreter ends and nobody has closed the log: what is queued is committed all the same."""
        if not self.closed and (self._queue or self._settled or self._writer.sync_by_ns is not None):
            self.turn_after_queue(self._writer.sync)
            self._resolve()

    def abandon(self, end: Callable[[], None]) -> None:
        """Nobody has this log any more. Takes no lock, since a collection of garbage can be anywhere: the commit
        thread, which may be writing, ends with what is queued and then calls *end*."""
        self.closed = True
        if self._has_thread:
            self._abandoned = end
            release(self._wake)
        else:
            end()


def held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()  # nobody else has seen it: it cannot wait
    return lock


def release(lock: threading.Lock) -> None:
    """Wake whoever waits, or will wait, for this lock; once is enough."""
    if lock.locked():
        try:
            lock.release()
        except RuntimeError:  # another thread was quicker
            return


def release_all(waiting: deque[threading.Lock]) -> None:
    """Released before it leaves, so that an interrupt in between forgets nobody."""
    while (lock := first_of(waiting)) is not None:
        release(lock)
        discard(waiting, lock)


def first_of(waiting: deque[T]) -> T | None:
    """It stays where it is. None: there is none, or another thread was quicker."""
    try:
        return waiting[0]
    except IndexError:
        return None


def discard(waiting: deque[T], item: T) -> None:
    """It may be that another thread has taken it out already."""
    try:
        waiting.remove(item)
    except ValueError:
        return


def twin(error: WalError) -> WalError:
    """The same error once more: one raised in two threads would collect the tracebacks of both."""
    other = type(error)(*error.args)
    other.__dict__.update(error.__dict__)
    other.__cause__ = error.__cause__
    return other
