"""A lock that no interrupt leaves locked.

An interrupt is an exception that comes from outside: a Ctrl-C, a signal handler that raises, an exception that another
thread sets. If one arrives after a lock was taken and before the code that gives it back is in force, then the
lock is never released, and every other thread that wants it waits for ever.

Python 3.14 leaves such a gap in `with lock:` itself: the interpreter looks for signals when `__enter__` of a lock has
returned, and the body, whose end would release it, has not begun (CPython gh-148874). `lock.acquire()` before a `try`
has that gap in every version.

`TurnLock` has no gap. It rests on three facts about CPython 3.11 to 3.15, which tests/test_turns.py checks with real
signals on the version that runs:

- The interpreter looks for signals at the start of a Python function, after a call, and where a loop jumps back. It
  does not look when a `for` asks an iterator for its next item, nor when a function returns.
- So the `for` in `__enter__` takes the lock in C, through an iterator over `acquire`, and `__enter__` returns at once.
  A call to a Python function ends in that return, without a look.
- The lock's own `__exit__` is C, too. It has released the lock before the interpreter looks again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class SafeToEnter:
    """The methods that `with` calls, for an object that has a lock. Its constructor must call `guard`."""

    __slots__ = ("__exit__", "_take")

    __exit__: Callable[..., None]
    """The lock's own method, so that `with` calls C. An interrupt can arrive at the start of a Python method, before it
    releases the lock."""
    _take: Callable[[], bool]

    def guard(self, lock: threading.RLock) -> None:
        """Have `with` take and release this lock."""
        self._take = lock.acquire
        self.__exit__ = lock.__exit__

    def __enter__(self) -> bool:
        for _ in iter(self._take, None):
            return True
        # A signal handler that raises StopIteration ends the iterator, and the lock was not taken.
        raise RuntimeError("a signal handler raised StopIteration while this thread waited for a lock")


class TurnLock(SafeToEnter):
    """A re-entrant lock for `with`. No interrupt leaves it locked, on any Python that walogs supports.

    A store, codec or policy that has a lock of its own needs one like this: with a `threading.Lock`, a Ctrl-C at the
    wrong moment on Python 3.14 stops every other thread that uses the log.
    """

    __slots__ = ("acquire", "lock", "release")

    def __init__(self) -> None:
        self.lock = lock = threading.RLock()
        """The lock itself, for a `threading.Condition`. Do not use it in a `with`: Python 3.14 can leave it locked."""
        self.guard(lock)
        self.acquire = lock.acquire
        """Take the lock without waiting, or with a time limit. An interrupt can leave such a lock locked."""
        self.release = lock.release

    def free_in_child(self) -> None:
        """Free the lock in a forked child, if it is held by a thread that only the parent has."""
        if not self.is_mine():
            self.lock._at_fork_reinit()  # type: ignore[attr-defined]

    def is_mine(self) -> bool:
        """Return whether this thread holds the lock."""
        return self.lock._is_owned()  # type: ignore[attr-defined, no-any-return]
