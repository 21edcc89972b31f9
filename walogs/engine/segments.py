"""What the engine knows about the segments of an open log."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.engine.segment_scan import SegmentScan
from walogs.errors import Corrupt, SegmentNotFound, UnsupportedFormat
from walogs.formats.segment_format import Kind, Seal, SegmentHeader, StopReason
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import RunIndex

SEAL_SEARCH_BYTES: Final = 64 * 1024
SEAL_HEAD_BYTES: Final = 64
"""The header of a SEAL fits into this many bytes."""
TRAILER_BYTES: Final = 8
"""A SEAL ends with its offset and its mark."""


class CompletedSegment(NamedTuple):
    """A segment that has a successor."""

    header: SegmentHeader
    last_lsn: int
    """The LSN of its last entry; `header.first_lsn - 1` if it holds none."""
    end: int
    """The offset where its frames end."""
    size: int
    """Its size in bytes."""
    seal_end: int
    """The offset where its SEAL ends, which begins at `end`; 0 if it has no SEAL that was accepted."""
    runs: RunIndex | None
    """The index of its runs; None if that can be read from its SEAL."""
    first_commit_ns: int | None
    last_commit_ns: int | None
    link: bytes
    """The link of the last frame with entries up to its end. Its successor's header holds the same."""


class ActiveSegment:
    """The segment that appends go to. It is the newest, and advances only when a commit is known good (G7)."""

    __slots__ = (
        "end",
        "entries",
        "first_commit_ns",
        "frames",
        "header",
        "is_continuable",
        "last_commit_ns",
        "link",
        "log_id",
        "number",
        "ready_end",
        "runs",
        "salt",
        "size",
        "synced",
        "window",
    )

    def __init__(
        self,
        *,
        header: SegmentHeader,
        end: int,
        size: int,
        synced: int,
        frames: int,
        entries: int,
        runs: RunIndex,
        first_commit_ns: int | None,
        last_commit_ns: int,
        link: bytes,
        window: int,
        is_continuable: bool,
    ) -> None:
        self.header = header
        # Each append needs these three. To read them from a named tuple takes three times as long.
        self.number, self.salt, self.log_id = header.number, header.salt, header.log_id
        self.end = end
        self.ready_end = 0
        """A frame with entries whose stored body would reach at most this offset, if it began at `end`, needs no more
        room. The writer computes it when it makes room."""
        self.size = size
        self.synced = synced
        """The offset up to which it is known to be synced."""
        self.frames = frames
        self.entries = entries
        self.runs = runs
        self.first_commit_ns = first_commit_ns
        self.last_commit_ns = last_commit_ns
        self.link = link
        """The link of the last frame with entries, which may be in an earlier segment."""
        self.window = window
        """The number of bytes by which it will grow the next time."""
        self.is_continuable = is_continuable
        """Whether this writer may write entries into it (G8)."""


def count_superseded(segments: Sequence[CompletedSegment], lsn: int) -> int:
    """Return how many of the oldest completed segments hold nothing after *lsn* (G11)."""
    return next((k for k, segment in enumerate(segments) if segment.last_lsn > lsn), len(segments))


def position_of(segments: Sequence[CompletedSegment], lsn: int, count: int) -> int:
    """Return the position of the segment that holds *lsn* among the first *count*; *count* if a later one holds it."""
    return bisect_left(segments, lsn, hi=count, key=lambda segment: segment.last_lsn)


def completed_by_seal(header: SegmentHeader, seal: Seal, size: int) -> CompletedSegment:
    """Return a segment of *size* bytes as its SEAL describes it."""
    return CompletedSegment(
        header=header,
        last_lsn=seal.last_lsn,
        end=seal.offset,
        size=size,
        seal_end=seal.end,
        runs=None,
        first_commit_ns=seal.first_commit_ns if seal.entries else None,
        last_commit_ns=seal.last_commit_ns if seal.entries else None,
        link=seal.link,
    )


def completed_by_scan(scan: SegmentScan) -> CompletedSegment:
    """Return a segment as its frames describe it."""
    return CompletedSegment(
        header=scan.header,
        last_lsn=scan.last_lsn,
        end=scan.end,
        size=scan.size,
        seal_end=0,
        runs=scan.runs,
        first_commit_ns=scan.first_commit_ns,
        last_commit_ns=scan.last_commit_ns if scan.entries else None,
        link=scan.link,
    )


def completed_by_rotation(old: ActiveSegment, seal_end: int) -> CompletedSegment:
    """Return what was the active segment as a completed one. *seal_end* is 0 as long as it has no SEAL."""
    return CompletedSegment(
        header=old.header,
        last_lsn=old.header.first_lsn + old.entries - 1,
        end=old.end,
        size=seal_end or old.size,
        seal_end=seal_end,
        runs=None if seal_end else old.runs.updated(),
        first_commit_ns=old.first_commit_ns,
        last_commit_ns=old.last_commit_ns if old.entries else None,
        link=old.link,
    )


def completed_by_creation(header: SegmentHeader, *, entries: int, size: int, link: bytes) -> CompletedSegment:
    """Return an immutable segment of *size* bytes that this process created; it holds at most one commit."""
    time_ns = header.created_ns if entries else None
    return CompletedSegment(
        header=header,
        last_lsn=header.first_lsn + entries - 1,
        end=size,
        size=size,
        seal_end=0,
        runs=None,
        first_commit_ns=time_ns,
        last_commit_ns=time_ns,
        link=link,
    )


def read_seal(source: LogSource, header: SegmentHeader, offset: int, end: int, buffer: bytes = b"") -> Seal | None:
    """Return the SEAL that begins at *offset*, or None if there is no intact one.

    A SEAL is a cache, so a damaged one is no error. The SEAL's own header says how much is read; the size of the
    segment does not (G16). *buffer* holds what was read at *offset*, and is read again if it does not hold the SEAL.
    """
    form = source.format
    if len(buffer) < SEAL_HEAD_BYTES:
        buffer = source.store.read(header.number, offset, min(end, offset + SEAL_HEAD_BYTES))
    found = form.header_at(buffer, 0, offset, header.salt)
    if isinstance(found, StopReason) or found.kind != Kind.SEAL.value or found.first_lsn < header.first_lsn:
        return None
    seal_end = min(end, form.frame_end(found))
    if len(buffer) < seal_end - offset:
        buffer = source.store.read(header.number, offset, seal_end)
    seal = form.decode_seal(buffer, 0, found, header.first_lsn, source.codec_of(header))
    return seal if seal is not None and seal.last_lsn + 1 == found.first_lsn else None


def accepted_seal(source: LogSource, header: SegmentHeader, successor: SegmentHeader, size: int) -> Seal | None:
    """Return the SEAL of a completed segment if it agrees with the segment's successor about the end, or None."""
    seal = find_seal(source, header, size)
    is_the_end = seal is not None and (seal.last_lsn + 1, seal.link) == (successor.first_lsn, successor.previous_link)
    return seal if is_the_end else None


def find_seal(source: LogSource, header: SegmentHeader, size: int) -> Seal | None:
    """Return the SEAL of a completed segment, or None. It is searched backward from the last byte that is not zero."""
    begin, end = source.format.traits.header_bytes, size
    while end > begin:
        start = max(begin, end - SEAL_SEARCH_BYTES)
        chunk = source.store.read(header.number, start, end)
        used = len(chunk.rstrip(b"\0"))
        if used:
            tail = chunk[max(0, used - TRAILER_BYTES) : used]
            if used < TRAILER_BYTES and start > begin:  # it begins in the chunk before
                tail = source.store.read(header.number, start + used - TRAILER_BYTES, start + used)
            offset = source.format.seal_offset(tail)
            if offset is None or not begin <= offset < start + used:
                return None
            return read_seal(source, header, offset, size, chunk[offset - start :] if offset >= start else b"")
        end = start
    return None


def last_before(source: LogSource, older: Sequence[int]) -> int | None:
    """Return the last LSN of the newest of these segments whose header is intact, or None if none is.

    If the segment after them is damaged or gone, the entry after that LSN is the first in doubt.
    """
    for number in reversed(older):
        try:
            header = source.header(number)
        except (Corrupt, SegmentNotFound, UnsupportedFormat):
            continue
        try:
            return last_lsn_of(source, header)
        except (Corrupt, SegmentNotFound):
            return header.first_lsn - 1
    return None


def last_lsn_of(source: LogSource, header: SegmentHeader) -> int:
    """Return the last LSN of a completed segment, from its SEAL, or from its frames if it has none.

    Raises `Corrupt`, `SegmentNotFound`.
    """
    size = source.store.size(header.number)
    has_seal = source.format.traits.has_seal and is_appendable(source.store)
    seal = find_seal(source, header, size) if has_seal else None
    return seal.last_lsn if seal is not None else SegmentScan(source, header, size).last_lsn
