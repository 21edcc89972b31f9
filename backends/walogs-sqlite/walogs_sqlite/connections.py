"""One SQLite connection, at which threads take turns, and which no forked child uses.

A child must neither use an inherited connection nor close it: the locks are the parent's, and whoever closes believes
that they are its own. So the child keeps it, for ever, untouched. And a fork waits for the turns under way: a child
that is born in the middle of one inherits mutexes of SQLite's that nobody would ever free.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from walogs import Closed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator


class Connection:
    """Opened at its first turn by *connect*, which may raise: then the next turn tries again."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._name = name
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._closed_by = ""
        self.lock = threading.RLock()
        EVERY.add(self)

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """Raises `Closed`."""
        with self.lock:
            if self._closed_by:
                raise Closed(f"{self._name} {self._closed_by}. Open the log again, in this process.")
            if self._connection is None:
                self._connection = self._connect()
            yield self._connection

    def let_go(self) -> None:
        """Close what is open. The next turn opens anew."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def close(self) -> None:
        """For ever."""
        with self.lock:
            self._closed_by = self._closed_by or "was closed"
            self.let_go()

    def disown(self) -> None:
        """In a forked child."""
        connection, self._connection = self._connection, None
        self._closed_by = "was opened before a fork"
        if connection is not None:
            # One reference more than there is: not even the end of the interpreter closes it.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


EVERY: Final[weakref.WeakSet[Connection]] = weakref.WeakSet()
FORK: Final = threading.RLock()
"""Two threads that fork at once would wait for each other's turns."""
TURN_SECONDS: Final = 0.05
waiting: Final[list[Connection]] = []
"""Whose turns this fork has stopped."""


def before_fork() -> None:
    """All turns, or none and again: whoever has one may be waiting for another that this has."""
    FORK.acquire()
    while not all_stopped():
        after_turns()


def all_stopped() -> bool:
    for connection in list(EVERY):
        if not connection.lock.acquire(timeout=TURN_SECONDS):
            return False
        waiting.append(connection)
    return True


def after_turns() -> None:
    while waiting:
        waiting.pop().lock.release()


def after_in_parent() -> None:
    after_turns()
    FORK.release()


def after_in_child() -> None:
    for connection in waiting:
        connection.disown()
    after_in_parent()


os.register_at_fork(before=before_fork, after_in_parent=after_in_parent, after_in_child=after_in_child)
