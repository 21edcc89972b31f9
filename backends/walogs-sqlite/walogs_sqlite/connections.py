"""An SQLite connection that threads use in turns, and that no forked child uses.

A child must neither use an inherited connection nor close it. The locks belong to the parent, and SQLite would treat
them as the child's own. So the child keeps the connection for ever and does not touch it.

A fork waits until no thread is inside SQLite. Otherwise the child would inherit locked mutexes of SQLite, which nothing
would ever unlock.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import TYPE_CHECKING, Final

from walogs import Closed
from walogs.plugins import TurnLock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable


class Connection:
    """A connection that *connect* opens when it is first used. If *connect* raises, the next use tries again."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._name = name
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._closed_by = ""
        self.lock = TurnLock()
        """A thread holds this lock while it uses the connection."""
        EVERY.add(self)

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open_if_needed(self) -> sqlite3.Connection:
        """Return the connection, and open it if needed. The caller must hold the lock. Raises `Closed`.

        This is not a context manager that takes the lock, because that would be a generator. An interrupt in the
        library code around a generator would leave the lock taken for as long as the exception object exists.
        """
        if self._closed_by:
            raise Closed(f"{self._name} {self._closed_by}. Open the log again, in this process.")
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def let_go(self) -> None:
        """Close the connection if it is open. The next use opens it again."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def close(self) -> None:
        """Close the connection for ever. Later uses raise `Closed`."""
        with self.lock:
            self._closed_by = self._closed_by or "was closed"
            self.let_go()

    def disown(self) -> None:
        """Give up the connection in a forked child, without closing it. Later uses raise `Closed`."""
        connection, self._connection = self._connection, None
        self._closed_by = "was opened before a fork"
        if connection is not None:
            # With this extra reference, not even the end of the interpreter closes the connection.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


EVERY: Final[weakref.WeakSet[Connection]] = weakref.WeakSet()
FORK: Final = TurnLock()
"""Only one thread forks at a time. Two would each wait for a connection that the other has locked."""
TURN_SECONDS: Final = 0.05
waiting: Final[list[Connection]] = []
"""The connections that the current fork has locked."""


def before_fork() -> None:
    """Lock all connections. If one cannot be locked soon, unlock all and try again.

    The thread that holds it may be waiting for a connection that this thread has locked.
    """
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
