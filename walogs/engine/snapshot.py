"""What a writer's own reader sees: the completed segments, and what the active segment held at one moment."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from walogs.engine.extent_reader import extent_of
from walogs.engine.segments import position_of
from walogs.engine.time_search import created_before, first_commit_since

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from walogs.engine.extent_reader import BuildColumns, Extent, ExtentReader
    from walogs.engine.segments import CompletedSegment
    from walogs.formats.segment_format import SegmentHeader
    from walogs.types import Commit

T = TypeVar("T")


class Snapshot:
    """What could be read at one moment: the completed segments, and what the active segment held by then."""

    __slots__ = ("_active", "_completed", "_count", "_reader")

    def __init__(self, reader: ExtentReader, completed: Sequence[CompletedSegment], active: Extent | None) -> None:
        self._reader = reader
        self._completed = completed  # this list only grows, because a checkpoint makes a new one
        self._count = len(completed)
        self._active = active

    def entries(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Return an iterator over (LSN, data) for each entry of [start, stop). No Python statement runs for each."""
        return chain.from_iterable(self._numbered_entries(start, stop))

    def _numbered_entries(self, start: int, stop: int) -> Iterator[enumerate[bytes]]:
        reader = self._reading_ahead(start, stop)
        for extent in self.extents(start, stop):
            for first_lsn, _, entries in reader.entries(extent, start, stop):
                yield enumerate(entries, first_lsn)

    def entry(self, lsn: int) -> bytes | None:
        """Return the data of one entry, or None if no entry has that LSN."""
        for extent in self.extents(lsn, lsn + 1):
            return self._reader.entry(extent, lsn)
        return None

    def commits(self, start: int, stop: int) -> Iterator[Commit]:
        """Return an iterator over every commit that holds an entry of [start, stop), with all of its LSNs."""
        return chain.from_iterable(self._grouped_commits(start, stop))

    def _grouped_commits(self, start: int, stop: int) -> Iterator[list[Commit]]:
        reader = self._reading_ahead(start, stop)
        for extent in self.extents(start, stop):
            for _, _, commits in reader.commits(extent, start, stop):
                yield commits

    def columns(self, start: int, stop: int, build: BuildColumns[T]) -> Iterator[T]:
        """Yield what *build* makes of the frames that hold an entry of [start, stop). See `ExtentReader.columns`."""
        reader = self._reading_ahead(start, stop)
        for extent in self.extents(start, stop):
            for _, _, columns in reader.columns(extent, start, stop, build):
                yield columns

    def lsn_at(self, time_ns: int, first_lsn: int, next_lsn: int) -> int:
        """Return the LSN of the first entry of [first_lsn, next_lsn) that was committed at *time_ns* or later.

        Return *next_lsn* if there is none. *time_ns* is Unix time in nanoseconds.
        """
        completed, count, active = self._completed, self._count, self._active

        def header(position: int) -> SegmentHeader:
            return active.header if active is not None and position == count else completed[position].header

        position = created_before(range(count + (active is not None)), lambda at: header(at).created_ns, time_ns)
        start = after = first_lsn
        if position >= 0:
            start = header(position).first_lsn
            after = next_lsn if position == count else completed[position].last_lsn + 1
        return first_commit_since(self.commits, time_ns, start, after, next_lsn)

    def _reading_ahead(self, start: int, stop: int) -> ExtentReader:
        """Return a reader that fetches the segments with [start, stop) ahead, if they are immutable."""
        if self._active is not None:  # only a store that appends has an active segment
            return self._reader
        first, after = (position_of(self._completed, lsn, self._count) for lsn in (start, stop))
        numbers = [segment.header.number for segment in self._completed[first : min(after + 1, self._count)]]
        return self._reader.reading_ahead(numbers)

    def extents(self, start: int, stop: int) -> Iterator[Extent]:
        """Yield the extents that hold [start, stop), in order. Raise `Checkpointed` or `Corrupt` if one is missing."""
        expected = start
        for extent in self._from(start):
            if expected >= stop:
                return
            if extent.header.first_lsn > expected:
                raise self._reader.absent(expected, None, extent.header.first_lsn - 1)
            yield extent
            expected = extent.last_lsn + 1

    def _from(self, lsn: int) -> Iterator[Extent]:
        """Yield each extent that holds entries, from the one with *lsn* on."""
        for position in range(position_of(self._completed, lsn, self._count), self._count):
            segment = self._completed[position]
            if segment.last_lsn >= segment.header.first_lsn:
                yield extent_of(segment)
        active = self._active
        if active is not None and active.last_lsn >= active.header.first_lsn:
            yield active
