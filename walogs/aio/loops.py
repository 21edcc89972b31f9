"""What differs between asyncio and trio: how a task is suspended, how another thread wakes it, what a cancellation is.

An `EventLoop` object belongs to one event loop. A task that waits is suspended in `wait`, and `Outcome.settle` wakes
it. Both run on the loop's thread. Another thread has the loop call a function by `call_from_thread`.

**Cancellation.** A trio task that was cancelled is cancelled again at each of its awaits, until it leaves the cancelled
scope. The same is true for a scope of anyio under asyncio. `task.cancel()` of asyncio raises `CancelledError` once:
code that swallows it has lost the cancellation. `is_repeated` tells which of the two it was.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

from anyio import CancelScope

from walogs.foundation.lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")

SCOPE: Final = "cancel scope"
"""The message of each cancellation by a scope of anyio contains these words, in each release from 4.4 to 4.16."""


class Outcome(Generic[T]):
    """The outcome of something that a task waits for."""

    __slots__ = ("error", "is_done", "loop", "value", "waiting")

    def __init__(self, loop: EventLoop) -> None:
        self.loop = loop
        self.is_done = False
        self.value: T | None = None
        self.error: BaseException | None = None
        self.waiting: Any = None
        """What wakes the task that waits for this outcome. None while no task waits."""

    def settle(self) -> None:
        """Wake the task that waits. `value` or `error` was set before. A second call does nothing."""
        self.is_done = True
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            self.loop.wake(waiting)

    def result(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


class TaskLock(Outcome[None]):
    """A held lock that a task waits for. Any thread releases it as it releases a thread's lock."""

    __slots__ = ("_is_released",)

    def __init__(self, loop: EventLoop) -> None:
        super().__init__(loop)
        self._is_released = False

    def locked(self) -> bool:
        """See `Wakeable`."""
        return not self._is_released

    def release(self) -> None:
        """See `Wakeable`."""
        self._is_released = True
        self.loop.call_from_thread(self.settle)


class EventLoop(Protocol):
    """One event loop, of asyncio or trio."""

    def call_soon(self, call: Callable[[], None]) -> None:
        """Have the loop call this in its next iteration. Call this on the loop's thread only."""
        ...

    def call_from_thread(self, call: Callable[[], None]) -> None:
        """Have the loop call this soon. Do nothing if the loop has ended. Any thread may call this."""
        ...

    def is_closed(self) -> bool:
        """Return whether the loop has ended for good."""
        ...

    def wait(self, outcome: Outcome[Any]) -> Awaitable[None]:
        """Return what the current task awaits until the outcome is there. It can raise the loop's cancellation.

        This is no coroutine, because many tasks wait at a time, and each coroutine takes 200 bytes.
        """
        ...

    async def wait_shielded(self, outcome: Outcome[Any]) -> BaseException | None:
        """Suspend the current task until the outcome is there, however often the task is cancelled.

        Return the first cancellation that came meanwhile and will not be repeated, or None.
        """
        ...

    def wake(self, waiting: Any) -> None:
        """Wake the task that `wait` has suspended."""
        ...

    def is_cancelled(self, outcome: Outcome[Any]) -> bool:
        """Return whether the task that waits for this outcome was cancelled. It may not have run since."""
        ...

    def is_repeated(self, cancellation: BaseException) -> bool:
        """Return whether this cancellation will be raised again at the task's next await."""
        ...

    def cancellation(self) -> type[BaseException]:
        """Return the class of the loop's cancellation."""
        ...


class AsyncioLoop:
    """The running loop of asyncio, of whatever make."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def call_soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(call)

    def call_from_thread(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop was closed, and no task of it will run again
            return

    def is_closed(self) -> bool:
        return self._loop.is_closed()

    def wait(self, outcome: Outcome[Any]) -> asyncio.Future[None]:
        future = self._loop.create_future()
        if outcome.is_done:
            future.set_result(None)
        else:
            outcome.waiting = future
        return future

    async def wait_shielded(self, outcome: Outcome[Any]) -> BaseException | None:
        first: BaseException | None = None
        with CancelScope(shield=True):
            while not outcome.is_done:
                try:
                    await self.wait(outcome)
                except asyncio.CancelledError as cancellation:  # `task.cancel()` is not held back by a shield
                    if first is None and not self.is_repeated(cancellation):
                        first = cancellation
        return first

    def wake(self, waiting: asyncio.Future[None]) -> None:
        if not waiting.done():
            waiting.set_result(None)

    def is_cancelled(self, outcome: Outcome[Any]) -> bool:
        return outcome.waiting is not None and bool(outcome.waiting.cancelled())

    def is_repeated(self, cancellation: BaseException) -> bool:
        # anyio repeats its own cancellations, and knows them by their messages, as this does. If the task was cancelled
        # twice before it ran, one message hides the other. It is then safe to say no.
        is_of_scope = any(isinstance(text, str) and SCOPE in text for text in cancellation.args)
        task = asyncio.current_task()
        return is_of_scope and task is not None and task.cancelling() <= 1

    def cancellation(self) -> type[BaseException]:
        return asyncio.CancelledError


class TrioLoop:
    """The running loop of trio."""

    def __init__(self) -> None:
        with lazy_import:
            from trio import Cancelled, RunFinishedError, lowlevel

        self._lowlevel = lowlevel
        self._cancelled: type[BaseException] = Cancelled
        self._run_finished: type[Exception] = RunFinishedError
        self._token = lowlevel.current_trio_token()

    def call_soon(self, call: Callable[[], None]) -> None:
        self._token.run_sync_soon(call)

    def call_from_thread(self, call: Callable[[], None]) -> None:
        try:
            self._token.run_sync_soon(call)
        except self._run_finished:
            return

    def is_closed(self) -> bool:
        try:
            self._token.run_sync_soon(int)
        except self._run_finished:
            return True
        return False

    async def wait(self, outcome: Outcome[Any]) -> None:
        if outcome.is_done:
            return
        lowlevel = self._lowlevel
        outcome.waiting = lowlevel.current_task()

        def abort(_: object) -> Any:
            outcome.waiting = None
            return lowlevel.Abort.SUCCEEDED

        await lowlevel.wait_task_rescheduled(abort)

    async def wait_shielded(self, outcome: Outcome[Any]) -> BaseException | None:
        with CancelScope(shield=True):
            await self.wait(outcome)
        return None

    def wake(self, waiting: Any) -> None:
        self._lowlevel.reschedule(waiting)

    def is_cancelled(self, outcome: Outcome[Any]) -> bool:
        return outcome.waiting is None

    def is_repeated(self, cancellation: BaseException) -> bool:
        return True

    def cancellation(self) -> type[BaseException]:
        return self._cancelled


def running_loop() -> Hashable:
    """Return what identifies the event loop of the calling task. Raise `RuntimeError` if there is none."""
    if is_trio():
        return cast("Hashable", sys.modules["trio"].lowlevel.current_trio_token())
    return asyncio.get_running_loop()


def event_loop() -> EventLoop:
    """Return an object for the event loop of the calling task. Raise `RuntimeError` if there is none."""
    return TrioLoop() if is_trio() else AsyncioLoop()


def is_trio() -> bool:
    """Return whether the caller is a task of trio. trio may run inside a loop of asyncio."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())
