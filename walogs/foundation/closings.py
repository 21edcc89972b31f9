"""End the calls of other threads when an object is closed: those that wait, and those that would begin another wait."""

from __future__ import annotations

from collections import deque
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING

from walogs.errors import Closed
from walogs.foundation.wakeups import discard, held_lock, release_all

if TYPE_CHECKING:
    from walogs.foundation.wakeups import Wakeable


class Closings:
    """How often a store object was closed. A call notes `count` when it begins, and compares it before each step.

    A flag would not do: a store can be used again after `close`, and then a call from before must end all the same.
    """

    def __init__(self, name: str) -> None:
        """*name* is that of the store, for messages."""
        self._name = name
        self.count = 0
        self._waiting: deque[Wakeable] = deque()
        """A lock for each thread that waits in `pause`."""

    def refuse_since(self, count: int) -> None:
        """Raise `Closed` if the object was closed since `count` had this value."""
        if self.count != count:
            raise Closed(f"{self._name} was closed by another thread during this call")

    def pause(self, seconds: float, count: int) -> None:
        """Wait for so many seconds. Raise `Closed` as soon as the object is closed, or if it was since `count`."""
        woken = held_lock()
        self._waiting.append(woken)
        try:
            self.refuse_since(count)  # after the append, so that a close in between is not missed
            woken.acquire(timeout=min(max(seconds, 0.0), TIMEOUT_MAX))
        finally:
            discard(self._waiting, woken)
        self.refuse_since(count)

    def end_calls(self) -> None:
        """Count a close, and wake the threads that wait in `pause`."""
        self.count += 1
        release_all(self._waiting)
