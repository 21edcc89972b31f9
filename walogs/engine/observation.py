"""Observe how far a log can be read beside its writer. The observer takes no lock and changes nothing (G14).

An observation reads the durable mark first, then the list of segments, and then bytes. In this order, the list contains
every segment that the mark names, and a segment that has a successor is durable as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from walogs.engine.ending import ending_of, judge, read_durable_mark, synced_by
from walogs.engine.frame_reader import FrameReader
from walogs.engine.readable_segments import with_remaining_segments, with_segments
from walogs.engine.recovery import header_in, refuse_unlike_durable_mark
from walogs.engine.segment_scan import TailScan, first_lsn_in_checkpoint
from walogs.engine.verdict import durable_mark_problem, end_problem, link_problem
from walogs.engine.whole_segments import read_ahead
from walogs.errors import Checkpointed, Corrupt, LogNotFound, SegmentNotFound, Unavailable
from walogs.formats.segment_format import StopReason
from walogs.protocols import is_appendable, segments_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.engine.ending import Ending
    from walogs.engine.log_source import LogSource
    from walogs.formats.durable_mark import DurableMark
    from walogs.formats.segment_format import SegmentHeader

T = TypeVar("T")

Visibility = Literal["durable", "written"]
"""`durable`: what is known to be synced. `written`: every intact frame."""

TRANSIENT_ERRORS: Final = (Corrupt, SegmentNotFound, LogNotFound, Checkpointed, OSError)
"""Errors that real damage causes, and that a reader can also see for a moment while a writer is at work."""
OBSERVATIONS_MAX: Final = 100
"""Give up after this many observations that all differ from one another."""
LOOK_BYTES: Final = 1 << 16
"""An observation reads this many bytes at a time. Most often little was appended since the one before."""
MARK_SEARCH_BYTES: Final = 1 << 12
"""The search for the frame that the durable mark names begins with this many bytes. Most often the frame is short."""
LOOKS_TO_SEARCH: Final = 100
"""After this many observations of one segment, search everything after its intact frames again.

An intact frame header there can testify that more of the segment was synced. Most often only zeros are there, up to a
whole window of them."""
WITHOUT_DIGITS: Final = dict.fromkeys(map(ord, "0123456789"))


class ReadableEnd(NamedTuple):
    """How far a log could be read at one moment."""

    log_first_lsn: int
    numbers: range
    """The segments that can be read. A checkpoint may have removed the first of them since."""
    newest: SegmentHeader
    beginning: bytes
    """Fingerprint of the first frame in the newest segment (`beginning_of`). It is empty if there is no frame."""
    end: int
    """Offset in the newest segment. Nothing at or after it may be returned."""
    last_lsn: int
    """LSN of the last entry before `end`. It is less than `newest.first_lsn` if the newest segment holds no entry."""
    looks: int
    """Number of observations since everything after `end` was searched."""
    link: bytes
    """Link of the last frame with entries before `end`. If it is from the durable mark, it is only its first bytes."""


def observe(source: LogSource, visibility: Visibility, known: ReadableEnd | None = None) -> ReadableEnd:
    """Observe the log until the result is certain, beginning at what is *known* of it.

    Raises `LogNotFound`, `Corrupt`, `UnsupportedFormat`, `OSError`, and `Unavailable` if no two observations agree.
    """
    return look_with_retry(source, lambda is_doubted: observe_once(source, visibility, known, from_start=is_doubted))


def look_with_retry(source: LogSource, look: Callable[[bool], T]) -> T:
    """Return what *look* returns. After one of TRANSIENT_ERRORS, call it again with True, to observe everything anew.

    Raise the error only if the next call fails in the same way. An error that a writer at work has caused looks
    different by then, or is gone.
    """
    last: Exception | None = None
    for _ in range(OBSERVATIONS_MAX):
        try:
            return look(last is not None)
        except TRANSIENT_ERRORS as suspicion:
            if last is not None and damage_fingerprint(suspicion) == damage_fingerprint(last):
                raise
            last = suspicion
    raise never_settled(source) from last


def never_settled(source: LogSource) -> Unavailable:
    """Return the error for a log of which no two observations agree."""
    return Unavailable(f"{source.store.name} never settled: it was different at each observation. Try again.")


def damage_fingerprint(suspicion: Exception) -> object:
    """Return what two errors have in common if they tell of the same damage.

    For `Corrupt` that is the place, and the message without its numbers. The message can name how far the segment was
    synced, and that number grows while a writer is at work. For an `OSError` that is its number and its file. The
    message of a server can name how long a request took.
    """
    if isinstance(suspicion, Corrupt):
        return suspicion.segment, suspicion.offset, suspicion.lsn, str(suspicion).translate(WITHOUT_DIGITS)
    if isinstance(suspicion, OSError) and suspicion.errno is not None:
        return type(suspicion), suspicion.errno, suspicion.filename
    return type(suspicion), str(suspicion)


def observe_once(
    source: LogSource, visibility: Visibility, known: ReadableEnd | None, *, from_start: bool
) -> ReadableEnd:
    """Observe the log once. With *from_start*, rely on nothing that an earlier observation found. Raises
    TRANSIENT_ERRORS."""
    durable_mark = read_durable_mark(source)
    numbers = tuple(source.store.segments()) if known is None or from_start else numbers_since(source, known)
    if not numbers:
        raise none_there(source, durable_mark)
    source = read_ahead(source, numbers[-1:])
    newest = header_in(source, numbers, numbers[-1])
    if known is not None and known.newest.log_id != newest.log_id:
        if not from_start:
            raise SegmentNotFound(f"another log is in the place of {source.store.name}: look again")
        known = None
    readable = find_end(source, newest, durable_mark, visibility, known, from_start=from_start)
    if isinstance(numbers, range):
        return with_remaining_segments(source, readable, numbers)
    return with_segments(source, readable, numbers, from_start=from_start)


def observe_next(source: LogSource, known: ReadableEnd, number: int) -> ReadableEnd | None:
    """Return how far the log can be read in immutable segment *number*, if that was made after the *known* end.

    Nothing but that segment is read. It names the last frame before it, so that frame is still part of the log's
    history. Raises TRANSIENT_ERRORS.
    """
    header = source.header(number)
    if number != known.newest.number + 1 or link_problem(known.newest, header) is not None:
        return None
    if end_problem(known.last_lsn, known.link, header) is not None:
        return None
    found = find_end(source, header, None, "durable", None, from_start=False)
    return found._replace(
        log_first_lsn=max(known.log_first_lsn, found.log_first_lsn),
        numbers=range(known.numbers.start, number + 1),
    )


def numbers_since(source: LogSource, known: ReadableEnd) -> range | tuple[int, ...]:
    """Return the numbers of the known segments and of newer ones. Only the newer ones are listed."""
    newer = segments_after(source.store, known.newest.number)
    count = len(newer)
    if not count or (newer[0], newer[-1]) == (known.newest.number + 1, known.newest.number + count):
        return range(known.numbers.start, known.newest.number + count + 1)
    return tuple(source.store.segments())


def none_there(source: LogSource, durable_mark: DurableMark | None) -> Exception:
    """Return the error for a store without segments: `Corrupt` if a durable mark names one, and else `LogNotFound`."""
    why = durable_mark_problem(durable_mark, None, 0, None)
    if why is not None:
        return source.corrupt(why)
    return no_log(source)


def no_log(source: LogSource) -> LogNotFound:
    """Return the error for a store that holds neither a segment nor a durable mark.

    Its message does not say that there never was a log, because nothing tells that.
    """
    why = "holds no log now: neither a segment nor a trace of one is there"
    return LogNotFound(f"{source.store.name} {why}. Is that the right place, or was the log moved or removed?")


class Place(NamedTuple):
    """The end of an intact frame in the newest segment, or the place of its first frame."""

    offset: int
    last_lsn: int
    """LSN of the last entry before it."""
    link: bytes
    """Link of the last frame with entries before it. If only the durable mark says it, it is only its first bytes."""


class IntactPart(NamedTuple):
    """What the intact frames from some place on say."""

    end: Place
    named: int
    """The highest offset that one of them names as synced."""
    log_first_lsn: int
    """The largest first LSN of the log that a CHECKPOINT names, or 0."""
    stop: StopReason


def find_end(
    source: LogSource,
    newest: SegmentHeader,
    durable_mark: DurableMark | None,
    visibility: Visibility,
    known: ReadableEnd | None,
    *,
    from_start: bool,
) -> ReadableEnd:
    """Return how far the newest segment can be read. The other segments are not looked at yet.

    The end never falls, unless the frames before it are gone. If the segment begins with another frame than before, it
    was cut and used again, and nothing that was *known* counts. Raises `Corrupt` if less is there than was synced.
    """
    size, beginning = source.store.size(newest.number), beginning_of(source, newest)
    first = Place(source.format.traits.header_bytes, newest.first_lsn - 1, newest.previous_link)
    kept = known if known is not None and known.newest == newest and known.beginning in (b"", beginning) else None
    start = first if from_start else starting_place(source, newest, durable_mark, first, kept, size)
    part = read_part(source, newest, start, size)
    if kept is None and part.end.offset > first.offset:
        before, beginning = beginning, beginning_of(source, newest)
        if before != beginning:  # the first frame was written in between
            part = read_part(source, newest, start, size)
    rest, falls = None, kept is not None and part.end.offset < kept.end
    if kept is None or falls or from_start or kept.looks >= LOOKS_TO_SEARCH or not is_appendable(source.store):
        rest = TailScan(source, newest, part.end.offset, size)
        is_start_doubted = falls or (start.offset == synced_by(durable_mark, newest) and rest.bytes_end > 0)
        if is_start_doubted:  # if the segment was cut and used again, no frame need begin at the mark's offset
            start = first
        # Read once more if the start is in doubt, or if bytes after the end say that more was synced meanwhile.
        if is_start_doubted or rest.synced > part.end.offset or rest.is_sealed:
            part = read_part(source, newest, start, source.store.size(newest.number))
    ending = ending_of(newest, part.end.offset, part.end.last_lsn, part.stop, part.named, rest, durable_mark)
    refuse_bad_end(source, ending, part.end, durable_mark)
    # A CHECKPOINT in damaged bytes is believed too, because it never names an LSN above the segment's first.
    carried = max(part.log_first_lsn, rest.log_first_lsn if rest is not None else 0)
    synced = max(start.offset, ending.synced, kept.end if kept is not None else 0)
    if visibility == "durable" and is_appendable(source.store) and synced < part.end.offset:
        part = read_part(source, newest, start, synced)
    return ReadableEnd(
        log_first_lsn=max(newest.log_first_lsn, carried, known.log_first_lsn if known is not None else 1),
        numbers=range(0) if known is None else known.numbers,
        newest=newest,
        beginning=beginning if part.end.offset > first.offset else b"",
        end=part.end.offset,
        last_lsn=part.end.last_lsn,
        looks=0 if rest is not None or kept is None else kept.looks + 1,
        link=part.end.link,
    )


def starting_place(
    source: LogSource,
    newest: SegmentHeader,
    durable_mark: DurableMark | None,
    first: Place,
    kept: ReadableEnd | None,
    size: int,
) -> Place:
    """Return the last place up to which the newest segment need not be read: the known end, or that of the mark."""
    start, synced = first, synced_by(durable_mark, newest)
    if kept is not None and (not synced or synced >= kept.end):
        start = Place(kept.end, kept.last_lsn, kept.link)
        if synced - kept.end <= LOOK_BYTES:  # reading these frames costs less than finding the last of them
            return start
    if (
        durable_mark is not None
        and start.offset < synced <= size
        and is_last_frame_as_marked(source, newest, durable_mark, start)
    ):
        return Place(synced, durable_mark.last_lsn, durable_mark.link)
    return start


def is_last_frame_as_marked(source: LogSource, segment: SegmentHeader, durable_mark: DurableMark, start: Place) -> bool:
    """Return whether a frame ends at the mark's place, and its last entry has the mark's LSN and link.

    A frame ends at *start* too. A mark of a copy of the log that went on by itself can name any place. The search goes
    backwards, and reads at most twice the bytes of the last frame with entries, or `MARK_SEARCH_BYTES`.
    """
    form, end, length = source.format, durable_mark.synced, MARK_SEARCH_BYTES
    while True:
        begin = max(start.offset, end - length)
        chunk = source.store.read(segment.number, begin, end)
        headers = list(form.headers_in(chunk, 0, begin, segment.salt))
        if headers and form.frame_end(headers[-1]) != end:
            return False
        last = next((header for header in reversed(headers) if header.entries), None)
        if last is not None or begin == start.offset:
            break
        length *= 2
    if not headers or len(chunk) < end - begin:
        return False
    last_lsn, link = start.last_lsn, start.link
    if last is not None:
        last_lsn = last.first_lsn + last.entries - 1
        link = form.link_at(chunk, last.offset - begin, last, source.codec_of(segment).check_bytes)
    return durable_mark.last_lsn == last_lsn and link.startswith(durable_mark.link)


def read_part(source: LogSource, segment: SegmentHeader, start: Place, limit: int) -> IntactPart:
    """Read the intact frames from *start* up to *limit*."""
    named = log_first_lsn = 0
    link = start.link if len(start.link) == len(segment.previous_link) else None
    reader = FrameReader(source, segment, start.offset, limit, start.last_lsn + 1, link, chunk_bytes=LOOK_BYTES)
    for run in reader.runs():
        named = max(named, run.intact.synced)
        if run.checkpoint is not None:
            log_first_lsn = max(log_first_lsn, first_lsn_in_checkpoint(source, segment, run.checkpoint))
    end = Place(reader.offset, reader.expected_lsn - 1, reader.link if reader.link is not None else start.link)
    return IntactPart(end=end, named=named, log_first_lsn=log_first_lsn, stop=reader.stop)


def refuse_bad_end(source: LogSource, ending: Ending, end: Place, durable_mark: DurableMark | None) -> None:
    """Raise `Corrupt` if less is there than was synced, or if the durable mark names other entries.

    Raises `SegmentNotFound` if the segment was completed while it was being read.
    """
    newest = ending.header
    if ending.is_sealed and segments_after(source.store, newest.number):
        raise SegmentNotFound(
            f"{source.store.segment_name(newest.number)} is not the newest segment any more: look again"
        )
    judge(source, ending)
    refuse_unlike_durable_mark(source, durable_mark, newest, end.offset, end.last_lsn, end.link)


def beginning_of(source: LogSource, segment: SegmentHeader) -> bytes:
    """Return a fingerprint of the segment's first frame: its header, which has a time, and its check.

    It is empty if there is no frame. A writer never uses a segment again after it was cut (G8), but a reader does not
    rely on that. If the segment begins with another frame than before, nothing that was seen in it earlier counts.
    """
    start, form, read = source.format.traits.header_bytes, source.format, source.store.read
    head = read(segment.number, start, start + form.frame_bytes(0, 0))
    header = form.header_at(head, 0, start, segment.salt)
    if isinstance(header, StopReason):
        return b""
    end = form.frame_end(header) - (-header.body_bytes % form.traits.alignment)
    return head + read(segment.number, max(start, end - source.codec_of(segment).check_bytes), end)
