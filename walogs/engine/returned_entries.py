"""Find out whether the entries that a reader has returned are still there as they were."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.engine.observation import beginning_of
from walogs.engine.verdict import link_problem
from walogs.engine.whole_segments import read_ahead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import ReadableEnd
    from walogs.formats.segment_format import SegmentHeader


REMEMBERED: Final = 256
"""A reader remembers so many of the last segments of which it has returned entries."""


class LastReturned(NamedTuple):
    """The highest entry of one segment that a reader has returned, and where it was."""

    lsn: int
    segment: SegmentHeader
    beginning: bytes
    """Fingerprint of the first frame in that segment (`beginning_of`)."""


def with_returned(returned: tuple[LastReturned, ...], last: LastReturned) -> tuple[LastReturned, ...]:
    """Return what a reader remembers, one item for each segment in order, after it has returned *last*.

    The highest entry stays the last if an earlier one is read again.
    """
    if not returned:
        return (last,)
    before = returned[-1]
    if last.lsn < before.lsn:
        return returned
    kept = returned[:-1] if before.segment.number == last.segment.number else returned
    return (*kept[1 - REMEMBERED :], last)


def find_last_kept(source: LogSource, readable: ReadableEnd, returned: Sequence[LastReturned]) -> int:
    """Return the LSN of the last entry that was *returned* and is still there as it was, or that was checkpointed.

    The newest segment that is still there decides. If none is, the first of them gives a bound: the log goes on
    differently before it. Raises TRANSIENT_ERRORS.
    """
    last, newest = returned[-1], readable.newest
    if last.segment.log_id != newest.log_id:
        return 0
    if last.lsn < readable.log_first_lsn:
        return last.lsn
    for known in reversed(returned):
        if known.segment.number < readable.numbers[0]:
            return min(known.lsn, readable.log_first_lsn - 1)
        kept_lsn = last_kept_in_segment(source, readable, known)
        if kept_lsn is not None:
            return kept_lsn
    first = returned[0].segment
    bound = min(first.first_lsn - 1, readable.last_lsn, last_before_epoch(source, readable, first.epoch + 1))
    if first.number <= newest.number:  # another segment has its number, and all entries of that are others
        bound = min(bound, source.header(first.number).first_lsn - 1)
    return bound


def last_kept_in_segment(source: LogSource, readable: ReadableEnd, known: LastReturned) -> int | None:
    """Return the LSN of the last entry up to *known* that its segment still has. None if the segment is not there.

    Raises TRANSIENT_ERRORS.
    """
    number, newest = known.segment.number, readable.newest
    if number > newest.number:
        return None
    source = read_ahead(source, range(number, min(number + 1, newest.number) + 1))
    header = newest if number == newest.number else source.header(number)
    # The headers are not compared as a whole, because a repair changes the log's first LSN in them.
    is_same = (header.salt, header.first_lsn) == (known.segment.salt, known.segment.first_lsn)
    if not is_same or beginning_of(source, header) != known.beginning:
        return None
    if header is newest:
        return min(known.lsn, readable.last_lsn)
    successor = source.header(number + 1)
    why = link_problem(header, successor)
    if why is not None:
        raise source.corrupt(why, number, 0, known.lsn)
    return min(known.lsn, successor.first_lsn - 1)


def last_before_epoch(source: LogSource, readable: ReadableEnd, epoch: int) -> int:
    """Return the LSN of the last entry in a segment that is older than *epoch*.

    After a repair has removed segments, the log can use their numbers again for other entries. Each segment that was
    made since has a later epoch.
    """
    at = bisect_left(readable.numbers, epoch, key=lambda number: source.header(number).epoch)
    return source.header(readable.numbers[at]).first_lsn - 1 if at < len(readable.numbers) else readable.last_lsn


def move_back(
    source: LogSource, readable: ReadableEnd, lsn: int, returned: tuple[LastReturned, ...]
) -> tuple[LastReturned, ...]:
    """Return what a reader remembers when the entry *lsn* is the last that a cut has kept. Nothing if that was
    checkpointed.

    Raises TRANSIENT_ERRORS.
    """
    if lsn < readable.log_first_lsn:
        return ()
    kept = tuple(known for known in returned if known.segment.first_lsn <= lsn)
    if kept:
        return (*kept[:-1], kept[-1]._replace(lsn=lsn))
    at = bisect_right(readable.numbers, lsn, key=lambda number: source.header(number).first_lsn) - 1
    segment = source.header(readable.numbers[max(at, 0)])
    return (LastReturned(lsn, segment, beginning_of(source, segment)),)
