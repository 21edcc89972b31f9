"""Find out whether the entries that a reader has returned are still there as they were."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from walogs.engine.observation import beginning_of
from walogs.engine.verdict import link_problem
from walogs.engine.whole_segments import read_ahead

if TYPE_CHECKING:
    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import ReadableEnd
    from walogs.formats.segment_format import SegmentHeader


class LastReturned(NamedTuple):
    """The highest entry that a reader has returned, and where it was."""

    lsn: int
    segment: SegmentHeader
    beginning: bytes
    """Fingerprint of the first frame in that segment (`beginning_of`)."""


def find_last_kept(source: LogSource, readable: ReadableEnd, last: LastReturned) -> int:
    """Return the LSN of the last entry up to *last* that is still there as it was, or that was checkpointed.

    Raises TRANSIENT_ERRORS.
    """
    number, newest = last.segment.number, readable.newest
    if last.segment.log_id != newest.log_id:
        return 0
    if last.lsn < readable.log_first_lsn:
        return last.lsn
    if number < readable.numbers[0]:
        return min(last.lsn, readable.log_first_lsn - 1)
    if number > newest.number:
        return min(last.lsn, readable.last_lsn, last_before_epoch(source, readable, last.segment.epoch + 1))
    source = read_ahead(source, range(number, min(number + 1, newest.number) + 1))
    header = newest if number == newest.number else source.header(number)
    # The headers are not compared as a whole, because a repair changes the log's first LSN in them.
    is_same = (header.salt, header.first_lsn) == (last.segment.salt, last.segment.first_lsn)
    if not is_same or beginning_of(source, header) != last.beginning:
        return min(last.lsn, header.first_lsn - 1, last_before_epoch(source, readable, last.segment.epoch + 1))
    if header is newest:
        return min(last.lsn, readable.last_lsn)
    successor = source.header(number + 1)
    why = link_problem(header, successor)
    if why is not None:
        raise source.corrupt(why, number, 0, last.lsn)
    return min(last.lsn, successor.first_lsn - 1)


def last_before_epoch(source: LogSource, readable: ReadableEnd, epoch: int) -> int:
    """Return the LSN of the last entry in a segment that is older than *epoch*.

    After a repair has removed segments, the log can use their numbers again for other entries. Each segment that was
    made since has a later epoch.
    """
    at = bisect_left(readable.numbers, epoch, key=lambda number: source.header(number).epoch)
    return source.header(readable.numbers[at]).first_lsn - 1 if at < len(readable.numbers) else readable.last_lsn


def move_back(source: LogSource, readable: ReadableEnd, lsn: int, last: LastReturned) -> LastReturned | None:
    """Return *last* moved back to the entry *lsn*, the last that a cut has kept, or None if that was checkpointed.

    Raises TRANSIENT_ERRORS.
    """
    if lsn < readable.log_first_lsn:
        return None
    if last.segment.first_lsn <= lsn:
        return last._replace(lsn=lsn)
    at = bisect_right(readable.numbers, lsn, key=lambda number: source.header(number).first_lsn) - 1
    segment = source.header(readable.numbers[max(at, 0)])
    return LastReturned(lsn, segment, beginning_of(source, segment))
