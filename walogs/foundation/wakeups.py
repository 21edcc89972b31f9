"""Wake waiting threads by releasing locks. Interrupts, and several threads that wake the same one, do no harm."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections import deque

T = TypeVar("T")


class Wakeable(Protocol):
    """What `release` needs of a lock. A task of an event loop waits for an object with these two methods."""

    def locked(self) -> bool:
        """Return whether it was not released yet."""
        ...

    def release(self) -> None:
        """Wake the one that waits. A second call may raise `RuntimeError`."""
        ...


def held_lock() -> threading.Lock:
    """Return a lock that is held. A thread waits for it until another one calls `release`."""
    lock = threading.Lock()
    lock.acquire()  # no other thread knows the lock yet, so this does not wait
    return lock


def release(lock: Wakeable) -> None:
    """Wake the thread that waits, or will wait, for this lock. A second call changes nothing."""
    if lock.locked():
        try:
            lock.release()
        except RuntimeError:  # another thread has released it first
            return


def pass_through(lock: threading.Lock, seconds: float) -> bool:
    """Wait until this lock is released, and leave it so for the next thread. Return False after *seconds*.

    Many threads can wait for one lock: whoever wakes one of them wakes all, one after the other.

    No interrupt falls between taking the lock and releasing it: `for` takes it in C, and no Python function is called
    until it is released (`turns.py`).
    """
    for has_passed in iter(partial(lock.acquire, True, seconds), None):
        if has_passed:
            try:
                lock.release()
            except RuntimeError:  # another thread has released it once more meanwhile
                return True
        return has_passed
    return False  # a signal handler raised StopIteration


def release_all(waiting: deque[Wakeable]) -> None:
    """Release and remove each lock. Each is released first, so that an interrupt in between forgets no thread."""
    while (lock := first_of(waiting)) is not None:
        release(lock)
        discard(waiting, lock)


def first_of(waiting: deque[T]) -> T | None:
    """Return the first item without removing it, or None if there is none."""
    try:
        return waiting[0]
    except IndexError:
        return None


def discard(waiting: deque[T], item: T) -> None:
    """Remove an item, unless another thread has removed it already."""
    try:
        waiting.remove(item)
    except ValueError:
        return
