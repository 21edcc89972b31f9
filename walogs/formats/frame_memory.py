"""The memory in which one writer puts its batches together, one after another.

New memory for each batch would cost more than the copying: malloc returns a large piece to the system each time, and
the system fills the next one with zeros, page by page.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT_BYTES_MAX: Final = 1 << 20
"""A larger frame gets memory of its own, so that a log that is open does not keep it."""


class FrameMemory:
    """Joins bytes into memory that is used again as soon as nothing refers to what was joined before.

    The parts go through a `BytesIO`, of which there is never a view: if one were collected together with its buffer,
    Python 3.12 would crash. One more copy costs less than new memory.
    """

    _parts: BytesIO | None = None
    _frame = bytearray()

    def join(self, parts: Sequence[bytes | memoryview], size: int) -> memoryview | bytearray:
        """Return these parts, which have *size* bytes together, as one object that can be changed.

        What a store or a traceback still refers to never changes under its eyes: this then takes new memory.
        """
        if size > KEPT_BYTES_MAX:
            return bytearray().join(parts)
        gathered = self._parts
        if gathered is None:
            self._parts = gathered = BytesIO()
        gathered.seek(0)
        gathered.writelines(parts)
        if len(self._frame) < size or is_viewed(self._frame):
            self._frame = bytearray(size)
        view = memoryview(self._frame)[:size]
        gathered.seek(0)
        gathered.readinto(view)
        return view


def is_viewed(frame: bytearray) -> bool:
    """Return whether something refers to these bytes. Python then refuses to change how many they are."""
    try:
        frame.append(0)
    except BufferError:
        return True
    frame.pop()
    return False
