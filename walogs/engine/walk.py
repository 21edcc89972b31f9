"""Reading a segment frame by frame, every check on, in memory bounded by one frame and a chunk (G16)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.engine.verdict import inadmissible
from walogs.errors import UnsupportedFormat
from walogs.formats.segment_format import FrameHeader, Intact, Kind, RunIndex, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.source import Source
    from walogs.formats.segment_format import SegmentHeader

CHUNK_BYTES: Final = 1 << 20
KINDS: Final = frozenset(kind.value for kind in Kind)
SEAL: Final = Kind.SEAL.value  # looked up once: an enum's value costs 0.2 µs each time, a member 0.1 (Python 3.11)
CHECKPOINT: Final = Kind.CHECKPOINT.value
END: Final = Stop.END


class Seen(NamedTuple):
    """An intact frame, and the buffer that was checked: whoever writes it again writes these very bytes."""

    header: FrameHeader
    buffer: bytes
    at: int
    """Where in the buffer it begins."""
    end: int
    """Offset in the segment after its padding."""

    def frame(self) -> bytes:
        """The frame with its padding (made whole where the segment was cut inside the padding)."""
        length = self.end - self.header.offset
        return self.buffer[self.at : self.at + length].ljust(length, b"\0")


class SeenRun(NamedTuple):
    """Intact frames with entries, end to end, and the buffer that was checked."""

    intact: Intact
    buffer: bytes
    at: int
    offset: int

    def frames(self) -> memoryview:
        return memoryview(self.buffer)[self.at : self.intact.end]


class Walk:
    """The frames of entries and CHECKPOINTs of one segment, in order. Afterwards `offset` and `stop` say where and why
    it ended, `expected_lsn` which entry would come next."""

    def __init__(self, source: Source, segment: SegmentHeader, start: int, limit: int, expected_lsn: int) -> None:
        self._source = source
        self._segment = segment
        self._limit = limit
        self.offset = start
        self.expected_lsn = expected_lsn
        self.stop: Stop = Stop.END

    def __iter__(self) -> Iterator[Seen]:
        """Frame by frame."""
        return self._steps(None)  # type: ignore[return-value]

    def runs(self, index: RunIndex | None = None) -> Iterator[Seen | SeenRun]:
        """As many frames at a time as can be checked without looking at each here, at most one run (of *index*)."""
        return self._steps(index if index is not None else RunIndex())

    def _steps(self, run_index: RunIndex | None) -> Iterator[Seen | SeenRun]:
        form, codec = self._source.format, self._source.codec_of(self._segment)
        read, number, salt = self._source.store.read, self._segment.number, self._segment.salt
        header_at, check_at, limit = form.header_at, form.check_at, self._limit
        buffer, begin = b"", self.offset
        while True:
            offset = self.offset
            index = offset - begin
            if run_index is not None:
                many = form.intact(buffer, index, offset, salt, self.expected_lsn, run_index.room, codec)
                if many.frames:
                    yield SeenRun(many, buffer, index, offset)
                    self.offset = offset + many.end - index
                    self.expected_lsn += many.entries
                    continue
            header = header_at(buffer, index, offset, salt)
            if header is END and offset < limit and begin + len(buffer) < limit:
                buffer, begin = read(number, offset, min(limit, offset + CHUNK_BYTES)), offset
                header = header_at(buffer, 0, offset, salt)
                index = 0
            if isinstance(header, Stop):
                self.stop = header
                return
            self._refuse_unknown(header)
            end = form.frame_end(header)
            needed = end - (-header.body_bytes % 8) - begin  # padding may be cut off: it says nothing
            if needed > len(buffer):
                if begin + needed > limit:
                    self.stop = Stop.SHORT
                    return
                if index:  # read the frame from its beginning, so that header and body come from one buffer
                    buffer, begin = read(number, offset, min(limit, offset + max(CHUNK_BYTES, end - offset))), offset
                    continue
                buffer = read(number, offset, min(limit, end))
                if len(buffer) < needed:  # the segment is shorter than it was when it was opened
                    self.stop = Stop.SHORT
                    return
                continue
            if not check_at(buffer, index, header, codec):
                self.stop = Stop.DAMAGED
                return
            if header.kind == SEAL:
                self.stop = Stop.SEAL
                return
            why = inadmissible(header, self.expected_lsn)
            if why is not None:
                raise self._source.corrupt(why, number, offset, self.expected_lsn)
            yield Seen(header, buffer, index, end)
            self.offset = end
            self.expected_lsn += header.entries

    def _refuse_unknown(self, header: FrameHeader) -> None:
        if header.kind not in KINDS or header.flags:
            found = f"frame kind {header.kind}, flags {header.flags:#04x}"
            name = f"{self._source.store.segment_name(self._segment.number)} in {self._source.store.name}"
            move = "Open the log with the release that wrote it. Nothing was changed."
            message = f"{name} holds a frame this release does not know, at byte {header.offset} ({found}). {move}"
            raise UnsupportedFormat(message, segment=self._segment.number, found=found)


class SegmentScan:
    """Everything that intact frames of one segment say, from its beginning to where they stop."""

    __slots__ = (
        "base_lsn", "end", "entries", "first_commit_ns", "frames", "header", "last_check", "last_commit_ns", "last_lsn",
        "runs", "size", "stop", "synced",
    )  # fmt: skip

    def __init__(self, source: Source, header: SegmentHeader, size: int) -> None:
        self.header = header
        self.size = size
        self.frames = self.entries = self.last_check = 0
        self.first_commit_ns: int | None = None
        self.last_commit_ns: int | None = None
        self.base_lsn = header.base_lsn
        self.runs = RunIndex()
        self.synced = start = source.format.traits.header_bytes
        walk = Walk(source, header, start, size, header.first_lsn)
        for seen in walk.runs(self.runs):
            if isinstance(seen, Seen):
                self._add(source, seen, walk.expected_lsn)
            else:
                self._add_run(seen, walk.expected_lsn)
        self.end = walk.offset
        """Offset where intact frames stop: X."""
        self.stop = walk.stop
        self.last_lsn = walk.expected_lsn - 1

    def _add(self, source: Source, seen: Seen, lsn: int) -> None:
        frame, header = seen.frame(), seen.header
        self.frames += 1
        self.entries += header.entries
        self.synced = max(self.synced, header.synced)
        self.runs.add(frame, len(frame), header.offset, lsn)
        self.last_commit_ns = header.time_ns
        if header.kind == CHECKPOINT:
            self.base_lsn = max(self.base_lsn, admissible_base(source, self.header, header))
            return
        self.last_check = header.crc
        if self.first_commit_ns is None:
            self.first_commit_ns = header.time_ns

    def _add_run(self, seen: SeenRun, lsn: int) -> None:
        intact = seen.intact
        self.frames += intact.frames
        self.entries += intact.entries
        self.synced = max(self.synced, intact.synced)
        self.runs.add(seen.frames(), intact.end - seen.at, seen.offset, lsn)
        self.last_check, self.last_commit_ns = intact.crc, intact.last_time_ns
        if self.first_commit_ns is None:
            self.first_commit_ns = intact.first_time_ns


def admissible_base(source: Source, segment: SegmentHeader, checkpoint: FrameHeader) -> int:
    """The base that an intact CHECKPOINT carries: never beyond the segment it is in, which is never removed."""
    if checkpoint.first_lsn > segment.first_lsn:
        why = f"a CHECKPOINT names base {checkpoint.first_lsn}, beyond the segment's first entry {segment.first_lsn}"
        raise source.corrupt(why, segment.number, checkpoint.offset)
    return checkpoint.first_lsn


class RestScan:
    """What is there after the last intact frame of a segment, to its very end: uncapped, and linear."""

    __slots__ = ("base_lsn", "bytes_end", "is_sealed", "synced")

    def __init__(self, source: Source, scan: SegmentScan) -> None:
        self.bytes_end = 0
        """Offset after the last byte that is not zero; 0: all of them are."""
        self.synced = 0
        """The highest offset that an intact frame header names as synced, whatever became of its body."""
        self.is_sealed = False
        self.base_lsn = 0
        """The largest base in an intact CHECKPOINT."""
        whole_frame = source.format.frame_bytes(0, 4)  # a CHECKPOINT, so that none is missed between two chunks
        offset = min(scan.end, scan.size)
        while offset < scan.size:
            chunk = source.store.read(scan.header.number, offset, min(scan.size, offset + CHUNK_BYTES))
            used = len(chunk.rstrip(b"\0"))
            if used:
                self.bytes_end = offset + used
                self._search(source, scan.header, chunk, offset)
            if not chunk or offset + len(chunk) >= scan.size:
                return
            offset += len(chunk) - whole_frame if len(chunk) > whole_frame else len(chunk)

    def _search(self, source: Source, segment: SegmentHeader, chunk: bytes, offset: int) -> None:
        for header in source.format.headers_in(chunk, 0, offset, segment.salt):
            self.synced = max(self.synced, header.synced)
            if header.kind == SEAL:
                self.is_sealed = True
            elif header.kind == CHECKPOINT and source.format.check_at(
                chunk, header.offset - offset, header, source.codec_of(segment)
            ):
                self.base_lsn = max(self.base_lsn, admissible_base(source, segment, header))
