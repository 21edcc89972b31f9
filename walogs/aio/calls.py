"""Verbs that may wait for the disk run on threads of their own, and tasks wait for them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from anyio.lowlevel import checkpoint_if_cancelled

from walogs.aio.loops import Outcome, event_loop
from walogs.errors import Closed

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class ThreadCalls:
    """Calls of one handle that run on its threads. Tasks of any event loop may make them."""

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="walogs-aio")
        self._name = name
        """The name of the log, for messages."""
        self._is_closed = False
        self._pid = os.getpid()

    def begin(self, call: Callable[[], T]) -> Outcome[T]:
        """Begin a call for the current task, and return its future outcome.

        Raise `Closed`, or `RuntimeError` if no thread can be started: nothing was begun.
        """
        self.refuse_child()
        if self._is_closed:
            raise Closed(f"{self._name} was closed: open it again")
        outcome: Outcome[T] = Outcome(event_loop())

        def run() -> None:
            try:
                outcome.value = call()
            except BaseException as error:  # noqa: BLE001  # the task raises it
                outcome.error = error
            outcome.loop.call_from_thread(outcome.settle)

        self._executor.submit(run)
        return outcome

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call that may be left alone: if the task is cancelled, the call goes on without it."""
        self.refuse_child()
        await checkpoint_if_cancelled()
        outcome = self.begin(call)
        await outcome.loop.wait(outcome)
        return outcome.result()

    async def finish(
        self, call: Callable[[], T], undo: Callable[[T], None] | None = None, *, begins_cancelled: bool = False
    ) -> T:
        """Run a call to its end, even if the task is cancelled meanwhile. A task that was cancelled before starts
        nothing, unless *begins_cancelled*.

        If the cancellation will not be repeated, it is raised at the end. *undo* then gets the result, on a thread.
        """
        self.refuse_child()
        if not begins_cancelled:
            await checkpoint_if_cancelled()
        outcome = self.begin(call)
        loop = outcome.loop
        try:
            await loop.wait(outcome)
        except loop.cancellation():
            await loop.wait_shielded(outcome)
            if undo is not None and outcome.error is None:
                given_back = self.begin(lambda: undo(outcome.result()))
                await loop.wait_shielded(given_back)
                raise
            if not loop.is_repeated():
                raise
        return outcome.result()

    def refuse_child(self) -> None:
        """Raise `Closed` in a forked child. Its copy of the loop does not run, so this comes before any await."""
        if os.getpid() != self._pid:
            raise Closed(f"{self._name} was opened before the fork, by its parent: open it in this process")

    def close(self) -> None:
        """Let the threads end when they have nothing to do. No call can begin after this."""
        self._is_closed = True
        self._executor.shutdown(wait=False)
