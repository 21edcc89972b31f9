"""Read the frames of a segment in order, with every check. The memory is bounded by one frame and a chunk (G16)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.engine.verdict import frame_problem
from walogs.errors import UnsupportedFormat
from walogs.formats.segment_format import CheckedRun, FrameHeader, Kind, Malformed, RunIndex, StopReason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import SegmentHeader

CHUNK_BYTES: Final = 1 << 20
KINDS: Final = frozenset(kind.value for kind in Kind)
SEAL: Final = Kind.SEAL.value  # a constant: the value of an enum costs 0.2 µs each time, a member 0.1 µs (3.11)
CHECKPOINT: Final = Kind.CHECKPOINT.value
END: Final = StopReason.END


class ReadFrame(NamedTuple):
    """An intact frame, and the buffer that was checked. A copy of the frame must be made from these bytes."""

    header: FrameHeader
    buffer: bytes
    at: int
    """Index in the buffer where the frame begins."""
    end: int
    """Offset in the segment after the padding of the frame."""

    def frame(self) -> bytes:
        """Return the frame with its padding. If the segment was cut inside the padding, the rest is added."""
        length = self.end - self.header.offset
        return self.buffer[self.at : self.at + length].ljust(length, b"\0")


class ReadRun(NamedTuple):
    """Consecutive intact frames with entries, or one CHECKPOINT, and the buffer that was checked."""

    intact: CheckedRun
    buffer: bytes
    at: int
    """Index in the buffer where the first frame begins."""
    offset: int
    """Offset in the segment of the first frame."""
    first_lsn: int
    """LSN of the first entry, or of the next entry if there is none."""
    checkpoint: FrameHeader | None = None
    """The header, if this is a CHECKPOINT."""

    @property
    def end(self) -> int:
        """Offset in the segment after the padding of the last frame."""
        return self.offset + self.intact.end - self.at

    @property
    def next_lsn(self) -> int:
        """LSN after the last entry."""
        return self.first_lsn + self.intact.entries

    def frames(self) -> memoryview:
        """Return the frames with their padding."""
        return memoryview(self.buffer)[self.at : self.intact.end]


class FrameReader:
    """The frames with entries and the CHECKPOINTs of one segment, in order. Each was written after the one before it.

    At the end, `offset` and `stop` say where and why the frames ended, and `expected_lsn` is the LSN that comes next.
    While a run or a frame is being looked at, they are still those of its beginning.
    """

    def __init__(
        self,
        source: LogSource,
        segment: SegmentHeader,
        start: int,
        limit: int,
        expected_lsn: int,
        link: bytes | None = None,
        *,
        chunk_bytes: int | None = None,
    ) -> None:
        """Prepare to read from *start* up to *limit*. *link* is the link of the last frame with entries before *start*.

        If *link* is None, the segment's header says it for the first frame of the segment. For any other frame, the
        link that this frame holds is taken as it is. *chunk_bytes* are read at a time (CHUNK_BYTES if None). A longer
        frame is read whole.
        """
        self._source = source
        self._segment = segment
        self._codec = source.codec_of(segment)
        self._limit = limit
        self._chunk_bytes = chunk_bytes or CHUNK_BYTES
        self._buffer = b""
        self._begin = start
        """Offset in the segment where the buffer begins."""
        self.offset = start
        self.expected_lsn = expected_lsn
        is_first = start == source.format.traits.header_bytes
        self.link = segment.previous_link if link is None and is_first else link
        """Link of the last frame with entries before `offset`. None if no frame has said it yet."""
        self._last_run = (start, start, expected_lsn)
        """(offset, end, first LSN) of the last run with entries before `offset`. It is empty if there was none."""
        self.stop: StopReason = StopReason.END

    def __iter__(self) -> Iterator[ReadFrame]:
        """Yield one frame at a time."""
        while not isinstance(frame := self._next_frame(), StopReason):
            yield frame
            self._advance(self._run_of_one(frame))
        self.stop = frame

    def runs(self, index: RunIndex | None = None) -> Iterator[ReadRun]:
        """Yield as many frames at a time as the format can check in one call, and at most one run of *index*."""
        places = index if index is not None else RunIndex()
        while True:
            run = self._run_in_buffer(places.room)
            if run is None:
                frame = self._next_frame()
                if isinstance(frame, StopReason):
                    self.stop = frame
                    return
                run = self._run_of_one(frame)
            yield run
            self._advance(run)

    def lsn_of_last_commit(self) -> int:
        """Return the first LSN of the last commit before `offset`, and `expected_lsn` if there was none.

        If what follows was written after another frame, one of the two is of another history, and nothing says which.
        So this is the first entry in doubt.
        """
        offset, end, first_lsn = self._last_run
        run = self._source.store.read(self._segment.number, offset, end)
        return lsn_of_last_commit(self._source, run, first_lsn)

    def _advance(self, run: ReadRun) -> None:
        self.offset = run.end
        if run.intact.entries:
            self._last_run = (run.offset, run.end, run.first_lsn)
        self.expected_lsn += run.intact.entries
        self.link = run.intact.link

    def _run_in_buffer(self, room: int) -> ReadRun | None:
        """Return the intact frames with entries that lie in the buffer now, at most *room* bytes and a frame."""
        index = self.offset - self._begin
        intact = self._source.format.intact(
            self._buffer, index, self.offset, self._segment.salt, self.expected_lsn, self.link, room, self._codec
        )
        if not intact.frames:
            return None
        return ReadRun(intact=intact, buffer=self._buffer, at=index, offset=self.offset, first_lsn=self.expected_lsn)

    def _run_of_one(self, frame: ReadFrame) -> ReadRun:
        header, buffer, at = frame.header, frame.buffer, frame.at
        end = at + frame.end - header.offset
        if end > len(buffer):  # the segment was cut inside the padding
            buffer, at, end = frame.frame(), 0, end - at
        link, check_bytes = header.link, self._codec.check_bytes
        if header.entries:
            link = self._source.format.link_at(buffer, at, header, check_bytes)
        intact = CheckedRun(
            end=end,
            frames=1,
            entries=header.entries,
            synced=header.synced,
            link=link,
            first_time_ns=header.time_ns,
            last_time_ns=header.time_ns,
            lengths=(header.body_bytes - check_bytes,) if header.entries == 1 else (),
        )
        checkpoint = header if header.kind == CHECKPOINT else None
        return ReadRun(
            intact=intact,
            buffer=buffer,
            at=at,
            offset=header.offset,
            first_lsn=self.expected_lsn,
            checkpoint=checkpoint,
        )

    def _next_frame(self) -> ReadFrame | StopReason:
        """Return the next frame, or why there is none.

        Raises `Corrupt` if an intact frame does not follow the one before it, and `UnsupportedFormat`.
        """
        form, is_read_whole = self._source.format, False
        while True:
            header = self._next_header()
            if isinstance(header, StopReason):
                return header
            refuse_unknown(self._source, self._segment, header)
            end = form.frame_end(header)
            needed = end - (-header.body_bytes % 8)  # the padding holds nothing, so it may be cut off
            if needed <= self._begin + len(self._buffer):
                break
            if is_read_whole or needed > self._limit:  # or the segment is shorter than it was when it was opened
                return StopReason.SHORT
            # Header and body come from one buffer, so the header is read again too.
            self._read(max(self._chunk_bytes, end - self.offset))
            is_read_whole = True
        index = self.offset - self._begin
        if not form.check_at(self._buffer, index, header, self._codec):
            return StopReason.DAMAGED
        if header.kind == SEAL:
            return StopReason.SEAL
        why = frame_problem(header, self.expected_lsn, self.link)
        if why is not None:
            is_other_history = header.entries and frame_problem(header, self.expected_lsn, None) is None
            lsn = self.lsn_of_last_commit() if is_other_history else self.expected_lsn
            raise self._source.corrupt(why, self._segment.number, self.offset, lsn)
        return ReadFrame(header=header, buffer=self._buffer, at=index, end=end)

    def _next_header(self) -> FrameHeader | StopReason:
        """Return the frame header at `offset`. If the buffer ends there, read the next chunk."""
        form, offset, salt = self._source.format, self.offset, self._segment.salt
        header = form.header_at(self._buffer, offset - self._begin, offset, salt)
        if header is END and offset < self._limit and self._begin + len(self._buffer) < self._limit:
            self._read(self._chunk_bytes)
            header = form.header_at(self._buffer, 0, offset, salt)
        return header

    def _read(self, count: int) -> None:
        """Read *count* bytes from `offset` on, but not beyond the limit."""
        end = min(self._limit, self.offset + count)
        self._buffer, self._begin = self._source.store.read(self._segment.number, self.offset, end), self.offset


def lsn_of_last_commit(source: LogSource, run: bytes | memoryview, first_lsn: int) -> int:
    """Return the first LSN of the last commit in an intact run, which begins with *first_lsn*."""
    with suppress(Malformed):  # somebody has changed it since it was checked
        for header, _ in source.format.headers(run):
            first_lsn = header.first_lsn if header.entries else first_lsn
    return first_lsn


def refuse_unknown(source: LogSource, segment: SegmentHeader, header: FrameHeader) -> None:
    """Raise `UnsupportedFormat` if this intact header is of a frame that only a later release can read."""
    if header.kind not in KINDS or header.flags:
        found = f"frame kind {header.kind}, flags {header.flags:#04x}"
        name = f"{source.store.segment_name(segment.number)} in {source.store.name}"
        move = "Open the log with the release that wrote it. Nothing was changed."
        message = f"{name} holds a frame that this release does not know, at byte {header.offset} ({found}). {move}"
        raise UnsupportedFormat(message, segment=segment.number, found=found)


def link_said_at(source: LogSource, segment: SegmentHeader, offset: int, end: int) -> bytes | None:
    """Return the link that the frame header at *offset* holds, or None if no intact header is there."""
    head = source.store.read(segment.number, offset, min(end, offset + source.format.frame_bytes(0, 0)))
    header = source.format.header_at(head, 0, offset, segment.salt)
    return None if isinstance(header, StopReason) else header.link
