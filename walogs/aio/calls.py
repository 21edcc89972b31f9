"""Verbs that may wait for the disk run on threads of their own, and tasks wait for them.

The threads are walogs' own. A `ThreadPoolExecutor` keeps the interpreter from ending until every call has returned, and
refuses all calls once the main thread has ended. If it cannot start a thread, it carries the refused call out later.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from anyio.lowlevel import checkpoint

from walogs.aio.loops import Outcome, event_loop
from walogs.engine.log_source import start_thread
from walogs.errors import Closed
from walogs.foundation.services import Service
from walogs.foundation.wakeups import held_lock, release

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.aio.loops import EventLoop
    from walogs.foundation.services import ServiceThread

T = TypeVar("T")

IDLE_SECONDS: Final = 1.0
"""A thread ends after being idle for this long."""


class Call(Outcome[T], Generic[T]):
    """A call that a thread makes, or has made, for a task."""

    __slots__ = ("is_given_up", "verb")

    def __init__(self, loop: EventLoop, verb: Callable[[], T]) -> None:
        super().__init__(loop)
        self.verb = verb
        self.is_given_up = False
        """Its task has left. A thread that comes to it does not make it."""

    def make(self) -> None:
        """Make the call on this thread, and wake the task."""
        if self.is_given_up:
            return
        try:
            self.value = self.verb()
        except BaseException as error:  # noqa: BLE001  # the task raises it
            self.error = error
        self.loop.call_from_thread(self.settle)


class ThreadsRefused(RuntimeError):
    """No thread can be started, so the call was not begun."""


class Worker:
    """One thread that makes calls. It is started when it is needed, and ends when it is idle."""

    def __init__(self, calls: deque[Call[Any]]) -> None:
        self._calls = calls
        self._pid = os.getpid()
        self._wake = held_lock()
        self.is_idle = False
        self.is_closed = False
        """No call comes any more. The thread ends when none is left."""
        self.service = Service(start_thread, self._serve, self._has_work)

    def wake(self) -> None:
        release(self._wake)

    def _has_work(self) -> bool:
        return bool(self._calls) and os.getpid() == self._pid

    def _serve(self, thread: ServiceThread) -> None:
        while self.service.thread is thread and os.getpid() == self._pid:
            if self._make_next() or self._is_woken():
                continue
            with self.service.gate:
                if not self._calls:
                    self.service.thread = None
                    return

    def _make_next(self) -> bool:
        """Make the next call. Return False if there is none. An idle thread keeps nothing of a call alive."""
        try:
            call = self._calls.popleft()
        except IndexError:
            return False
        call.make()
        return True

    def _is_woken(self) -> bool:
        """Wait for the next call. Return False if none has come for a while, or none can come."""
        self.is_idle = True
        try:
            return not self.is_closed and self._wake.acquire(timeout=IDLE_SECONDS)
        finally:
            self.is_idle = False


class ThreadCalls:
    """Calls of one handle that run on its threads. Tasks of any event loop may make them."""

    def __init__(self, threads: int, name: str) -> None:
        self._calls: deque[Call[Any]] = deque()
        self._workers = [Worker(self._calls) for _ in range(threads)]
        self._name = name
        """The name of the log, for messages."""
        self._is_closed = False
        self._pid = os.getpid()

    def begin(self, verb: Callable[[], T]) -> Call[T]:
        """Begin a call for the current task, and return its future outcome.

        Raise `Closed`, or `RuntimeError` if no thread can be started: nothing was begun.
        """
        self.refuse_child()
        if self._is_closed:
            raise Closed(f"{self._name} was closed: open it again")
        call = Call(event_loop(), verb)
        idle = next((worker for worker in self._workers if worker.is_idle), None)
        self._calls.append(call)
        if idle is not None:
            idle.wake()
        else:
            self._start_worker(call)
        return call

    def _start_worker(self, call: Call[Any]) -> None:
        """Start one more thread. If all are at work, one of them makes the call when it has time."""
        unused = next((worker for worker in self._workers if worker.service.thread is None), None)
        if unused is not None and unused.service.start():
            return
        for worker in self._workers:
            worker.wake()  # one that was about to become idle looks once more
        if all(worker.service.thread is None for worker in self._workers):
            call.is_given_up = True
            raise ThreadsRefused(f"{self._name}: the system starts no more threads. Nothing was done.")

    async def run(self, verb: Callable[[], T]) -> T:
        """Run a call that may be left alone. If the task is cancelled, the call goes on without it, or never begins.

        A task that was cancelled before starts nothing.
        """
        self.refuse_child()
        await checkpoint()
        call = self.begin(verb)
        try:
            await call.loop.wait(call)
        finally:
            call.is_given_up = True
        return call.result()

    async def finish(
        self,
        verb: Callable[[], T],
        *,
        undo: Callable[[T], None] | None = None,
        note_lost: Callable[[BaseException], None] | None = None,
        begins_cancelled: bool = False,
    ) -> T:
        """Run a call to its end, even if the task is cancelled meanwhile. A task that was cancelled before starts
        nothing, unless *begins_cancelled*.

        If a cancellation will not be repeated, it is raised at the end, in place of what the call has returned or
        raised: *note_lost* then gets the error. If *undo* is given, every cancellation is raised, and *undo* gets the
        result, on a thread.
        """
        self.refuse_child()
        if not begins_cancelled:
            await checkpoint()
        call = self.begin(verb)
        loop = call.loop
        try:
            await loop.wait(call)
        except loop.cancellation() as first:
            later = await loop.wait_shielded(call)
            if undo is not None:
                if call.error is None:
                    await loop.wait_shielded(self.begin(partial(undo, cast("T", call.value))))
                raise
            unrepeated = later if loop.is_repeated(first) else first
            if unrepeated is not None:
                if call.error is not None and note_lost is not None:
                    note_lost(call.error)
                raise unrepeated from None
        return call.result()

    def refuse_child(self) -> None:
        """Raise `Closed` in a forked child. Its copy of the loop does not run, so this comes before any await."""
        if os.getpid() != self._pid:
            raise Closed(f"{self._name} was opened before the fork, by its parent: open it in this process")

    def close(self) -> None:
        """Let no call begin after this. The threads end when they have nothing to do."""
        self._is_closed = True
        for worker in self._workers:
            worker.is_closed = True
            worker.wake()
