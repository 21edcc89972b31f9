"""Waking whoever waits, with locks that are held until then; safe from interrupts and from several who wake at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections import deque

T = TypeVar("T")


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
