"""Read entries and commits from the extents of a log: run by run with one CRC each where the CRCs are known, and
otherwise frame by frame.

Reading needs no lock, because it reads only what was there when it began, and frames never move. Its memory is bounded
by one frame and a chunk of runs, whatever the size of the log.
"""

from __future__ import annotations

from contextlib import suppress
from functools import reduce
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar, cast

from walogs.engine.frame_reader import FrameReader, link_said_at, lsn_of_last_commit
from walogs.engine.segments import read_seal
from walogs.engine.whole_segments import read_ahead
from walogs.errors import Checkpointed, Closed, Corrupt, SegmentNotFound
from walogs.formats.crc32 import crc32
from walogs.formats.segment_format import (
    Bodies,
    FrameHeader,
    Malformed,
    Places,
    RunIndex,
    SegmentHeader,
    StopReason,
    lengths_in_two_bytes,
)
from walogs.protocols import FrameContext, authenticates
from walogs.types import Commit

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from walogs.engine.frame_reader import ReadRun
    from walogs.engine.log_source import LogSource
    from walogs.engine.segments import CompletedSegment
    from walogs.formats.segment_format import AnyBodies
    from walogs.protocols import Codec

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LOOKS_MAX: Final = 10
"""Look at the newest segment at most this often, while checkpoints remove it in the meantime."""
READ_BYTES: Final = 1 << 18
"""Runs are read so many bytes at a time. They are still in the processor's cache when they are cut into entries."""
COPIED_BYTES: Final = 14 << 16
"""Runs of single entries are read so many bytes at a time if they are to become columns. The calls that make columns
cost much whatever they are about, and the data is copied, so that no column keeps the chunk in memory. A chunk stays
below 1 MiB, because pyarrow would get the memory for a larger one from the system each time."""
SEAL_KEPT: Final = 16
"""Keep the run indexes of this many sealed segments, so that reading single entries reads each SEAL only once."""


class Extent(NamedTuple):
    """The part of a segment that may be read. Nothing at or after `end` is read."""

    header: SegmentHeader
    last_lsn: int
    end: int
    seal_end: int
    places: Places | None
    """Where a reading can begin. A `RunIndex` also has the CRC of each run. None if it is in the SEAL."""
    link: bytes | None
    """Link of the last frame with entries before `end`, or its first bytes. None if it is not known."""
    is_walked_out: bool = False
    """Whether the frames between the last entry and `end` must be intact too."""


def extent_of(segment: CompletedSegment) -> Extent:
    return Extent(
        header=segment.header,
        last_lsn=segment.last_lsn,
        end=segment.end,
        seal_end=segment.seal_end,
        places=segment.runs,
        link=segment.link,
    )


class IntactFrames(NamedTuple):
    """Whole frames that were checked, one after another."""

    data: bytes
    first_lsn: int
    offset: int
    """Offset in the segment."""
    lengths: array[int] | None = None
    """The stored lengths of the entries, if they are known as a `RunIndex` has them."""


class BuildColumns(Protocol[T_co]):
    """What makes columns of the bodies of frames. See `ExtentReader.columns`."""

    def __call__(self, bodies: AnyBodies, first_lsn: int, start: int, stop: int, /) -> T_co: ...


class ExtentReader:
    """Reads the extents of one log, from any thread. `log_first_lsn` returns the log's present first LSN."""

    def __init__(self, source: LogSource, log_first_lsn: Callable[[], int]) -> None:
        self._source = source
        self._log_first_lsn = log_first_lsn
        self._seals: dict[int, RunIndex] = {}
        self._closings: list[None] = []
        """Empty until the log is closed. Readers of one log share it."""

    def over(self, source: LogSource) -> ExtentReader:
        """Return a reader of the same log that reads through *source*. It is closed together with this one."""
        if source is self._source:
            return self
        other = ExtentReader(source, self._log_first_lsn)
        other._closings = self._closings
        return other

    def reading_ahead(self, numbers: Sequence[int]) -> ExtentReader:
        """Return a reader of the same log, for one reading of these segments in this order."""
        return self.over(read_ahead(self._source, numbers))

    def close(self) -> None:
        """Let every reading end with `Closed`."""
        self._closings.append(None)

    def entries(self, extent: Extent, start: int, stop: int) -> Iterator[tuple[int, int, list[bytes]]]:
        """Yield (first LSN, LSN after the last, entries), in order, for the entries of [start, stop)."""
        for first_lsn, entries in self._runs(extent, start, stop):
            next_lsn = first_lsn + len(entries)
            if first_lsn >= start and next_lsn <= stop:
                yield first_lsn, next_lsn, entries
            elif first_lsn < stop and next_lsn > start:  # a run can hold others too
                kept = entries[max(start - first_lsn, 0) : stop - first_lsn]
                yield max(start, first_lsn), min(stop, next_lsn), kept

    def commits(self, extent: Extent, start: int, stop: int) -> Iterator[tuple[int, int, list[Commit]]]:
        """Yield (first LSN, LSN after the last, commits), in order, for commits that hold an entry of [start, stop)."""
        for frames in self._frames(extent, start, stop):
            try:
                found = self._source.format.commits(frames.data)
            except Malformed as error:
                raise self._corrupt(extent, frames, error) from None
            if found and (found[0].first_lsn < start or found[-1].last_lsn >= stop):  # a run can hold others too
                found = [commit for commit in found if commit.first_lsn < stop and commit.last_lsn >= start]
            if found:
                yield found[0].first_lsn, found[-1].last_lsn + 1, found

    def columns(self, extent: Extent, start: int, stop: int, build: BuildColumns[T]) -> Iterator[tuple[int, int, T]]:
        """Yield (first LSN, LSN after the last, what *build* makes of frames), in order, for frames with an entry of
        [start, stop).

        *build* gets frames that were checked together, the LSN of their first entry, and [start, stop). It raises
        `Malformed` for an offset table that no writer makes.
        """
        codec = self._source.codec_of(extent.header)

        def built(frames: IntactFrames) -> list[tuple[int, int, T]]:
            found = []
            for first_lsn, bodies in self._bodies(extent, frames, start, stop):
                next_lsn = first_lsn + bodies.entries
                if first_lsn < stop and next_lsn > start:
                    found.append((max(start, first_lsn), min(stop, next_lsn), build(bodies, first_lsn, start, stop)))
            return found

        for frames in self._frames(extent, start, stop, lends=True):
            for part in (frames,) if codec.identity else self._apart(extent, frames):
                yield from chain.from_iterable(self._up_to_bad_frame(extent, part, built))

    def _bodies(self, extent: Extent, frames: IntactFrames, start: int, stop: int) -> Iterable[tuple[int, AnyBodies]]:
        """Return (first LSN, bodies) of these frames. If the codec stores bodies as they are, they come all at once.
        Otherwise, each body that holds entries of [start, stop) is decoded."""
        codec = self._source.codec_of(extent.header)
        if codec.identity:
            return ((frames.first_lsn, self._source.format.bodies(frames.data, codec.check_bytes, frames.lengths)),)
        return (
            (
                header.first_lsn,
                Bodies(buffer=body, counts=[header.entries], starts=[0], ends=[len(body)], times_ns=[header.time_ns]),
            )
            for header, body in self._decoded(extent, frames.data, start, stop)
        )

    def commit_sizes(self, extent: Extent, start: int, stop: int) -> Iterator[tuple[Commit, int]]:
        """Yield (commit, the bytes of its frame), in order, for commits that hold an entry of [start, stop)."""
        form = self._source.format
        for frames in self._frames(extent, start, stop):
            for header, _ in form.headers(frames.data):
                next_lsn = header.first_lsn + header.entries
                if header.entries and header.first_lsn < stop and next_lsn > start:
                    commit = Commit(header.first_lsn, next_lsn - 1, header.time_ns)
                    yield commit, form.frame_end(header) - header.offset

    def place_of(self, extent: Extent, lsn: int) -> tuple[int, int | None]:
        """Return the offset of the frame with that entry, and the time of its commit in Unix nanoseconds.

        If the extent does not hold the entry, return (the offset of its end, None).
        """
        for frames in self._frames(extent, lsn, lsn + 1):
            for header, index in self._source.format.headers(frames.data):
                if header.entries and header.first_lsn <= lsn < header.first_lsn + header.entries:
                    return frames.offset + index, header.time_ns
        return extent.end, None

    def entry(self, extent: Extent, lsn: int) -> bytes | None:
        """Return the data of one entry. The rest of its run is not split into entries.

        Return None if the extent does not reach so far. Raise `Corrupt` if it does, and no frame holds the entry.
        """
        codec, header = self._source.codec_of(extent.header), extent.header
        data = self._entry_in_runs(extent, lsn, codec)
        if data is None and header.first_lsn <= lsn <= extent.last_lsn:
            what = "no frame holds this entry at the place that its SEAL says"
            raise self._source.corrupt(what, header.number, self._source.format.traits.header_bytes, lsn)
        return data

    def _entry_in_runs(self, extent: Extent, lsn: int, codec: Codec) -> bytes | None:
        """Return the data of one entry, or None if no run holds it."""
        if not codec.identity:
            return next((found[0] for _, _, found in self.entries(extent, lsn, lsn + 1)), None)
        for frames in self._frames(extent, lsn, lsn + 1):
            try:
                data = self._source.format.entry(frames.data, codec.check_bytes, lsn - frames.first_lsn, frames.lengths)
            except Malformed as error:
                raise self._corrupt(extent, frames, error) from None
            if data is not None:
                return data
        return None

    def absent(self, lsn: int, number: int | None, last_lsn: int) -> Checkpointed | Corrupt:
        """Return the error for entries whose segment is not there. *number* is None if that is unknown.

        A checkpoint makes the new first LSN known before it removes a segment. So an entry at or above the first LSN
        was not checkpointed: it is lost. In a store without a lock, the checkpoint may be that of another writer, which
        has fenced this one.
        """
        log_first_lsn, name = self._log_first_lsn(), self._source.store.name
        if lsn >= log_first_lsn and self._source.store.capabilities.exclusion != "lock":
            log_first_lsn = max(log_first_lsn, first_lsn_now(self._source))
        if lsn < log_first_lsn:
            message = f"entry {lsn} was checkpointed while it was being read; {name} begins at {log_first_lsn}"
            return Checkpointed(message, lsn=lsn, first_lsn=log_first_lsn)
        return self._source.missing(number, lsn, last_lsn)

    # From frames to entries

    def _runs(self, extent: Extent, start: int, stop: int) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (first LSN, entries) of whatever was checked together and holds entries of [start, stop)."""
        form, codec = self._source.format, self._source.codec_of(extent.header)

        def found(frames: IntactFrames) -> tuple[int, list[bytes]]:
            return frames.first_lsn, form.payloads(frames.data, codec.check_bytes, frames.lengths)

        for frames in self._frames(extent, start, stop):
            if codec.identity:
                yield from self._up_to_bad_frame(extent, frames, found)
                continue
            if self._closings:
                raise Closed(f"{self._source.store.name} was closed while it was being read")
            try:
                yield from self._decode(extent, frames.data, start, stop)
            except Malformed as error:
                raise self._corrupt(extent, frames, error) from None

    def _up_to_bad_frame(self, extent: Extent, frames: IntactFrames, work: Callable[[IntactFrames], T]) -> Iterator[T]:
        """Yield what *work* makes of these frames. If it raises `Malformed`, yield what it makes of each frame before
        the bad one, and raise `Corrupt`."""
        if self._closings:
            raise Closed(f"{self._source.store.name} was closed while it was being read")
        try:
            made = work(frames)
        except Malformed as error:
            try:
                for part in self._apart(extent, frames):
                    frames = part
                    yield work(part)
            except Malformed:
                pass
            raise self._corrupt(extent, frames, error) from None
        yield made

    def _apart(self, extent: Extent, frames: IntactFrames) -> Iterator[IntactFrames]:
        """Yield each of these frames that holds entries. Raise `Corrupt` if they do not end where the run ends."""
        form = self._source.format
        try:
            for header, index in form.headers(frames.data):
                if header.entries:
                    data = bytes(frames.data[index : index + form.frame_end(header) - header.offset])
                    yield IntactFrames(data=data, first_lsn=header.first_lsn, offset=header.offset)
        except Malformed as error:
            raise self._corrupt(extent, frames, error) from None

    def _decode(self, extent: Extent, data: bytes, start: int, stop: int) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (first LSN, entries) of each frame that holds entries of [start, stop)."""
        for header, body in self._decoded(extent, data, start, stop):
            yield header.first_lsn, self._source.format.split(body, header.entries)

    def _decoded(self, extent: Extent, data: bytes, start: int, stop: int) -> Iterator[tuple[FrameHeader, bytes]]:
        """Yield (header, decoded body) of each frame that holds entries of [start, stop).

        No other frame is decoded. So a frame that cannot be decoded does not hide those beside it.
        """
        form, codec = self._source.format, self._source.codec_of(extent.header)
        for header, index in form.headers(data):
            if header.entries and header.first_lsn < stop and header.first_lsn + header.entries > start:
                stored = form.stored(data, index, header, codec.check_bytes)
                yield header, codec.decode(stored, context_of(self._source, extent.header, header))

    def _corrupt(self, extent: Extent, frames: IntactFrames, error: Malformed) -> Corrupt:
        return self._source.corrupt(str(error), extent.header.number, frames.offset, frames.first_lsn)

    # From segments to frames

    def _frames(self, extent: Extent, start: int, stop: int, *, lends: bool = False) -> Iterator[IntactFrames]:
        """Yield, in order, the intact frames that hold [start, stop). The first and the last can hold others too.

        With *lends*, frames can be views of the chunk that was read, which stays in memory as long as one of them.
        """
        begin, lsn = self._source.format.traits.header_bytes, extent.header.first_lsn
        try:
            places = self._places(extent)
        except SegmentNotFound:
            raise self.absent(max(start, lsn), extent.header.number, extent.last_lsn) from None
        if places is not None and len(places):
            at = places.position_with(max(start, lsn))
            if isinstance(places, RunIndex) and not authenticates(self._source.codec_of(extent.header)):
                yield from self._frames_by_runs(extent, places, at, start, stop, lends=lends)
                return
            begin, lsn = places.offsets[at], places.first_lsns[at]
        found = self._frames_between(extent, begin, extent.end, lsn, start, stop, lends=lends)
        yield from gathered(found) if lends else found

    def _places(self, extent: Extent) -> Places | None:
        if not extent.seal_end:
            return extent.places
        number = extent.header.number
        runs = self._seals.get(number)
        if runs is None:
            seal = read_seal(self._source, extent.header, extent.end, extent.seal_end)
            if seal is None:  # the SEAL was damaged later, but the frames say the same
                return None
            runs = seal.runs
            kept = list(self._seals.items())[1 - SEAL_KEPT :]
            self._seals = dict((*kept, (number, runs)))  # a new dict, because other threads may be reading the old one
        return runs

    def _frames_by_runs(
        self, extent: Extent, runs: RunIndex, at: int, start: int, stop: int, *, lends: bool
    ) -> Iterator[IntactFrames]:
        """Yield what `_frames` does, from run *at* on. Each run is checked by one CRC. If *lends* is true, runs with
        lengths are yielded together, as far as they were read together.

        The CRCs are those that a SEAL holds, or that this process computed when it wrote or scanned the frames.
        """
        number, read = extent.header.number, self._source.store.read
        offsets, first_lsns, crcs = runs.offsets, runs.first_lsns, runs.crcs
        count = len(offsets)
        while at < count and first_lsns[at] < stop:
            begin, last = offsets[at], end_of_chunk(runs, at, stop, lends=lends)
            try:
                chunk = read(number, begin, offsets[last] if last < count else extent.end)
            except SegmentNotFound:
                raise self.absent(max(start, first_lsns[at]), number, extent.last_lsn) from None
            if lends:
                chunk = cast("bytes", memoryview(chunk))  # it is cut and checked as bytes are, and not copied
            singles: IntactFrames | None = None
            for k in range(at, last):
                end = offsets[k + 1] if k + 1 < count else extent.end
                run = chunk[offsets[k] - begin : end - begin]
                is_intact = crc32(run, 0) == crcs[k] and len(run) == end - offsets[k]
                frames = IntactFrames(data=run, first_lsn=first_lsns[k], offset=offsets[k], lengths=runs.lengths[k])
                if lends and is_intact and frames.lengths is not None:
                    data = chunk[(singles or frames).offset - begin : end - begin]
                    singles = frames if singles is None else joined(singles, frames, data)
                    continue
                if singles is not None:
                    yield singles
                    singles = None
                if is_intact:
                    yield frames
                else:  # damaged, perhaps only in padding, so that each frame is judged
                    until = first_lsns[k + 1] if k + 1 < count else extent.last_lsn + 1
                    yield from self._frames_between(extent, offsets[k], end, first_lsns[k], start, min(until, stop))
            if singles is not None:
                yield singles
            at = last

    def _frames_between(
        self, extent: Extent, begin: int, end: int, lsn: int, start: int, stop: int, *, lends: bool = False
    ) -> Iterator[IntactFrames]:
        """Yield what `_frames` does, of the frames between two offsets. *lsn* is the LSN of the first entry there."""
        reader = FrameReader(self._source, extent.header, begin, end, lsn)
        until = min(stop, extent.last_lsn + 1)
        try:
            for run in reader.runs():
                if run.first_lsn >= until:
                    if extent.is_walked_out:
                        continue  # only CHECKPOINTs follow
                    return
                if run.intact.entries:
                    self._refuse_unlinked(extent, run)
                    yield IntactFrames(
                        data=cast("bytes", run.frames()) if lends else bytes(run.frames()),
                        first_lsn=run.first_lsn,
                        offset=run.offset,
                        lengths=lengths_in_two_bytes(run.intact.lengths),
                    )
        except SegmentNotFound:
            raise self.absent(max(start, reader.expected_lsn), extent.header.number, extent.last_lsn) from None
        if reader.expected_lsn < until or (extent.is_walked_out and reader.offset < extent.end):
            raise self._source.corrupt(reader.stop.value, extent.header.number, reader.offset, reader.expected_lsn)

    def _refuse_unlinked(self, extent: Extent, run: ReadRun) -> None:
        """Raise `Corrupt` if the next frame, or the next segment, names another frame as the one before it.

        The frames of the run are checked before they are returned, because nobody looks at them again.
        """
        segment, said = extent.header, extent.link
        if run.next_lsn <= extent.last_lsn:
            after = self._source.format.header_at(run.buffer, run.intact.end, run.end, segment.salt)
            said = None if isinstance(after, StopReason) else after.link
            if after is StopReason.END:
                said = link_said_at(self._source, segment, run.end, extent.end)
        if said is not None and not run.intact.link.startswith(said):
            why = "what follows it was written after another frame: it is of another history"
            lsn = lsn_of_last_commit(self._source, run.frames(), run.first_lsn)
            raise self._source.corrupt(why, segment.number, run.end, lsn)


def end_of_chunk(runs: RunIndex, at: int, stop: int, *, lends: bool) -> int:
    """Return the position after the runs that are read together, from run *at* on."""
    begin, last, lengths = runs.offsets[at], at + 1, runs.lengths
    are_singles = lends and lengths[at] is not None
    while last < len(runs) and runs.first_lsns[last] < stop:
        are_singles = are_singles and lengths[last] is not None
        if runs.offsets[last] - begin >= (COPIED_BYTES if are_singles else READ_BYTES):
            break
        last += 1
    return last


def gathered(found: Iterable[IntactFrames]) -> Iterator[IntactFrames]:
    """Yield these frames. Those with lengths that lie one after another are yielded together, up to COPIED_BYTES.

    If the iteration raises, what it has returned before is yielded first.
    """
    kept: list[IntactFrames] = []
    try:
        for frames in found:
            if kept and not can_be_joined(kept, frames):
                yield all_joined(kept)
                kept = []
            if frames.lengths is None:
                yield frames
            else:
                kept.append(frames)
    except Exception:
        if kept:
            yield all_joined(kept)
        raise
    if kept:
        yield all_joined(kept)


def can_be_joined(kept: Sequence[IntactFrames], frames: IntactFrames) -> bool:
    end = kept[-1].offset + len(kept[-1].data)
    return frames.lengths is not None and frames.offset == end and end - kept[0].offset < COPIED_BYTES


def all_joined(found: Sequence[IntactFrames]) -> IntactFrames:
    """Return these runs with lengths, one after another, as one."""
    data = b"".join([frames.data for frames in found])
    return reduce(lambda first, second: joined(first, second, data), found)


def joined(first: IntactFrames, second: IntactFrames, data: bytes) -> IntactFrames:
    """Return two runs with lengths, one after the other, as one with this data."""
    assert first.lengths is not None
    assert second.lengths is not None
    return first._replace(data=data, lengths=first.lengths + second.lengths)


def first_lsn_now(source: LogSource) -> int:
    """Return the log's first LSN as the newest immutable segment names it. 1 if there is no segment."""
    for _ in range(LOOKS_MAX):
        numbers = source.store.segments()
        if not numbers:
            break
        with suppress(SegmentNotFound):  # it was removed since it was listed
            return source.header(numbers[-1]).log_first_lsn
    return 1


def context_of(source: LogSource, segment: SegmentHeader, header: FrameHeader) -> FrameContext:
    """Return what a frame says beside its body, for the codec."""
    return FrameContext(
        log_id=segment.log_id,
        segment=segment.number,
        salt=segment.salt,
        offset=header.offset,
        first_lsn=header.first_lsn,
        entries=header.entries,
        time_ns=header.time_ns,
        synced=header.synced,
        link=header.link,
        body_bytes_max=source.format.traits.body_bytes_max,
    )
