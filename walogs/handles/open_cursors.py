"""The open cursors of a handle. Closing the handle closes them, also one that is being opened at that moment."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from walogs.errors import Closed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.handles.cursor import Cursor


class OpenCursors:
    """The open cursors of a handle. A cursor that is dropped leaves by itself."""

    def __init__(self) -> None:
        self._references: set[weakref.ref[Cursor]] = set()
        """A set is copied in one step, and a `WeakSet` is not."""
        self._is_closed = False

    def add(self, cursor: Cursor) -> Cursor:
        """Add a new cursor and return it. Raise `Closed` if the handle was closed meanwhile: so is the cursor then."""
        self._references.add(weakref.ref(cursor, self._references.discard))
        if self._is_closed:  # asked after the cursor was added: otherwise neither this nor `close` might close it
            cursor.close()
            raise Closed(f"the log was closed while its cursor {cursor.name!r} was opened. Open the log again")
        return cursor

    def __iter__(self) -> Iterator[Cursor]:
        found = [reference() for reference in list(self._references)]
        return (cursor for cursor in found if cursor is not None)

    def close(self) -> None:
        self._is_closed = True
        for cursor in self:
            cursor.close()
