"""Find the segments that can be read: from the one with the log's first LSN up to the newest, beside a writer.

Segments below the first LSN are not judged, because a checkpoint may be removing them (G11).
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING

from walogs.engine.recovery import gap_before, header_in
from walogs.engine.segment_scan import SegmentScan, TailScan
from walogs.errors import Corrupt, SegmentNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import ReadableEnd
    from walogs.formats.segment_format import SegmentHeader
    from walogs.protocols import SegmentStore


def with_segments(
    source: LogSource, readable: ReadableEnd, numbers: tuple[int, ...], *, from_start: bool
) -> ReadableEnd:
    """Return *readable* with the segments from the one that holds the log's first LSN up to the newest.

    Raises `Corrupt` if a segment above that LSN is missing, or if its header is damaged.
    """
    gap = max((at for at, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1), default=0)
    there, log_first_lsn = range(numbers[gap], numbers[-1] + 1), readable.log_first_lsn
    first_lsn = cache(partial(first_lsn_if_intact, source))
    oldest_lsn = first_lsn(there[0])
    if from_start or not 0 < oldest_lsn <= log_first_lsn:
        log_first_lsn = max(log_first_lsn, first_lsn_in_segment(source, readable.newest))
    # The oldest segment holds the first LSN, unless the next one begins there too. A checkpoint can leave an empty one.
    number = there[0]
    if oldest_lsn != log_first_lsn or (len(there) > 1 and first_lsn(there[1]) <= log_first_lsn):
        number = last_beginning_by(there, log_first_lsn, first_lsn)
    # The search has met a damaged header. Go back from the newest segment one by one.
    if not 0 < first_lsn(number) <= log_first_lsn:
        number, successor = readable.newest.number, readable.newest
        while successor.first_lsn > log_first_lsn:
            number -= 1
            if number not in there:
                raise gap_before(source, successor, log_first_lsn, numbers[:gap])
            successor = header_in(source, there, number, log_first_lsn)
    return readable._replace(log_first_lsn=log_first_lsn, numbers=there[there.index(number) :])


def with_remaining_segments(source: LogSource, readable: ReadableEnd, numbers: range) -> ReadableEnd:
    """Return *readable* with the segments that are still there, if their numbers were known before.

    A checkpoint may have removed the first of them. It has then written its first LSN beforehand. Raises
    `SegmentNotFound` if no such LSN is found; the caller then observes everything anew.
    """
    if is_there(source.store, numbers[0]):
        return readable._replace(numbers=numbers)
    log_first_lsn = readable.log_first_lsn
    for log_first_lsn in (readable.log_first_lsn, first_lsn_in_segment(source, readable.newest)):
        first_lsn = cache(partial(first_lsn_if_intact, source))
        number = last_beginning_by(numbers, log_first_lsn, first_lsn)
        if first_lsn(number):
            return readable._replace(log_first_lsn=log_first_lsn, numbers=numbers[numbers.index(number) :])
    raise SegmentNotFound(
        f"{source.store.segment_name(numbers[0])} is gone, and no checkpoint accounts for it yet: look again"
    )


def last_beginning_by(numbers: range, lsn: int, first_lsn: Callable[[int], int]) -> int:
    """Return the last segment whose first LSN is *lsn* or below.

    It is most often one of the first. So the search begins there with short steps, each of which can be a request.
    """
    low, step = 0, 1
    while low + step < len(numbers) and first_lsn(numbers[low + step]) <= lsn:
        low, step = low + step, 2 * step
    return numbers[bisect_right(numbers, lsn, low, min(low + step, len(numbers)), key=first_lsn) - 1]


def is_there(store: SegmentStore, number: int) -> bool:
    """Return whether this segment is in the store."""
    try:
        store.size(number)
    except SegmentNotFound:
        return False
    return True


def first_lsn_if_intact(source: LogSource, number: int) -> int:
    """Return the first LSN of that segment, or 0 if it was removed or its header is damaged."""
    try:
        return source.header(number).first_lsn
    except (SegmentNotFound, Corrupt):
        return 0


def first_lsn_in_segment(source: LogSource, newest: SegmentHeader) -> int:
    """Return the largest first LSN in the newest segment, also from a CHECKPOINT after its intact frames."""
    scan = SegmentScan(source, newest, source.store.size(newest.number))
    return max(scan.log_first_lsn, TailScan(source, newest, scan.end, scan.size).log_first_lsn)
