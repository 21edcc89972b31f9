"""The open cursors of a handle. Closing the handle closes them, also one that is being opened at that moment."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

from walogs.errors import Closed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.handles.cursor import Cursor
    from walogs.handles.reader import WalReader
    from walogs.handles.wal import Wal


class OpenCursors:
    """The open cursors of a handle. A cursor that is dropped leaves by itself."""

    def __init__(self) -> None:
        self._references: set[weakref.ref[Cursor]] = set()
        """A set is copied in one step, and a `WeakSet` is not."""

    def add(self, cursor: Cursor, handle: Wal | WalReader) -> Cursor:
        """Add a new cursor and return it. Raise `Closed` if the handle was closed meanwhile: so is the cursor then."""
        self._references.add(weakref.ref(cursor, self._references.discard))
        if handle.closed:  # asked after the cursor was added: otherwise neither this nor `closing` might close it
            cursor.close()
            raise Closed(f"the log was closed while its cursor {cursor.name!r} was opened. Open the log again")
        return cursor

    def __iter__(self) -> Iterator[Cursor]:
        found = [reference() for reference in list(self._references)]
        return (cursor for cursor in found if cursor is not None)

    @contextmanager
    def closing(self, handle: Wal | WalReader) -> Iterator[None]:
        """Close the cursors, and then the handle, in the block. If the handle is not closed, it can open cursors again.

        Raise `Reentered` if this thread is in the middle of a commit of a cursor: then nothing was closed.
        """
        for cursor in self:
            cursor._refuse_in_commit()
        self._close_all()
        try:
            yield
        finally:
            if handle.closed:
                self._close_all()  # those that were opened meanwhile

    def _close_all(self) -> None:
        for cursor in self:
            cursor.close()
