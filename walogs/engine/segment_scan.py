"""What the frames of one segment say: the intact ones from its beginning on, and whatever follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.engine.frame_reader import CHECKPOINT, CHUNK_BYTES, SEAL, FrameReader
from walogs.formats.segment_format import RunIndex

if TYPE_CHECKING:
    from walogs.engine.frame_reader import ReadRun
    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import FrameHeader, SegmentHeader


class SegmentScan:
    """What the intact frames of one segment say, from its beginning to where they stop."""

    __slots__ = (
        "end",
        "entries",
        "first_commit_ns",
        "frames",
        "header",
        "last_commit_ns",
        "last_lsn",
        "link",
        "log_first_lsn",
        "runs",
        "size",
        "stop",
        "synced",
    )  # fmt: skip

    def __init__(self, source: LogSource, header: SegmentHeader, size: int) -> None:
        self.header = header
        self.size = size
        self.frames = self.entries = 0
        self.first_commit_ns: int | None = None
        self.last_commit_ns: int | None = None
        self.log_first_lsn = header.log_first_lsn
        self.runs = RunIndex()
        self.synced = start = source.format.traits.header_bytes
        reader = FrameReader(source, header, start, size, header.first_lsn)
        for run in reader.runs(self.runs):
            self._add(source, run)
        self.end = reader.offset
        """Offset where the intact frames stop. The documentation calls it X."""
        self.stop = reader.stop
        self.last_lsn = reader.expected_lsn - 1
        self.link = reader.link if reader.link is not None else header.previous_link
        """Link of the last frame with entries before `end`. That frame can be in an earlier segment."""

    def _add(self, source: LogSource, run: ReadRun) -> None:
        intact = run.intact
        self.frames += intact.frames
        self.entries += intact.entries
        self.synced = max(self.synced, intact.synced)
        self.runs.add(run.frames(), run.end - run.offset, run.offset, run.first_lsn, intact.lengths)
        self.last_commit_ns = intact.last_time_ns
        if run.checkpoint is not None:
            self.log_first_lsn = max(self.log_first_lsn, first_lsn_in_checkpoint(source, self.header, run.checkpoint))
        elif self.first_commit_ns is None:
            self.first_commit_ns = intact.first_time_ns


def first_lsn_in_checkpoint(source: LogSource, segment: SegmentHeader, checkpoint: FrameHeader) -> int:
    """Return the log's first LSN that an intact CHECKPOINT names.

    Raises `Corrupt` if it is above the first LSN of that frame's segment, which a checkpoint never removes.
    """
    if checkpoint.first_lsn > segment.first_lsn:
        why = f"a CHECKPOINT names the first LSN {checkpoint.first_lsn}, but its segment begins at {segment.first_lsn}"
        raise source.corrupt(why, segment.number, checkpoint.offset)
    return checkpoint.first_lsn


class TailScan:
    """What follows the last intact frame of a segment, up to its end. The scan has no limit and takes linear time."""

    __slots__ = ("bytes_end", "is_sealed", "log_first_lsn", "synced")

    def __init__(self, source: LogSource, segment: SegmentHeader, end: int, size: int) -> None:
        self.bytes_end = 0
        """Offset after the last byte that is not zero. It is 0 if all bytes are zero."""
        self.synced = 0
        """The highest offset that an intact frame header names as synced, even if the body of the frame is damaged."""
        self.is_sealed = False
        self.log_first_lsn = 0
        """The largest first LSN that an intact CHECKPOINT names, or 0."""
        check_bytes = source.codec_of(segment).check_bytes
        # Two chunks overlap by the length of a CHECKPOINT, so that none is missed between them.
        whole_frame = source.format.frame_bytes(0, check_bytes)
        offset = min(end, size)
        while offset < size:
            chunk = source.store.read(segment.number, offset, min(size, offset + CHUNK_BYTES))
            used = len(chunk.rstrip(b"\0"))
            if used:
                self.bytes_end = offset + used
                self._search(source, segment, chunk, offset)
            if not chunk or offset + len(chunk) >= size:
                return
            offset += len(chunk) - whole_frame if len(chunk) > whole_frame else len(chunk)

    def _search(self, source: LogSource, segment: SegmentHeader, chunk: bytes, offset: int) -> None:
        for header in source.format.headers_in(chunk, 0, offset, segment.salt):
            self.synced = max(self.synced, header.synced)
            if header.kind == SEAL:
                self.is_sealed = True
            elif header.kind == CHECKPOINT and source.format.check_at(
                chunk, header.offset - offset, header, source.codec_of(segment)
            ):
                self.log_first_lsn = max(self.log_first_lsn, first_lsn_in_checkpoint(source, segment, header))
