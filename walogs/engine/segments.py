"""What the engine knows of the segments of an open log."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from walogs.formats.segment_format import Kind, Seal, SegmentHeader, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from walogs.engine.source import Source
    from walogs.engine.walk import SegmentScan
    from walogs.formats.segment_format import RunIndex

SEAL_SEARCH_BYTES = 64 * 1024


class CompletedSegment(NamedTuple):
    """A segment that has a successor."""

    header: SegmentHeader
    last_lsn: int
    """header.first_lsn - 1: it holds no entry."""
    end: int
    """Offset where its frames end."""
    size: int
    seal_end: int
    """Offset where its SEAL, which begins at `end`, ends; 0: it has none that was accepted."""
    runs: RunIndex | None
    """Known when there is no SEAL to read it from."""
    first_commit_ns: int | None
    last_commit_ns: int | None


@dataclass(slots=True)
class ActiveSegment:
    """The segment being written: always the last. Advanced after a commit is known good, never before (G7)."""

    header: SegmentHeader
    end: int
    size: int
    synced: int
    """The end offset that had been written when the last sync that returned was called."""
    frames: int
    entries: int
    runs: RunIndex
    first_commit_ns: int | None
    last_commit_ns: int
    last_check: int
    """Header CRC of its last frame with entries; 0: none."""
    window: int
    """Bytes to grow by, the next time."""
    is_continuable: bool
    """Whether this writer may write into it (G8)."""


def superseded(segments: Sequence[CompletedSegment], lsn: int) -> int:
    """How many of the oldest completed segments hold nothing after *lsn* (G11)."""
    return next((k for k, segment in enumerate(segments) if segment.last_lsn > lsn), len(segments))


def position_of(segments: Sequence[CompletedSegment], lsn: int, count: int) -> int:
    """Position of the completed segment, of the first *count*, that holds *lsn*; or *count*: it is in a later one."""
    return bisect_left(segments, lsn, hi=count, key=lambda segment: segment.last_lsn)


def sealed(header: SegmentHeader, seal: Seal, size: int) -> CompletedSegment:
    return CompletedSegment(
        header=header,
        last_lsn=seal.last_lsn,
        end=seal.offset,
        size=size,
        seal_end=seal.end,
        runs=None,
        first_commit_ns=seal.first_commit_ns if seal.entries else None,
        last_commit_ns=seal.last_commit_ns if seal.entries else None,
    )


def scanned(scan: SegmentScan) -> CompletedSegment:
    return CompletedSegment(
        header=scan.header,
        last_lsn=scan.last_lsn,
        end=scan.end,
        size=scan.size,
        seal_end=0,
        runs=scan.runs,
        first_commit_ns=scan.first_commit_ns,
        last_commit_ns=scan.last_commit_ns if scan.entries else None,
    )


def read_seal(source: Source, header: SegmentHeader, offset: int, end: int) -> Seal | None:
    """The SEAL that begins at *offset*; None: no intact one does. A cache: never fatal. Its own header says how much is
    read, never the size of the segment (G16)."""
    form = source.format
    found = form.header_at(source.store.read(header.number, offset, min(end, offset + 64)), 0, offset, header.salt)
    if isinstance(found, Stop) or found.kind != Kind.SEAL.value or found.first_lsn < header.first_lsn:
        return None
    buffer = source.store.read(header.number, offset, min(end, form.frame_end(found)))
    seal = form.decode_seal(buffer, 0, found, header.first_lsn)
    return seal if seal is not None and seal.last_lsn + 1 == found.first_lsn else None


def find_seal(source: Source, header: SegmentHeader, size: int) -> Seal | None:
    """The SEAL of a completed segment, found from its last byte that is not zero."""
    end = size
    while end > source.format.traits.header_bytes:
        start = max(source.format.traits.header_bytes, end - SEAL_SEARCH_BYTES)
        used = len(source.store.read(header.number, start, end).rstrip(b"\0"))
        if used:
            end = start + used
            tail = source.store.read(header.number, max(0, end - 8), end)
            offset = source.format.seal_offset(tail)
            if offset is None or not source.format.traits.header_bytes <= offset < end:
                return None
            return read_seal(source, header, offset, size)
        end = start
    return None
