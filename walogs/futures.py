"""What `submit` returns: a future whose callbacks run on a thread of their own, whatever they wait for.

`concurrent.futures.Future` calls them in whichever thread sets the result. That would be the commit thread: a callback
that waits for another thread's append would wait for itself. Here the result is set by the commit thread, which calls
nothing, and the callbacks are the `Teller`'s.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from concurrent.futures import Future, InvalidStateError
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from walogs.engine.wakeups import discard, first_of, held_lock, release

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BEGUN: Final = object()
LOGGER: Final = logging.getLogger("concurrent.futures")
"""Where the standard library's futures report what a callback raises."""
LINGERS_SECONDS: Final = 1.0
"""An idle teller ends after this: starting a thread for each commit's callbacks would cost as much as some commits."""
AWAITED_SECONDS: Final = 2.0
"""At the end, a callback that takes longer is left to itself: it may be waiting for the thread that ends the log."""


class LsnFuture(Future[int]):
    """The LSN that an entry gets."""

    def __init__(self, teller: Teller) -> None:
        super().__init__()
        self._teller = teller
        self._callbacks: deque[Callable[[Future[int]], Any]] = deque()
        self._gate = threading.RLock()
        self._is_told = False

    def add_done_callback(self, fn: Callable[[Future[int]], Any]) -> None:
        """Call *fn* with this future when it is done: on a thread of its own, or now if it is."""
        with self._gate:
            if not self._is_told:
                self._callbacks.append(fn)
                return
        call(fn, self)

    def cancel(self) -> bool:
        """False: its commit has begun. True: its entry will not be in the log; callbacks have been called, here."""
        mine = object()
        fate = self.__dict__.setdefault("_fate", mine)
        if fate is mine:
            super().cancel()
            self.set_running_or_notify_cancel()  # for `concurrent.futures.wait`
            self.tell()
        return fate is not BEGUN

    def begin(self) -> bool:
        """Its commit begins: from now on it cannot be cancelled. False: it was. Takes no lock: a Ctrl-C that falls into
        the standard library's `Condition.__enter__` leaves that locked for ever, and this runs in callers too."""
        return self.__dict__.setdefault("_fate", BEGUN) is BEGUN

    def running(self) -> bool:
        return self.__dict__.get("_fate") is BEGUN and not self.done()

    def resolve(self, lsn: int, error: BaseException | None) -> None:
        """Set the outcome, unless that was done; callbacks are left to the teller."""
        if self.begin() and not self.done():
            try:
                if error is not None:
                    self.set_exception(error)
                else:
                    self.set_result(lsn)
            except InvalidStateError:  # another thread was quicker
                pass
        with self._gate:
            self._is_told = self._is_told or not self._callbacks
        if not self._is_told:
            self._teller.add(self)

    def tell(self) -> None:
        """Call each callback once. Raises what one raises that is no `Exception`; go on then."""
        while True:
            with self._gate:
                if not self._callbacks:
                    self._is_told = True
                    return
                fn = self._callbacks.popleft()
            call(fn, self)


def call(fn: Callable[[Future[int]], Any], future: Future[int]) -> None:
    try:
        fn(future)
    except Exception:
        LOGGER.exception("exception calling callback for %r", future)


class Teller:
    """Calls the callbacks of one log's futures, in order, on a thread of its own that ends when it is idle."""

    def __init__(self, spawn: Callable[[Callable[[], None]], object]) -> None:
        self._spawn = spawn
        self._pid = os.getpid()
        self._futures: deque[LsnFuture] = deque()
        self._gate = threading.RLock()
        self._wake = held_lock()
        self._has_thread = False
        self._telling: set[int] = set()
        """The threads that are in callbacks."""
        self._told = 0

    def add(self, future: LsnFuture) -> None:
        """Its callbacks are called soon; now, and here, where no thread can be started."""
        self._futures.append(future)
        with self._gate:
            if not self._has_thread:
                try:
                    self._spawn(self._serve)
                    self._has_thread = True
                except RuntimeError:  # a limit of the system; the interpreter ends
                    pass
        release(self._wake)
        if not self._has_thread:
            self.step()

    def _serve(self) -> None:
        while self._is_at_home():
            try:
                if self.step() or self._wake.acquire(timeout=LINGERS_SECONDS):
                    continue
                with self._gate:
                    if not self._futures:
                        self._has_thread = False
                        return
            except BaseException:  # noqa: BLE001  # an asynchronous one
                continue

    def step(self) -> bool:
        """Call what there is to call. False: nothing. A callback that adds to it leaves that to this loop: else a chain
        of them would be as deep as it is long."""
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
        """False: a callback has forked, and this is the child."""
        return os.getpid() == self._pid

    def wait(self) -> None:
        """Until every callback has been called, as long as they come to an end; a callback does not wait for itself."""
        told, since = self._told, monotonic()
        while (self._futures or self._telling) and threading.get_ident() not in self._telling:
            if self._told != told:
                told, since = self._told, monotonic()
            if monotonic() - since > AWAITED_SECONDS:
                return
            sleep(0.001)
