"""Read immutable segments whole, each with one request, and ahead of where they are needed.

A request to a remote store takes tens of milliseconds, however little it asks for. So whoever reads many segments says
beforehand which ones, in order, and the store can fetch several at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from walogs.protocols import is_appendable, read_many, segments_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from walogs.engine.log_source import LogSource
    from walogs.protocols import AppendableStore, SegmentStore

HELD: Final = 2
"""Keep this many segments: the one that is being read, and the one after it, whose header is needed with it."""


SMALL_BYTES: Final = 16 * 1024
"""A segment of this size in a store that appends is read at once, since each call of a store has its own cost."""


def read_small_at_once(source: LogSource, numbers: Sequence[int]) -> LogSource:
    """Return the same log, whose segments *numbers* are about to be read in this order, ascending or descending.

    Of each, the first SMALL_BYTES are read at once. Use the result as that of `read_ahead`, and only for a store that
    appends: any other is returned as it is.
    """
    if not is_appendable(source.store):
        return source
    return source.with_store(cast("SegmentStore", WholeSegments(source.store, numbers, SMALL_BYTES)))


def read_ahead(source: LogSource, numbers: Sequence[int], end: int | None = None) -> LogSource:
    """Return the same log, whose segments *numbers* are about to be read in this order, ascending or descending.

    Of each, the first *end* bytes are fetched, or all bytes if that is None. Use the result in one thread, and for one
    reading: it does not notice what changes meanwhile. An appendable store is returned as it is, because its segments
    are large and near.
    """
    store = source.store
    if isinstance(store, WholeSegments):
        store = store.origin
    elif is_appendable(store):
        return source
    return source.with_store(cast("SegmentStore", WholeSegments(store, numbers, end)))


class WholeSegments:
    """A store for reading, which fetches the segments that were announced, and asks its origin for all others."""

    def __init__(self, origin: SegmentStore, numbers: Sequence[int], end: int | None) -> None:
        self.origin = origin
        self.name = origin.name
        self.capabilities = origin.capabilities
        self._numbers = numbers if isinstance(numbers, range) else frozenset(numbers)
        self._step = 1 if len(numbers) < 2 or numbers[0] < numbers[1] else -1
        self._end = end
        self._ahead = read_many(origin, numbers, end)
        self._last: int | None = None
        """The number that was fetched last."""
        self._held: dict[int, tuple[int, bytes]] = {}
        """(size, bytes) by number."""

    def segment_name(self, number: int) -> str:
        return self.origin.segment_name(number)

    def segments(self) -> Sequence[int]:
        return self.origin.segments()

    def segments_after(self, number: int) -> Sequence[int]:
        return segments_after(self.origin, number)

    def size(self, number: int) -> int:
        held = self._fetched(number)
        return held[0] if held is not None else self.origin.size(number)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        held = self._fetched(number)
        if held is None:
            return self.origin.read(number, start, end)
        size, data = held
        if len(data) < size and (end is None or end > len(data)):
            return self.origin.read(number, start, end)
        return data if start == 0 and (end is None or end >= len(data)) else data[start:end]

    def read_durable_mark(self) -> bytes | None:
        return cast("AppendableStore", self.origin).read_durable_mark()

    def _fetched(self, number: int) -> tuple[int, bytes] | None:
        """Return (size, bytes) of a segment that was announced. None if it was not, or is not there any more."""
        held = self._held.get(number)
        if held is not None or number not in self._numbers:
            return held
        if self._last is not None and (number - self._last) * self._step <= 0:
            return None  # it was passed before
        for fetched, size, data in self._ahead:
            self._last = fetched
            if data is not None:
                self._held = dict([*self._held.items()][1 - HELD :])
                self._held[fetched] = size, data
            if fetched == number:
                return self._held.get(number)
        return None
