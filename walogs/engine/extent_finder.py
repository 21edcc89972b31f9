"""Find the extents that hold a range of entries, in a log that is read beside its writer."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from walogs.engine.extent_reader import Extent
from walogs.engine.recovery import end_in_doubt, header_in, last_frame
from walogs.engine.segment_scan import SegmentScan
from walogs.engine.segments import accepted_seal
from walogs.engine.time_search import created_before
from walogs.engine.verdict import end_problem, link_problem
from walogs.engine.whole_segments import read_ahead
from walogs.formats.segment_format import RUN_BYTES, Places
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import ReadableEnd
    from walogs.formats.segment_format import SegmentHeader

HEADERS_KEPT: Final = 1024
"""Remember at most this many segment headers, and at most this many checked segments."""


class ExtentFinder:
    """Finds extents, and remembers what it has learnt of segments, only to save time."""

    def __init__(self, source: LogSource) -> None:
        self._source = source
        self._headers: dict[int, SegmentHeader] = {}
        self._completed: dict[int, Extent] = {}
        """The extents of completed segments that have been checked."""
        self._places = Places()
        """Places in the newest segment where a reading can begin."""
        self._places_in: SegmentHeader | None = None

    def extents(self, readable: ReadableEnd, lsn: int, end: int, *, to_end: bool) -> Iterator[tuple[LogSource, Extent]]:
        """Yield the segments that hold [lsn, end), each as far as it can be read, and the source to read it through.

        With *to_end*, yield also the segments without an entry that follow, and read the bytes after the last entry.
        What was appended after *readable* was observed is left out. Raises TRANSIENT_ERRORS.
        """
        to_end = to_end and end == readable.last_lsn + 1
        numbers = self._numbers_of(readable, lsn, end)
        source = read_ahead(self._source, numbers)
        for number in numbers:
            if number == readable.newest.number:
                extent = self._newest_extent(readable, to_end=to_end)
            else:
                extent = self._completed_extent(source, readable, number)
            if extent.header.first_lsn >= end and not to_end:
                return
            has_frames = extent.end > self._source.format.traits.header_bytes
            if extent.last_lsn >= max(extent.header.first_lsn, lsn) or (extent.is_walked_out and has_frames):
                yield source, extent

    def _numbers_of(self, readable: ReadableEnd, lsn: int, end: int) -> range:
        """Return the numbers of the segments that hold [lsn, end)."""
        numbers, source = readable.numbers, self._source

        def first_lsn(number: int) -> int:
            return self._header(source, readable, number).first_lsn

        # Most readings begin with the oldest segment, and each step of a search can be a request.
        if lsn <= readable.log_first_lsn and len(numbers) > 1 and first_lsn(numbers[1]) > lsn:
            at = 0
        else:
            at = bisect_left(numbers, lsn, key=first_lsn)
        # If a segment begins at *lsn*, *at* is the oldest such segment, so that an empty one is not skipped.
        if at == len(numbers) or first_lsn(numbers[at]) > lsn:
            at = max(at - 1, 0)
        if end > readable.last_lsn or is_appendable(source.store):
            return numbers[at:]  # segments that come after the range cost nothing, unless they are fetched ahead
        return numbers[at : bisect_left(numbers, end, key=first_lsn)]

    def lsns_at(self, readable: ReadableEnd, time_ns: int) -> tuple[int, int]:
        """Return [first LSN, LSN after the last) of the newest segment that was created before *time_ns*.

        If none was, return the first LSN of the log twice. Raises TRANSIENT_ERRORS.
        """
        numbers, first_lsn = readable.numbers, readable.log_first_lsn

        def created_ns(number: int) -> int:
            return self._header(self._source, readable, number).created_ns

        position = created_before(numbers, created_ns, time_ns)
        if position < 0:
            return first_lsn, first_lsn
        number, after = numbers[position], readable.last_lsn + 1
        if number != readable.newest.number:
            after = self._header(self._source, readable, number + 1).first_lsn
        return max(self._header(self._source, readable, number).first_lsn, first_lsn), max(after, first_lsn)

    def add_place(self, readable: ReadableEnd) -> None:
        """Remember this end of the newest segment, if it is far enough from the last place in it."""
        is_far = readable.newest == self._places_in and readable.end >= self._places.offsets[-1] + RUN_BYTES
        # With two places of the same LSN, a reading would skip the frames between them.
        if is_far and readable.last_lsn >= self._places.first_lsns[-1]:
            self._places.add_place(readable.end, readable.last_lsn + 1)

    def _newest_extent(self, readable: ReadableEnd, *, to_end: bool) -> Extent:
        newest = readable.newest
        if newest != self._places_in:
            self._places_in, self._places = newest, Places()
            self._places.add_place(self._source.format.traits.header_bytes, newest.first_lsn)
            if readable.last_lsn >= newest.first_lsn:
                self._places.add_place(readable.end, readable.last_lsn + 1)
        return newest_extent(readable, self._places, is_walked_out=to_end)

    def _completed_extent(self, source: LogSource, readable: ReadableEnd, number: int) -> Extent:
        extent = self._completed.get(number)
        if extent is None:
            header, successor = self._header(source, readable, number), self._header(source, readable, number + 1)
            extent = completed_extent(source, header, successor)
            if len(self._completed) >= HEADERS_KEPT:
                self._completed.clear()
            self._completed[number] = extent
        return extent

    def _header(self, source: LogSource, readable: ReadableEnd, number: int) -> SegmentHeader:
        header = self._headers.get(number)
        if header is None:
            if len(self._headers) >= HEADERS_KEPT:
                self._headers.clear()
            older = range(readable.numbers.start, number)
            header = self._headers[number] = header_in(source, older, number, readable.log_first_lsn)
        return header


def newest_extent(readable: ReadableEnd, places: Places | None, *, is_walked_out: bool) -> Extent:
    """Return what can be read of the newest segment."""
    return Extent(
        header=readable.newest,
        last_lsn=readable.last_lsn,
        end=readable.end,
        seal_end=0,
        places=places,
        link=readable.link,
        is_walked_out=is_walked_out,
    )


def completed_extent(source: LogSource, header: SegmentHeader, successor: SegmentHeader) -> Extent:
    """Return what can be read of a completed segment: everything up to the first LSN of its successor.

    All of it is durable. Damage in it is found when it is read. Raises `Corrupt` if the successor was not made after
    this segment, and `SegmentNotFound` if the segment was removed.
    """
    why = link_problem(header, successor)
    if why is not None:
        raise source.corrupt(why, header.number, 0, header.first_lsn)
    size, last_lsn = source.store.size(header.number), successor.first_lsn - 1
    if source.format.traits.has_seal and is_appendable(source.store):
        seal = accepted_seal(source, header, successor, size)
        if seal is not None:
            refuse_other_end(source, header, successor, *last_frame(source, header, seal), seal.offset)
            return Extent(
                header=header, last_lsn=last_lsn, end=seal.offset, seal_end=seal.end, places=None, link=seal.link
            )
    scan = SegmentScan(source, header, size)
    refuse_other_end(source, header, successor, scan.last_lsn, scan.link, scan.end)
    return Extent(
        header=header, last_lsn=last_lsn, end=size, seal_end=0, places=scan.runs, link=successor.previous_link
    )


def refuse_other_end(
    source: LogSource, header: SegmentHeader, successor: SegmentHeader, last_lsn: int, link: bytes | None, end: int
) -> None:
    """Raise `Corrupt` if the segment has enough intact entries, and they are not those that its successor follows."""
    why = end_problem(last_lsn, link, successor)
    if why is not None and last_lsn >= successor.first_lsn - 1:
        raise source.corrupt(why, header.number, end, end_in_doubt(source, header, successor, last_lsn, end))
