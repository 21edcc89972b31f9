"""The futures that `submit` returns. Their callbacks run on a thread of their own, so a callback may wait.

`concurrent.futures.Future` runs callbacks in the thread that sets the result. Here that is the commit thread: a
callback that waits for another thread's append would wait for itself. So the commit thread only sets the result, and
the `CallbackRunner` runs the callbacks on another thread.

A forked child has the futures of its parent, but none of the parent's threads. A future that was not done at the fork
ends with `Closed` in the child, as every verb of the log does there. Only the parent runs its callbacks.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from concurrent.futures import Future, InvalidStateError
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, cast

from walogs.errors import Closed, OutcomeUnknown, Poisoned
from walogs.foundation.services import Service
from walogs.foundation.turns import TurnLock
from walogs.foundation.wakeups import discard, first_of, held_lock, release

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from walogs.foundation.services import ServiceThread

UNDONE: Final = "PENDING"
FINISHED: Final = "FINISHED"
"""The states of a future of the standard library, before and after its result is set."""
BEGUN: Final = object()
"""The fate of a future whose commit has begun."""
LOGGER: Final = logging.getLogger("concurrent.futures")
"""The logger to which the standard library's futures report an exception of a callback."""
IDLE_SECONDS: Final = 1.0
"""The thread of a callback runner ends after being idle for this long. Starting one for each commit would cost as much
as some commits do."""
CALLBACK_WAIT_SECONDS: Final = 2.0
"""`close` does not wait longer than this for one callback, because that callback may wait for the closing thread."""
LOCK_WAIT_SECONDS: Final = 0.1
"""A thread holds a future's lock only for a moment. After this long, the commit thread leaves the
waiting to another thread."""


class FutureCondition(threading.Condition):
    """The condition of a future, with a lock that no interrupt leaves locked.

    An interrupt can leave the standard library's own condition locked, on every version of Python. The commit thread
    would then wait for it for ever, and every caller for the commit thread.

    This class replaces the class of the future's own condition: a second condition would add a third to the cost of
    `submit`. `with` looks up both methods before it takes the lock, and releases it by the lock's own method, in C.
    """

    _lock: threading.RLock

    @property  # the method that it returns takes the arguments
    def __exit__(self) -> Callable[..., None]:  # noqa: PLE0302, PYI036  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._lock.__exit__

    def __enter__(self) -> bool:
        for _ in iter(self._lock.acquire, None):
            return True
        raise RuntimeError("a signal handler raised StopIteration while this thread waited for a future")

    def free_in_child(self) -> None:
        """Free the lock in a forked child, if it is held by a thread that only the parent has."""
        if not self._lock._is_owned():  # type: ignore[attr-defined]
            self._lock._at_fork_reinit()  # type: ignore[attr-defined]


class LsnFuture(Future[int]):
    """The future LSN of an entry. `result()` raises the error if the entry was not committed."""

    _callbacks: deque[Callable[[Future[int]], Any]] | None = None
    """The callbacks that are left to be called. None until there is one."""
    _is_told = False
    """Whether no callback is left, and a further one is called at once."""

    def __init__(self, runner: CallbackRunner) -> None:
        super().__init__()
        self._condition.__class__ = FutureCondition
        self._runner = runner
        PENDING.add(self)

    def add_done_callback(self, fn: Callable[[Future[int]], Any]) -> None:
        """Call *fn* with this future, on the callback thread, when the future is done.

        If it is done already, call *fn* here at once.
        """
        with self._runner.gate:
            if not self._is_told:
                if self._callbacks is None:
                    self._callbacks = deque()
                self._callbacks.append(fn)
                return
        call(fn, self)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error of the entry, or None if it was committed. Wait at most *timeout* seconds."""
        error = super().exception(timeout)
        self._runner.has_told_poison |= isinstance(error, OutcomeUnknown | Poisoned)
        return error

    def result(self, timeout: float | None = None) -> int:
        """Return the LSN of the entry, or raise its error. Wait at most *timeout* seconds."""
        try:
            return super().result(timeout)
        except (OutcomeUnknown, Poisoned):
            self._runner.has_told_poison = True
            raise

    def cancel(self) -> bool:
        """Cancel the append. Return False if its commit has begun.

        If it returns True, the entry will not be in the log, and the callbacks have been called in this thread.
        """
        mine = object()
        fate = self.__dict__.setdefault("_fate", mine)
        if fate is mine:
            super().cancel()
            self.set_running_or_notify_cancel()  # for `concurrent.futures.wait`
            PENDING.discard(self)
            self.tell()
        return fate is not BEGUN

    def begin(self) -> bool:
        """Mark the append as started, so that it can no longer be cancelled. Return False if it was cancelled before.

        This takes no lock, because it also runs in callers, which a Ctrl-C can reach. A Ctrl-C inside the standard
        library's `Condition.__enter__` leaves the condition locked for ever.
        """
        return self.__dict__.setdefault("_fate", BEGUN) is BEGUN

    def running(self) -> bool:
        """Return whether the commit has begun and the future is not done."""
        return self.__dict__.get("_fate") is BEGUN and not self.done()

    def resolve(self, lsn: int, error: BaseException | None) -> None:
        """Set the outcome, unless it is set already. The callback runner then runs the callbacks.

        The lock of a future can be lost: an interrupt inside `concurrent.futures.wait` leaves it taken. Then a thread
        that waits for this future waits for ever. No other thread may, so the commit thread, which calls this for all
        futures, waits for the lock only a moment, and leaves a longer wait to a thread of its own.
        """
        for _ in iter(partial(self._condition.acquire, timeout=LOCK_WAIT_SECONDS), False):
            try:
                self._set_outcome(lsn, error)
            finally:
                self._condition.release()
            break
        else:

            def resolve_later(_: ServiceThread) -> None:
                self._set_outcome(lsn, error)
                self._leave_to_runner()

            if Service(self._runner.spawn, resolve_later, lambda: False).start():
                return
            self._set_outcome(lsn, error)
        self._leave_to_runner()

    def _set_outcome(self, lsn: int, error: BaseException | None) -> None:
        if self.begin() and not self.done():
            try:
                if error is not None:
                    self.set_exception(error)
                else:
                    self.set_result(lsn)
            except InvalidStateError:  # another thread has set it first
                pass

    def _leave_to_runner(self) -> None:
        PENDING.discard(self)
        with self._runner.gate:
            self._is_told = self._is_told or not self._callbacks
        if not self._is_told:
            self._runner.add(self)

    def tell(self) -> None:
        """Call each callback once.

        If a callback raises a `BaseException` that is no `Exception`, raise it. A second call continues with the
        callbacks that are left.
        """
        while True:
            with self._runner.gate:
                if not self._callbacks:
                    self._is_told = True
                    return
                fn = self._callbacks.popleft()
            call(fn, self)

    def close_in_child(self) -> None:
        """End this future with `Closed` in a forked child, which has no thread that could set its result."""
        self._runner.gate.free_in_child()
        self._condition.free_in_child()  # type: ignore[attr-defined]
        self._callbacks, self._is_told = None, True
        self._waiters.clear()  # `concurrent.futures.wait` in threads that only the parent has
        self.__dict__["_fate"] = BEGUN
        if not self.done():
            self.set_exception(Closed("this entry was submitted by the parent process, which alone is told its LSN"))


class LazyLsnFuture(LsnFuture):
    """The same future at a fraction of its cost. Its condition is made when somebody first asks for it.

    Most futures are done before anybody waits for them. Then `resolve` sets the result without a condition. It does so
    under the gate of the runner, under which conditions are made. So a future has a condition before its result is set,
    and `resolve` notifies all who wait; or it is done when its condition is made, and nobody waits.
    """

    _state: str = UNDONE
    _result: int | None = None
    _exception: BaseException | None = None
    _done_callbacks: tuple[()] = ()

    def __init__(self, runner: CallbackRunner) -> None:
        self._runner = runner
        PENDING.add(self)

    def __getattr__(self, name: str) -> Any:
        """Make what `Future` would have made, once.

        The list of those who wait is made before the condition. So `Future.set_result`, which reads it between setting
        the state and waking them, does not come here: that call could be interrupted.
        """
        if name not in ("_condition", "_waiters"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        made = self.__dict__
        made.setdefault("_waiters", [])
        condition = FutureCondition(TurnLock().lock)
        with self._runner.gate:
            made.setdefault("_condition", condition)
        return made[name]

    def done(self) -> bool:
        """Return whether the future has a result or an error, or was cancelled."""
        return self._state != UNDONE and (self._state == FINISHED or super().done())

    def cancelled(self) -> bool:
        """Return whether the append was cancelled."""
        return self._state not in (UNDONE, FINISHED) and super().cancelled()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error of the entry, or None if it was committed. Wait at most *timeout* seconds."""
        return None if self._state == FINISHED and self._exception is None else super().exception(timeout)

    def result(self, timeout: float | None = None) -> int:
        """Return the LSN of the entry, or raise its error. Wait at most *timeout* seconds."""
        if self._state == FINISHED and self._exception is None:
            return cast("int", self._result)
        return super().result(timeout)

    def resolve(self, lsn: int, error: BaseException | None) -> None:
        """Set the outcome, unless it is set already. The callback runner then runs the callbacks."""
        is_set = False
        if error is None and self.begin():
            with self._runner.gate:
                if self._state == UNDONE and "_condition" not in self.__dict__:
                    # Nothing is called between these lines, so no interrupt can fall between.
                    self._result = lsn
                    self._state = FINISHED
                    self._is_told = self._callbacks is None
                    is_set = True
        if not is_set:
            super().resolve(lsn, error)
        elif self._is_told:
            PENDING.discard(self)
        else:
            self._leave_to_runner()


def has_known_attributes() -> bool:
    """Return whether `Future` keeps its state as `LazyLsnFuture` takes for granted. Its names are private."""
    fresh: Future[int] = Future()
    done: Future[int] = Future()
    done.set_result(1)
    kept: dict[str, object] = {
        "_state": UNDONE,
        "_result": None,
        "_exception": None,
        "_waiters": [],
        "_done_callbacks": [],
    }
    states = [{name: value for name, value in vars(each).items() if name != "_condition"} for each in (fresh, done)]
    is_lock = isinstance(vars(fresh).get("_condition"), threading.Condition)
    return is_lock and states == [kept, kept | {"_state": FINISHED, "_result": 1}]


NEW_FUTURE: Final[type[LsnFuture]] = LazyLsnFuture if has_known_attributes() else LsnFuture
PENDING: Final[set[LsnFuture]] = set()
"""The futures of this process that are not done."""


def close_all_in_child() -> None:
    """End every future that was pending at the fork."""
    while PENDING:
        PENDING.pop().close_in_child()


os.register_at_fork(after_in_child=close_all_in_child)


def call(fn: Callable[[Future[int]], Any], future: Future[int]) -> None:
    """Call a callback, and log an exception that it raises."""
    try:
        fn(future)
    except Exception:
        LOGGER.exception("exception calling callback for %r", future)


class CallbackRunner:
    """Call the callbacks of one log's futures in order, on a thread of its own that ends when it is idle."""

    def __init__(self, spawn: Callable[[Callable[[], None]], object]) -> None:
        self.spawn = spawn
        self._pid = os.getpid()
        self.gate = TurnLock()
        """A thread holds it for a moment, while it looks at the callbacks of a future. All futures share this lock,
        because making a lock for each would cost more than their threads ever wait."""
        self._futures: deque[LsnFuture] = deque()
        self._service = Service(spawn, self._serve, self._has_work)
        self._wake = held_lock()
        self._telling: set[int] = set()
        """The identifiers of the threads that are in callbacks."""
        self._told = 0
        self.has_told_poison = False
        """The program has looked at a future that failed because the log is poisoned. So `close` need not report it."""

    def new_future(self) -> LsnFuture:
        """Return a new future whose callbacks this runner calls."""
        return NEW_FUTURE(self)

    def add(self, future: LsnFuture) -> None:
        """Have the callback thread call the callbacks of a future. If no thread can be started, call them here."""
        self._futures.append(future)
        has_thread = self._service.start()
        release(self._wake)
        if not has_thread:
            self.step()

    def _has_work(self) -> bool:
        return bool(self._futures) and self._is_at_home()

    def _serve(self, thread: ServiceThread) -> None:
        while self._service.thread is thread and self._is_at_home():
            try:
                if self.step() or self._wake.acquire(timeout=IDLE_SECONDS):
                    continue
                with self._service.gate:
                    if not self._futures:
                        self._service.thread = None
                        return
            except BaseException:  # noqa: BLE001  # another thread has set it: continue
                continue

    def step(self) -> bool:
        """Call the callbacks of all futures that are waiting. Return False if there are none.

        A callback may add another future. Then this loop calls its callbacks too: calling them from within the first
        callback would make a chain as deep as it is long.
        """
        me = threading.get_ident()
        if me in self._telling or not self._futures:
            return False
        try:
            self._telling.add(me)
            while (future := first_of(self._futures)) is not None and self._is_at_home():
                try:
                    future.tell()
                except BaseException:
                    LOGGER.exception("exception calling callback for %r", future)
                else:
                    discard(self._futures, future)
                self._told += 1
        finally:
            self._telling.discard(me)
        return True

    def _is_at_home(self) -> bool:
        """Return False in a child process that a callback has forked."""
        return os.getpid() == self._pid

    def wait(self) -> None:
        """Wait until every callback has returned, but at most `CALLBACK_WAIT_SECONDS` for one.

        A thread that is in a callback does not wait.
        """
        told, since = self._told, monotonic()
        while (self._futures or self._telling) and threading.get_ident() not in self._telling:
            if self._told != told:
                told, since = self._told, monotonic()
            if monotonic() - since > CALLBACK_WAIT_SECONDS:
                return
            sleep(0.001)
