"""A thread that serves its owner for as long as it is needed.

A thread can die before its first statement: memory may be short, or an exception from outside may hit it. Python does
not report this. So the caller that starts a thread waits until the thread has begun to work. If it does not begin, the
caller starts another one. If a thread ends while work is left, for any reason, it starts its own successor.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from walogs.foundation.turns import TurnLock
from walogs.foundation.wakeups import held_lock, release

if TYPE_CHECKING:
    from collections.abc import Callable

BIRTH_SECONDS: Final = 1.0
"""A thread that has not begun after this long counts as dead. If it is only slow, it sees that it was replaced."""
BIRTHS_MAX: Final = 3
"""After this many threads that did not begin, the owner does its work without one."""


class ServiceThread:
    """One start of a thread. Only the newest one serves; an older one may begin late, and must then end."""

    __slots__ = ("born", "ended", "has_ended", "ident", "is_living", "is_started")

    def __init__(self) -> None:
        self.is_started = False
        """The system has accepted it, and will run it."""
        self.is_living = False
        """It has begun to work."""
        self.has_ended = False
        self.ident = 0
        self.born = held_lock()
        """Released when it has begun to work."""
        self.ended = held_lock()
        """Released when it has ended."""

    def wait_for_birth(self) -> bool:
        """Wait until it has begun to work. Return False if it has not begun after `BIRTH_SECONDS`."""
        if not self.is_living and self.born.acquire(timeout=BIRTH_SECONDS):
            release(self.born)  # for another thread that waits
        return self.is_living


class Service:
    """Run *serve* on at most one thread, and start that thread when it is needed."""

    def __init__(
        self,
        spawn: Callable[[Callable[[], None]], object],
        serve: Callable[[ServiceThread], None],
        has_work: Callable[[], bool],
    ) -> None:
        """*has_work* is called when a thread has ended and there is no other. If it returns True, one is started."""
        self._spawn = spawn
        self._serve = serve
        self._has_work = has_work
        self.gate = TurnLock()
        """A thread holds it while it changes `thread`."""
        self.thread: ServiceThread | None = None
        """The newest thread, or None."""

    def start(self) -> bool:
        """Start a thread unless one is at work. Return False if none can be started.

        The reason can be a limit of the system, or that the interpreter is ending.
        """
        for _ in range(BIRTHS_MAX):
            thread = self._start_one()
            if thread is None:
                return False
            if thread.wait_for_birth():
                return True
            with self.gate:
                if self.thread is thread and not thread.is_living:
                    self.thread = None
        return False

    def _start_one(self) -> ServiceThread | None:
        """Return the newest thread. If there is none, start one. Return None if none can be started.

        A signal handler in the middle of this starts a thread of its own, and that one serves.
        """
        with self.gate:
            if self.thread is not None and self.thread.is_started:
                return self.thread
            self.thread = thread = ServiceThread()
            try:
                self._spawn(partial(self._run, thread))
                thread.is_started = True
            except (MemoryError, RuntimeError):
                pass
            finally:
                if not thread.is_started and self.thread is thread:
                    self.thread = None
            # A thread that had little to do may have ended by now. It was started all the same.
            return thread if self.thread is None and thread.is_started else self.thread

    def _run(self, thread: ServiceThread) -> None:
        """Run the thread: serve, then record the end, and start a successor if work is left."""
        try:
            thread.ident = threading.get_ident()
            thread.is_living = True
            release(thread.born)
            self._serve(thread)
        finally:
            if self.thread is thread:
                self.thread = None
            thread.has_ended = True
            try:
                release(thread.ended)
            finally:
                if self.thread is None and self._has_work():
                    self.start()
