"""Handing out entries: sealed segments run by run with one check each, others frame by frame with every check on.

Needs no lock: it reads what was there when it was asked, and frames never move. Memory is bounded by one frame and a
chunk of runs, whatever the size of the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.engine.segments import position_of, read_seal
from walogs.engine.walk import CHUNK_BYTES, SeenRun, Walk
from walogs.errors import Checkpointed, Closed, Missing
from walogs.formats.crc32 import crc32
from walogs.formats.segment_format import FrameHeader, Malformed, RunIndex, SegmentHeader
from walogs.protocols import FrameContext
from walogs.types import Commit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from walogs.engine.segments import CompletedSegment
    from walogs.engine.source import Source

SEAL_KEPT: Final = 16
"""So many run indexes of sealed segments are kept, so that reading entries here and there reads each once."""


class Extent(NamedTuple):
    """The part of a segment that may be read: nothing at or after `end` is looked at."""

    header: SegmentHeader
    last_lsn: int
    end: int
    seal_end: int
    runs: RunIndex | None


def extent_of(segment: CompletedSegment) -> Extent:
    return Extent(segment.header, segment.last_lsn, segment.end, segment.seal_end, segment.runs)


class Snapshot:
    """What could be read at one moment: the completed segments and the part of the active one written by then."""

    __slots__ = ("_active", "_completed", "_count", "_reading")

    def __init__(self, reading: Reading, completed: Sequence[CompletedSegment], active: Extent | None) -> None:
        self._reading = reading
        self._completed = completed  # only ever added to: a checkpoint makes another
        self._count = len(completed)
        self._active = active

    def extents(self, start: int, stop: int) -> Iterator[Extent]:
        """The extents that hold [start, stop), in order."""
        if start >= stop:
            return
        for position in range(position_of(self._completed, start, self._count), self._count):
            segment = self._completed[position]
            if segment.header.first_lsn >= stop:
                return
            if segment.last_lsn >= segment.header.first_lsn:
                yield extent_of(segment)
        active = self._active
        if active is not None and active.header.first_lsn < stop and active.last_lsn >= active.header.first_lsn:
            yield active

    def entries(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """(LSN, data) of [start, stop)."""
        for extent in self.extents(start, stop):
            for first, payloads in self._reading.payloads(extent, start, stop):
                if first < start or first + len(payloads) > stop:
                    kept = payloads[max(start - first, 0) : stop - first]
                    yield from enumerate(kept, max(first, start))
                else:
                    yield from enumerate(payloads, first)

    def entry(self, lsn: int) -> bytes | None:
        """The data of one entry; None: there is none of that LSN."""
        for extent in self.extents(lsn, lsn + 1):
            return self._reading.entry(extent, lsn)
        return None

    def commits(self, start: int, stop: int) -> Iterator[Commit]:
        """Every commit that holds an entry of [start, stop), whole."""
        for extent in self.extents(start, stop):
            for header in self._reading.frame_headers(extent, start, stop):
                yield Commit(header.first_lsn, header.first_lsn + header.entries - 1, header.time_ns)


class Reading:
    """Reads extents of one log. Called from any thread; `base_lsn` tells the base as it is now."""

    def __init__(self, source: Source, base_lsn: Callable[[], int]) -> None:
        self._source = source
        self._base_lsn = base_lsn
        self._seals: dict[int, RunIndex] = {}
        self.closed = False

    def payloads(self, extent: Extent, start: int, stop: int) -> Iterator[tuple[int, list[bytes]]]:
        """(first LSN, entries) of the runs or frames that hold [start, stop); the first and last may hold more."""
        codec = self._source.codec_of(extent.header)
        identity, check_bytes = codec.identity, codec.check_bytes
        for run, first_lsn, offset in self._pieces(extent, start, stop):
            if self.closed:
                raise Closed(f"{self._source.store.name} was closed while it was being read")
            try:
                if identity:
                    yield first_lsn, self._source.format.payloads(run, check_bytes)
                else:
                    yield from self._decoded(extent, run, start, stop)
            except Malformed as error:
                raise self._source.corrupt(str(error), extent.header.number, offset, first_lsn) from None

    def entry(self, extent: Extent, lsn: int) -> bytes | None:
        """One entry, without taking apart the rest of its run."""
        codec = self._source.codec_of(extent.header)
        if not codec.identity:
            found = self.payloads(extent, lsn, lsn + 1)
            return next((data[lsn - first] for first, data in found if lsn - first < len(data)), None)
        for run, first_lsn, offset in self._pieces(extent, lsn, lsn + 1):
            try:
                data = self._source.format.entry(run, codec.check_bytes, lsn - first_lsn)
            except Malformed as error:
                raise self._source.corrupt(str(error), extent.header.number, offset, first_lsn) from None
            if data is not None:
                return data
        return None

    def frame_headers(self, extent: Extent, start: int, stop: int) -> Iterator[FrameHeader]:
        """The headers of the frames that hold entries of [start, stop)."""
        for run, _, _ in self._pieces(extent, start, stop):
            for header, _ in self._source.format.headers(run):
                if header.entries and header.first_lsn < stop and header.first_lsn + header.entries > start:
                    yield header

    def _decoded(self, extent: Extent, run: bytes, start: int, stop: int) -> Iterator[tuple[int, list[bytes]]]:
        """Frame by frame, and none that is not asked for: where one cannot be decoded, those beside it can."""
        form, codec = self._source.format, self._source.codec_of(extent.header)
        for header, index in form.headers(run):
            if header.entries and header.first_lsn < stop and header.first_lsn + header.entries > start:
                stored = form.stored(run, index, header, codec.check_bytes)
                body = codec.decode(stored, context_of(self._source, extent.header, header))
                yield header.first_lsn, form.split(body, header.entries)

    def _pieces(self, extent: Extent, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
        """(whole intact frames, first LSN, offset), in order, that hold [start, stop)."""
        try:
            runs = self._run_index(extent)
            begin, lsn = self._source.format.traits.header_bytes, extent.header.first_lsn
            if runs is not None and len(runs):
                at = runs.run_with(max(start, lsn))
                if extent.seal_end:
                    yield from self._sealed_runs(extent, runs, at, stop)
                    return
                begin, lsn = runs.offsets[at], runs.first_lsns[at]
            yield from self._frames(extent, begin, extent.end, lsn, stop)
        except Missing:
            base = self._base_lsn()
            message = f"entry {max(start, extent.header.first_lsn)} was checkpointed while it was being read"
            raise Checkpointed(f"{message}; the log begins at {base}", lsn=start, base_lsn=base) from None

    def _run_index(self, extent: Extent) -> RunIndex | None:
        if not extent.seal_end:
            return extent.runs
        number = extent.header.number
        runs = self._seals.get(number)
        if runs is None:
            seal = read_seal(self._source, extent.header, extent.end, extent.seal_end)
            if seal is None:  # damaged since it was accepted: only a cache
                return None
            runs = seal.runs
            kept = list(self._seals.items())[1 - SEAL_KEPT :]
            self._seals = dict((*kept, (number, runs)))  # another one: threads may be reading the one that was there
        return runs

    def _sealed_runs(self, extent: Extent, runs: RunIndex, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
        number, read = extent.header.number, self._source.store.read
        offsets, first_lsns, crcs = runs.offsets, runs.first_lsns, runs.crcs
        count = len(offsets)
        while at < count and first_lsns[at] < stop:
            start, last = offsets[at], at + 1
            while last < count and offsets[last] - start < CHUNK_BYTES and first_lsns[last] < stop:
                last += 1
            chunk = read(number, start, offsets[last] if last < count else extent.end)
            for k in range(at, last):
                end = offsets[k + 1] if k + 1 < count else extent.end
                run = chunk[offsets[k] - start : end - start]
                if crc32(run, 0) == crcs[k] and len(run) == end - offsets[k]:
                    yield run, first_lsns[k], offsets[k]
                else:  # damaged, padding perhaps: frame by frame, and those are judged
                    upto = first_lsns[k + 1] if k + 1 < count else extent.last_lsn + 1
                    yield from self._frames(extent, offsets[k], end, first_lsns[k], min(upto, stop))
            at = last

    def _frames(self, extent: Extent, begin: int, end: int, lsn: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
        walk = Walk(self._source, extent.header, begin, end, lsn)
        upto = min(stop, extent.last_lsn + 1)
        for seen in walk.runs():
            if walk.expected_lsn >= upto:
                return
            if isinstance(seen, SeenRun):
                yield bytes(seen.frames()), walk.expected_lsn, seen.offset
            elif seen.header.entries:
                yield seen.frame(), walk.expected_lsn, seen.header.offset
        if walk.expected_lsn < upto:
            raise self._source.corrupt(walk.stop.value, extent.header.number, walk.offset, walk.expected_lsn)


def context_of(source: Source, segment: SegmentHeader, header: FrameHeader) -> FrameContext:
    """Where a frame is, for the codec."""
    return FrameContext(
        segment.log_id,
        segment.number,
        segment.salt,
        header.offset,
        header.first_lsn,
        header.entries,
        source.format.traits.body_bytes_max,
    )
