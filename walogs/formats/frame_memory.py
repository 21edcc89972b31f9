"""The memory in which one writer puts its batches together, one after another.

New memory for each batch would cost more than the copying: malloc returns a large piece to the system each time, and
the system fills the next one with zeros, page by page.
"""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT_BYTES_MAX: Final = 1 << 20
"""A larger frame gets memory of its own, so that a log that is open does not keep it."""


class QuietMemory(BytesIO):
    """Memory that may be viewed when it is collected together with its views, as after an error in the middle of a
    commit. Since Python 3.13, a `BytesIO` complains of that on stderr."""

    def close(self) -> None:
        with suppress(BufferError):
            super().close()


class FrameMemory:
    """Joins bytes into memory that is used again as soon as nothing refers to what was joined before."""

    _memory: QuietMemory | None = None

    def join(self, parts: Sequence[bytes], size: int) -> memoryview | bytearray:
        """Return these parts, which have *size* bytes together, as one object that can be changed.

        `BytesIO` refuses to be written to as long as there is a view of it. So what a store or a traceback keeps never
        changes under its eyes: this then takes new memory.
        """
        if size > KEPT_BYTES_MAX:
            return bytearray().join(parts)
        memory = self._memory
        if memory is None or is_viewed(memory):
            self._memory = memory = QuietMemory()
        memory.seek(0)
        memory.writelines(parts)
        return memory.getbuffer()[:size]


def is_viewed(memory: BytesIO) -> bool:
    """Return whether something refers to a part of this memory."""
    try:
        memory.write(b"")
    except BufferError:
        return True
    return False
