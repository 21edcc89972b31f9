"""Retention: give up the oldest segments of a log when it becomes larger, or they become older, than its owner wants.

`lsn_beyond` decides. It is also what `walogs checkpoint --keep-size` and `--keep-time` ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class SizedSegment(Protocol):
    """What is asked of a completed segment. `CompletedSegment` and `SegmentSummary` have it."""

    @property
    def last_lsn(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def last_commit_ns(self) -> int | None: ...


def lsn_beyond(
    completed: Iterable[SizedSegment],
    active_bytes: int,
    now_ns: int,
    *,
    size: int | None,
    age_ns: int | None,
    at_most: int | None = None,
) -> int:
    """Return the LSN up to which a log is beyond its bounds. 0: it is within them.

    *completed* are the completed segments, oldest first; the segment after them has *active_bytes*, and always stays. A
    segment is beyond the bounds if it and all that follows have more than *size* bytes, or if its last commit is more
    than *age_ns* nanoseconds before *now_ns*. Whether a segment without entries is, the next one decides. The first
    segment that is within the bounds keeps all after it. *at_most* is the highest LSN that may be given up; None: any.
    """
    segments = list(completed)
    left = sum(segment.size for segment in segments) + active_bytes
    lsn = 0
    for segment in segments:
        is_old = age_ns is not None and (segment.last_commit_ns is None or segment.last_commit_ns < now_ns - age_ns)
        if not is_old and (size is None or left <= size):
            break
        left -= segment.size
        lsn = segment.last_lsn
    return lsn if at_most is None else min(lsn, at_most)
