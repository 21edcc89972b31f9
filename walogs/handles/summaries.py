"""What `Wal.segments` tells of each segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.types import SegmentSummary

if TYPE_CHECKING:
    from walogs.engine.segments import ActiveSegment, CompletedSegment


def summary(segment: CompletedSegment, name: str) -> SegmentSummary:
    """Describe a completed segment. *name* is the store's name for it.

    `size` counts all bytes of the segment, and `last_lsn` is one less than `first_lsn` if the segment has no entry. The
    times are Unix time in nanoseconds; those of commits are None if they are not known.
    """
    return SegmentSummary(
        number=segment.header.number,
        name=name,
        size=segment.size,
        first_lsn=segment.header.first_lsn,
        last_lsn=segment.last_lsn,
        created_ns=segment.header.created_ns,
        first_commit_ns=segment.first_commit_ns,
        last_commit_ns=segment.last_commit_ns,
        is_sealed=segment.seal_end > 0,
        is_active=False,
    )


def active_summary(segment: ActiveSegment, name: str) -> SegmentSummary:
    """Describe the active segment. *name* is the store's name for it.

    `size` includes the window, and `last_lsn` is one less than `first_lsn` if the segment has no entry. The times are
    Unix time in nanoseconds; those of commits are None if the segment has no entry.
    """
    return SegmentSummary(
        number=segment.header.number,
        name=name,
        size=segment.size,
        first_lsn=segment.header.first_lsn,
        last_lsn=segment.header.first_lsn + segment.entries - 1,
        created_ns=segment.header.created_ns,
        first_commit_ns=segment.first_commit_ns,
        last_commit_ns=segment.last_commit_ns if segment.entries else None,
        is_sealed=False,
        is_active=True,
    )
