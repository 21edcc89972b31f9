"""The contract of a store that keeps cursors: the named positions of the consumers of a log.

Its members are optional: a store without them can do everything else. `Wal.cursor` and `WalReader.cursor` need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CURSOR_BYTES", "CursorLock", "CursorStore"]

CURSOR_BYTES: Final = 64
"""The size of the value of a cursor, in bytes."""


class CursorLock(Protocol):
    """The lock of one cursor. An object holds it between `take` and `release`.

    It is freed when its process ends, in whatever way. A forked child does not have it, and cannot free it.
    """

    def take(self) -> None:
        """Take the lock. Raise `Locked` if another owner has it, in this process too: this does not wait.

        After any other error, and after an interrupt, this object can hold the lock; `release` then frees it.
        """
        ...

    def release(self) -> None:
        """Free the lock if this object holds it. A second call does nothing."""
        ...


@runtime_checkable
class CursorStore(Protocol):
    """A store that keeps a small value for each cursor, beside the segments. It never interprets the value.

    No member needs `acquire()`, because a consumer can be another process than the writer. Several threads can call the
    members at the same time. Only the owner of a cursor, who holds its lock, writes or removes its value. The names are
    1 to 63 of the characters `A-Z a-z 0-9 . _ -`. They begin with a letter or a digit, and end neither with `.lock` nor
    with `.tmp`.

    A store can notice that the place in which an owner has locked a cursor through this object is no longer the one
    that it works in. Then each call about this cursor raises `UnsafeStore` and changes nothing, until the owner has
    freed that lock.
    """

    def cursor_name(self, name: str) -> str:
        """Return the name of this cursor's value in messages, such as `cursors/mailer`."""
        ...

    def cursors(self) -> Sequence[str]:
        """Return the names of the cursors that have a value, ascending. This changes nothing."""
        ...

    def read_cursor(self, name: str, *, durable: bool = False) -> bytes | None:
        """Return the value that was written last, or None if there is none. This changes no value.

        A value that was damaged is returned as it is. If *durable* is true, return a value that no power cut takes
        back: after one, this value or one that was written later is there.
        """
        ...

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        """Put these 64 bytes in the place of the value. Every reader finds the old value or the new one, as a whole.

        If *durable* is true, the value is durable on return. Otherwise the call must cost almost nothing, and a power
        cut leaves a value that was written since the last durable one, or that one. If the cursor has no value yet, the
        first one is always durable. Raise `NoSpace` if there is no space: nothing has changed. After any other
        exception, the cursor has the old value or the new one.
        """
        ...

    def remove_cursor(self, name: str) -> None:
        """Remove the value. It is durably gone on return. Do nothing if there is none."""
        ...

    def cursor_lock(self, name: str) -> CursorLock:
        """Return an object that can take the lock of this cursor. Nothing is locked or changed yet."""
        ...
